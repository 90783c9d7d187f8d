#include "common/codec/basis.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <string_view>
#include <utility>

#include "chorus/kernels/kernels.hpp"
#include "common/base/assert.hpp"
#include "common/base/rng.hpp"
#include "common/base/try.hpp"
#include "common/codec/bytes.hpp"
#include "common/codec/matrix.hpp"
#include "common/codec/names.hpp"

namespace chorus::codec {
namespace {

constexpr std::uint64_t kHead = sizeof(std::uint32_t);
/// A random direction is part of the others by accident; twice, by more than that.
constexpr int kDraws = 4;

// Vectors that are 0 become random ones. Returns whether there were any.
bool fill_up(const MatrixShape& shape, Factor which, Rng& rng, std::span<float> factor) {
  const std::size_t length = factor.size() / shape.rank;
  bool any = false;
  for (std::size_t k = 0; k < shape.rank; ++k) {
    const auto at = [&](std::size_t i) -> float& {
      return factor[which == Factor::left ? i * shape.rank + k : k * shape.columns + i];
    };
    std::size_t i = 0;
    while (i < length && at(i) == 0.0F) ++i;
    if (i < length) continue;
    any = true;
    for (i = 0; i < length; ++i) at(i) = static_cast<float>(rng.normal());
  }
  return any;
}

Factor shared(const Codec& codec) {
  return codec.shares_rows ? Factor::left : Factor::right;
}
Factor sent(const Codec& codec) {
  return codec.shares_rows ? Factor::right : Factor::left;
}

std::vector<float> completed(const MatrixShape& shape,
                             Factor which,
                             std::uint64_t key,
                             std::vector<float> factor) {
  constexpr std::array<std::string_view, 1> kParts{"subspace"};
  Rng rng(stream_key(key, kParts));
  make_orthonormal(shape, which, factor);
  for (int draw = 0; draw < kDraws && fill_up(shape, which, rng, factor); ++draw) {
    make_orthonormal(shape, which, factor);
  }
  return factor;
}

}  // namespace

std::uint64_t basis_elements(const Codec& codec, std::uint64_t count) {
  if (!has_basis(codec)) return 0;
  const MatrixShape shape(codec, count);
  if (codec.rank >= std::min(shape.rows, shape.columns)) return 0;
  return std::uint64_t{shape.rank} * (codec.shares_rows ? shape.rows : shape.columns);
}

std::vector<float> drawn_basis(const Codec& codec, std::uint64_t count, std::uint64_t key) {
  std::vector<float> nothing(static_cast<std::size_t>(basis_elements(codec, count)));
  if (nothing.empty()) return nothing;
  return completed(MatrixShape(codec, count), shared(codec), key, std::move(nothing));
}

std::vector<float> next_basis(const Codec& codec,
                              std::uint64_t count,
                              std::span<const float> mean,
                              std::uint64_t key) {
  if (basis_elements(codec, count) == 0) return {};
  const MatrixShape shape(codec, count);
  CHORUS_ASSERT(mean.size() == shape.rank * (codec.shares_rows ? shape.columns : shape.rows));
  return completed(shape, sent(codec), key, {mean.begin(), mean.end()});
}

std::vector<std::byte> to_bytes(const Basis& basis) {
  std::vector<std::byte> bytes;
  append(bytes, std::uint32_t{basis.shares_rows ? 1U : 0U});
  const auto values = std::as_bytes(std::span(basis.values));
  bytes.insert(bytes.end(), values.begin(), values.end());
  return bytes;
}

std::uint64_t basis_bytes(std::uint64_t elements) noexcept {
  return kHead + sizeof(float) * elements;
}

Result<Basis> basis_from(std::span<const std::byte> bytes) {
  const bool whole = bytes.size() >= kHead && bytes.size() % sizeof(float) == 0;
  const std::uint32_t side = whole ? load<std::uint32_t>(bytes, 0) : 0;
  if (!whole || side > 1) {
    return fail(
        errc::malformed_message,
        fmt::format("a basis of {} bytes and side {}; expected 4, which say 0 (columns) or 1 "
                    "(rows), and 4 for each number",
                    bytes.size(),
                    side));
  }
  Basis basis{side == 1, std::vector<float>((bytes.size() - kHead) / sizeof(float))};
  load_all(bytes.subspan(kHead), std::span(basis.values));
  if (!kernels::stats_f32(basis.values).finite) {
    return fail(errc::not_finite, "a number of the basis is NaN or infinite");
  }
  return basis;
}

}  // namespace chorus::codec
