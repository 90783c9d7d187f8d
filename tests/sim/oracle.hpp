// The sums of a round, said once more: by integers of any size, one update after the other.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace chorus::sim {

struct WeightedUpdate {
  std::vector<float> values;
  std::uint64_t weight = 1;
};

/// The largest s <= 52 with updates · weight · value · 2^s < 2^62.
int scale_of(std::uint64_t updates_max, std::uint64_t weight_max, double value_max);

/// float(double(Σ round_half_even(w·x·2^s)) / (Σw · 2^s)), the sums exact.
std::vector<float> exact_mean(std::span<const WeightedUpdate> updates, int scale);

}  // namespace chorus::sim
