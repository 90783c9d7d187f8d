// Two thin factors of a matrix: what it does in few directions.
//
//   matrix    M, rows × columns: a tensor by its first dimension, or some rows of it
//   payload   f32 P[rows][r], f32 R[r][columns], with r the rank or the smaller dimension; or M as
//             it is where that is not larger
//   value     P·R
//   factors   R of N(0, 1) from the stream of the round's key ("low_rank"); then kSteps times: P
//             the columns of M·Rᵀ made orthonormal, R = Pᵀ·M. PowerSGD takes one such step and goes
//             on from R at the next update; a round is worth more of them, and nothing is kept
//   scale     R is scaled down where an element of P·R would exceed the largest of M
//   error     biased, to be used with error feedback: ‖M‖² − ‖R‖² <= ‖M‖², close to the sum of the
//             squares of all but the r largest singular values (Eckart, Young 1936)
//   source    Vogels et al. 2019, "PowerSGD: practical low-rank gradient compression for
//             distributed optimization", with one message in place of two, so that each device has
//             factors of its own
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>

#include "chorus/kernels/kernels.hpp"
#include "common/base/assert.hpp"
#include "common/base/rng.hpp"
#include "common/codec/bytes.hpp"
#include "common/codec/matrix.hpp"
#include "common/codec/methods.hpp"

namespace chorus::codec {
namespace {

constexpr int kSteps = 6;  ///< a start that misses a direction is made good

struct Shape : MatrixShape {
  bool factored = false;

  Shape(const Codec& codec, std::uint64_t count) : MatrixShape(codec, count) {
    factored = rows > 0 && elements() < count;
  }
  /// Of both factors.
  std::uint64_t elements() const { return std::uint64_t{rank} * (std::uint64_t{rows} + columns); }
};

Factors read(const Shape& shape, std::span<const std::byte> payload) {
  Factors factors{std::vector<float>(shape.rows * shape.rank),
                  std::vector<float>(shape.rank * shape.columns)};
  load_all(payload, std::span(factors.p));
  load_all(payload.subspan(std::as_bytes(std::span(factors.p)).size()), std::span(factors.r));
  return factors;
}

/// Largest |element| of P·R; infinite where one is not finite.
float largest_of(const Shape& shape, const Factors& factors) {
  float largest = 0.0F;
  std::vector<float> tile(tile_rows(shape) * shape.columns);
  for_each_tile(shape, [&](std::size_t row, std::size_t rows) {
    const auto part = std::span(tile).first(rows * shape.columns);
    multiply(shape, factors, row, part);
    const kernels::VectorStats stats = kernels::stats_f32(part);
    largest = std::max(largest, stats.finite ? stats.max_abs : HUGE_VALF);
  });
  return largest;
}

// Rows of norm 1, so that products with M neither vanish nor overflow.
void normalise_rows(const Shape& shape, std::span<float> r) {
  for (std::size_t k = 0; k < shape.rank; ++k) {
    const auto row = r.subspan(k * shape.columns, shape.columns);
    const double norm = std::sqrt(kernels::stats_f32(row).sum_squares);
    const double scale = norm > 0.0 ? 1.0 / norm : 0.0;
    for (float& value : row) value = static_cast<float>(static_cast<double>(value) * scale);
  }
}

std::vector<float> first_guess(const Shape& shape, std::uint64_t round) {
  constexpr std::array<std::string_view, 1> kParts{"low_rank"};
  Rng rng(stream_key(round, kParts));
  std::vector<float> r(shape.rank * shape.columns);
  for (float& value : r) value = static_cast<float>(rng.normal());
  return r;
}

Factors factors_of(const Shape& shape, std::span<const float> x, std::uint64_t round) {
  Factors factors{std::vector<float>(shape.rows * shape.rank), first_guess(shape, round)};
  for (int step = 0; step < kSteps; ++step) {
    normalise_rows(shape, factors.r);
    set_left(shape, x, factors);
    make_orthonormal(shape, Factor::left, factors.p);
    set_right(shape, x, factors);
  }
  return factors;
}

// What a device may send must not become values that it may not.
void scale_down(const Shape& shape, float most, Factors& factors) {
  constexpr double kSlack = 1.0 - 0x1.0p-20;
  constexpr int kTurns = 4;
  for (int turn = 0; turn < kTurns; ++turn) {
    const float largest = largest_of(shape, factors);
    if (largest <= most) return;
    const double scale = kSlack * static_cast<double>(most) / static_cast<double>(largest);
    for (float& value : factors.r) value = static_cast<float>(static_cast<double>(value) * scale);
  }
  std::fill(factors.r.begin(), factors.r.end(), 0.0F);  // denormals, which do not shrink
}

class LowRank final : public Method {
  std::uint64_t bytes_max(const Codec& codec, std::uint64_t count) const final {
    const Shape shape(codec, count);
    return sizeof(float) * (shape.factored ? shape.elements() : count);
  }
  std::uint64_t granule(const Codec& /*codec*/) const final { return 0; }

