#include "common/base/clock.hpp"

#include <algorithm>

#include "common/base/assert.hpp"

namespace chorus {
namespace {

// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): what a clock is
constinit thread_local StoppedClock* stopped = nullptr;

}  // namespace

SteadyClock::time_point SteadyClock::now() noexcept {
  return stopped != nullptr ? stopped->now() : std::chrono::steady_clock::now();
}

StoppedClock::StoppedClock(time_point at) : now_(at) {
  CHORUS_ASSERT(stopped == nullptr);
  stopped = this;
}

StoppedClock::~StoppedClock() {
  stopped = nullptr;
}

void StoppedClock::advance_to(time_point at) noexcept {
  CHORUS_ASSERT(at >= now_);
  now_ = at;
}

void StoppedClock::let_timers_go_off(bool going_off) noexcept {
  going_off_ = going_off;
  if (going_off) next_timer_ = time_point::max();
}

StoppedClock::duration StoppedClock::wait_for(duration until) noexcept {
  constexpr duration kLong = std::chrono::hours(1);  // of real time: nobody waits for it
  if (going_off_ && until <= duration::zero()) return duration::zero();
  const bool never = until >= time_point::max() - now_;
  next_timer_ = never ? time_point::max() : now_ + std::max(until, duration::zero());
  return kLong;
}

StoppedClock* StoppedClock::current() noexcept {
  return stopped;
}

}  // namespace chorus
