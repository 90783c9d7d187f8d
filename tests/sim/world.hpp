// Time, chance and what is going to happen, of one simulation. One seed, one history.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string_view>
#include <utility>

#include "common/base/clock.hpp"
#include "common/base/rng.hpp"

namespace chorus::sim {

using Micros = std::chrono::microseconds;

class World {
 public:
  using Instant = SteadyClock::time_point;

  explicit World(std::uint64_t seed);

  std::uint64_t seed() const noexcept { return seed_; }
  Instant now() const noexcept { return clock_.now(); }
  /// Since the beginning.
  Micros elapsed() const noexcept;
  StoppedClock& clock() noexcept { return clock_; }

  /// `what` happens so much later; of two at one instant the one that was planned first.
  void after(Micros delay, std::function<void()> what);
  /// When the next thing happens; Instant::max(): never.
  Instant next() const noexcept;
  /// Lets it happen. @pre now() == next()
  void happen();

  /// A stream of draws of its own, so that what one part draws changes no other's.
  Rng stream(std::string_view part) const;

  /// Everything that happens is mixed into the trace.
  void trace(std::uint64_t word) noexcept;
  std::uint64_t trace_hash() const noexcept { return trace_; }

 private:
  std::uint64_t seed_;
  StoppedClock clock_;
  std::uint64_t planned_ = 0;
  std::map<std::pair<Instant, std::uint64_t>, std::function<void()>> plan_;
  std::uint64_t trace_ = 0;
};

/// A draw from [from, to].
Micros between(Rng& rng, Micros from, Micros to);

}  // namespace chorus::sim