  void encode(const Codec& codec,
              std::span<const float> x,
              const Keys& keys,
              std::vector<std::byte>& payload) const final {
    const Shape shape(codec, x.size());
    if (!shape.factored) return f32().encode({}, x, keys, payload);
    Factors factors = factors_of(shape, x, keys.round);
    scale_down(shape, kernels::stats_f32(x).max_abs, factors);
    for (const std::vector<float>& factor : {std::cref(factors.p), std::cref(factors.r)}) {
      const auto bytes = std::as_bytes(std::span(factor));
      payload.insert(payload.end(), bytes.begin(), bytes.end());
    }
  }

  Result<void> check(const Codec& codec,
                     std::uint64_t count,
                     std::span<const std::byte> payload,
                     float value_max) const final {
    const Shape shape(codec, count);
    if (!shape.factored) return f32().check({}, count, payload, value_max);
    if (payload.size() != bytes_max(codec, count)) {
      return fail(errc::shape_mismatch,
                  "a payload of " + std::to_string(payload.size()) + " bytes; factors of rank " +
                      std::to_string(shape.rank) + " of " + std::to_string(shape.rows) + " × " +
                      std::to_string(shape.columns) + " elements take " +
                      std::to_string(bytes_max(codec, count)));
    }
    const float largest = largest_of(shape, read(shape, payload));
    if (!std::isfinite(largest)) {
      return fail(errc::not_finite, "an element of the factors' product is NaN or infinite");
    }
    if (largest > value_max) {
      return fail(errc::value_out_of_range,
                  "an element of the factors' product has magnitude " + std::to_string(largest) +
                      ", beyond the job's value_max " + std::to_string(value_max));
    }
    return {};
  }

  void decode(const Codec& codec,
              std::span<const std::byte> payload,
              const Keys& keys,
              std::span<float> x) const final {
    const Shape shape(codec, x.size());
    if (!shape.factored) return f32().decode({}, payload, keys, x);
    multiply(shape, read(shape, payload), 0, x);
  }

  void fold(const Codec& codec,
            std::uint64_t count,
            std::span<const FoldPart> parts,
            const Keys& keys,
            std::span<std::int64_t> lane) const final {
    CHORUS_ASSERT(lane.size() == count && parts.size() <= kernels::kFoldInputsMax);
    const Shape shape(codec, count);
    if (!shape.factored) return f32().fold({}, count, parts, keys, lane);
    std::vector<Factors> factors;
    for (const FoldPart& part : parts) factors.push_back(read(shape, part.payload));
    const std::size_t length = tile_rows(shape) * shape.columns;
    std::vector<float> tiles(parts.size() * length);
    std::array<kernels::FoldInput, kernels::kFoldInputsMax> inputs{};
    for_each_tile(shape, [&](std::size_t row, std::size_t rows) {
      for (std::size_t k = 0; k < parts.size(); ++k) {
        const auto tile = std::span(tiles).subspan(k * length, rows * shape.columns);
        multiply(shape, factors[k], row, tile);
        inputs.at(k) = {tile.data(), parts[k].multiplier};
      }
      kernels::fold_f32({inputs.data(), parts.size()},
                        lane.subspan(row * shape.columns, rows * shape.columns));
    });
  }
};

}  // namespace

const Method& low_rank() {
  static const LowRank method;
  return method;
}

}  // namespace chorus::codec
