#include "common/base/rng.hpp"

#include <cmath>
#include <numbers>
#include <xxhash.h>

#include "common/base/assert.hpp"

namespace chorus {
namespace {

constexpr std::uint32_t kMul0 = 0xD2511F53U;
constexpr std::uint32_t kMul1 = 0xCD9E8D57U;
constexpr std::uint32_t kWeyl0 = 0x9E3779B9U;
constexpr std::uint32_t kWeyl1 = 0xBB67AE85U;
constexpr int kRounds = 10;

}  // namespace

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) noexcept {
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t p0 = std::uint64_t{kMul0} * counter[0];
    const std::uint64_t p1 = std::uint64_t{kMul1} * counter[2];
    counter = {static_cast<std::uint32_t>(p1 >> 32U) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(p1),
               static_cast<std::uint32_t>(p0 >> 32U) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(p0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

std::uint64_t stream_key(std::uint64_t seed, std::span<const std::string_view> parts) noexcept {
  std::uint64_t key = seed;
  for (const std::string_view part : parts) {
    key = XXH3_64bits_withSeed(part.data(), part.size(), key);
  }
  return key;
}

Rng::Rng(std::uint64_t key) noexcept
    : key_{static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32U)} {}

std::uint32_t Rng::next_u32() noexcept {
  if (used_ == words_.size()) {
    words_ = philox4x32(
        {static_cast<std::uint32_t>(block_), static_cast<std::uint32_t>(block_ >> 32U), 0, 0},
        key_);
    ++block_;
    used_ = 0;
  }
  return words_[used_++];
}

std::uint64_t Rng::next_u64() noexcept {
  const std::uint64_t low = next_u32();
  const std::uint64_t high = next_u32();
  return (high << 32U) | low;
}

std::uint64_t Rng::below(std::uint64_t bound) noexcept {
  CHORUS_ASSERT(bound > 0);
  const std::uint64_t threshold = (0 - bound) % bound;
  for (;;) {
    const std::uint64_t draw = next_u64();
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(draw) * bound;
    if (static_cast<std::uint64_t>(product) >= threshold) {
      return static_cast<std::uint64_t>(product >> 64U);
    }
  }
}

double Rng::uniform() noexcept {
  return static_cast<double>(next_u64() >> 11U) * 0x1.0p-53;
}

double Rng::normal() noexcept {
  const double u = 1.0 - uniform();  // (0, 1]: the logarithm stays finite
  const double v = uniform();
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

double Rng::gamma(double shape) noexcept {
  CHORUS_ASSERT(shape > 0.0);
  if (shape < 1.0) {
    const double boosted = gamma(shape + 1.0);
    const double u = 1.0 - uniform();
    return boosted * std::pow(u, 1.0 / shape);
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  for (;;) {
    const double x = normal();
    const double v = (1.0 + c * x) * (1.0 + c * x) * (1.0 + c * x);
    if (v <= 0.0) continue;
    const double u = 1.0 - uniform();
    if (std::log(u) < 0.5 * x * x + d * (1.0 - v + std::log(v))) return d * v;
  }
}

}  // namespace chorus
