// The entries of the coordinate median and the trimmed mean; see robust_mean.cpp.
#pragma once

#include <cstdint>

#include "server/strategy/strategy.hpp"

namespace chorus::server {

const StrategyEntry& median_entry() noexcept;
const StrategyEntry& trimmed_mean_entry() noexcept;

/// How many of so many values a share of them is, at either end: rounded up, so that as many liars
/// as the share says are among them; at most what leaves the median. The share counts as it was
/// written down: 0.07 of 100 is 7.
/// @pre updates > 0, 0 <= share < 0.5
std::uint64_t trimmed_updates(double share, std::uint64_t updates) noexcept;

}  // namespace chorus::server
