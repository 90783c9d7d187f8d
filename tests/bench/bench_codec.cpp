// How fast updates are compressed and folded; takes orders (orders.hpp) of deploy/bench/codec.
#include <algorithm>
#include <bit>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <vector>

#include "chorus/kernels/codes.hpp"
#include "chorus/kernels/kernels.hpp"
#include "chorus/kernels/training.hpp"
#include "common/base/rng.hpp"
#include "common/codec/method.hpp"
#include "common/tensor/aligned_buffer.hpp"
#include "tests/bench/orders.hpp"

namespace chorus {
namespace {

using bench::Task;

constexpr std::size_t kUpdates = kernels::kFoldInputsMax;
constexpr std::size_t kTile = 16384;
constexpr codec::Keys kKeys{.round = 1, .device = 2};

/// On huge pages, as what a device trains and what a server sums are.
template <class T>
using Block = std::shared_ptr<tensor::AlignedBuffer<T>>;

Block<float> values(std::size_t n) {
  Rng rng(3);
  auto x = std::make_shared<tensor::AlignedBuffer<float>>(n);
  for (float& value : *x) value = static_cast<float>(rng.normal());
  return x;
}

Task encoding(const Codec& codec, std::size_t n) {
  return {[codec, x = values(n), payload = std::vector<std::byte>()]() mutable {
    payload.clear();
    codec::method_of(codec).encode(codec, x->span(), kKeys, payload);
  }};
}

/// As a matrix, of rows as long as the size allows.
Codec matrix_of(CodecKind kind, std::size_t n) {
  const std::size_t columns = std::gcd(n, std::size_t{512});
  return {.kind = kind, .columns = static_cast<std::uint32_t>(columns)};
}

// Eight updates in tiles, as a lane folds them.
Task folding(const Codec& codec, std::size_t n, std::size_t tile = kTile) {
  using Bytes = tensor::AlignedBuffer<std::byte>;
  using Lane = tensor::AlignedBuffer<std::int64_t>;
  const Block<float> x = values(n);
  std::vector<Block<std::byte>> payloads;
  for (std::size_t k = 0; k < kUpdates; ++k) {
    const auto payload = codec::encode(codec, x->span(), {.round = 1, .device = k}).value();
    payloads.push_back(std::make_shared<Bytes>(payload.size()));
    std::copy(payload.begin(), payload.end(), payloads.back()->begin());
  }
  const codec::Method& method = codec::method_of(codec);
  const auto at = [&method, codec](std::size_t elements) {
    return static_cast<std::size_t>(method.lane_elements(codec, elements));
  };
  const auto lane = std::make_shared<Lane>(at(n), tensor::Fill::zero);
  return {[codec, n, tile, payloads, &method, at, lane] {
            for (std::size_t first = 0; first < n; first += tile) {
              const std::size_t count = std::min(tile, n - first);
              const auto begin = static_cast<std::size_t>(method.bytes_max(codec, first));
              std::vector<codec::FoldPart> parts;
              for (const auto& payload : payloads) {
                parts.push_back({payload->span().subspan(begin), 300.0 * 0x1.0p30});
              }
              method.fold(codec, count, parts, kKeys, lane->span().subspan(at(first), at(count)));
            }
          },
          kUpdates};
}

Task transforming(std::size_t block, std::size_t n) {
  return {[block, x = values(n)] {
    const std::size_t width = block == 0 ? std::bit_floor(x->size()) : block;
    for (std::size_t first = 0; first + width <= x->size(); first += width) {
      const std::span<float> part = x->span().subspan(first, width);
      kernels::flip_signs_f32(first, part);
      kernels::hadamard_f32(part);
      kernels::scale_f32(0.01F, part);  // or values would grow from turn to turn
    }
  }};
}

Task reading(std::size_t n) {
  return {[x = values(n)] { static_cast<void>(kernels::stats_f32(x->span())); }};
}

const bench::Tasks& tasks() {
  static const bench::Tasks all{
      {"read", reading},
      {"fold_f32", [](auto n) { return folding({.kind = CodecKind::f32}, n); }},
      {"fold8", [](auto n) { return folding({.kind = CodecKind::uniform, .bits = 8}, n); }},
      {"fold4", [](auto n) { return folding({.kind = CodecKind::uniform, .bits = 4}, n); }},
      {"fold_eden4",
       [](auto n) { return folding({.kind = CodecKind::rotated, .bits = 4, .bucket = 8192}, n); }},
      {"quantise8", [](auto n) { return encoding({.kind = CodecKind::uniform, .bits = 8}, n); }},
      {"quantise4", [](auto n) { return encoding({.kind = CodecKind::uniform, .bits = 4}, n); }},
      {"bf16", [](auto n) { return encoding({.kind = CodecKind::bf16}, n); }},
      {"eden4",
       [](auto n) { return encoding({.kind = CodecKind::rotated, .bits = 4, .bucket = 8192}, n); }},
      {"top_k_1%", [](auto n) { return encoding({.kind = CodecKind::top_k, .density = 0.01}, n); }},
      {"low_rank_4", [](auto n) { return encoding(matrix_of(CodecKind::low_rank, n), n); }},
      {"fold_low_rank_4", [](auto n) { return folding(matrix_of(CodecKind::low_rank, n), n, n); }},
      {"subspace_4", [](auto n) { return encoding(matrix_of(CodecKind::subspace, n), n); }},
      {"fold_subspace_4", [](auto n) { return folding(matrix_of(CodecKind::subspace, n), n, n); }},
      {"hadamard", [](auto n) { return transforming(0, n); }},
      {"hadamard_8192", [](auto n) { return transforming(8192, n); }}};
  return all;
}

}  // namespace
}  // namespace chorus

int main() {
  return chorus::bench::take_orders("bench_codec", chorus::tasks());
}
