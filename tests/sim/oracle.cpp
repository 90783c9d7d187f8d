#include "tests/sim/oracle.hpp"

#include <cmath>

#include "common/base/assert.hpp"
#include "tests/support/exact_rounding.hpp"

namespace chorus::sim {
namespace {

using test::Wide;

// x · w · 2^s, to the nearest integer, ties to even, without a rounding in between.
std::int64_t addend(float x, std::uint64_t weight, int scale) {
  int exponent = 0;
  const double fraction = std::frexp(static_cast<double>(x), &exponent);  // in [0.5, 1)
  const auto significand = static_cast<std::int64_t>(std::ldexp(fraction, 24));
  return test::rounded(Wide{significand} * static_cast<Wide>(weight), exponent - 24 + scale);
}

}  // namespace

int scale_of(std::uint64_t updates_max, std::uint64_t weight_max, double value_max) {
  const double largest =
      static_cast<double>(updates_max) * static_cast<double>(weight_max) * value_max;
  int scale = 52;
  while (std::ldexp(largest, scale) >= 0x1.0p62) --scale;
  return scale;
}

std::vector<float> exact_mean(std::span<const WeightedUpdate> updates, int scale) {
  CHORUS_ASSERT(!updates.empty());
  std::vector<float> mean(updates.front().values.size());
  std::uint64_t weights = 0;
  for (const WeightedUpdate& update : updates) weights += update.weight;
  const double divisor = std::ldexp(static_cast<double>(weights), scale);
  for (std::size_t i = 0; i < mean.size(); ++i) {
    Wide sum = 0;
    for (const WeightedUpdate& update : updates) {
      sum += addend(update.values[i], update.weight, scale);
    }
    CHORUS_ASSERT(sum < (Wide{1} << 62) && sum > -(Wide{1} << 62));
    mean[i] = static_cast<float>(static_cast<double>(static_cast<std::int64_t>(sum)) / divisor);
  }
  return mean;
}

}  // namespace chorus::sim
