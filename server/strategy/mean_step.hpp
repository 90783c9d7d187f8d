// A step along the mean of the updates.
#pragma once

#include <cstdint>
#include <span>

#include "server/update/lane.hpp"

namespace chorus::server {

/// x ← x + rate · mean of the lane's updates, for the parameters from `first` on. A piece at a time
/// that stays in the first-level cache.
/// @param x      f32[n], in/out
/// @determinism  bitwise equal everywhere
void step_along_mean(const Lane& lane, std::uint64_t first, double rate, std::span<float> x);

}  // namespace chorus::server
