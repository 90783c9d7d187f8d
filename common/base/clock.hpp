// The clock of timers and deadlines.
#pragma once

#include <chrono>

namespace chorus {

/// std::chrono::steady_clock, or what a StoppedClock of this thread says.
struct SteadyClock {
  using duration = std::chrono::steady_clock::duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::steady_clock::time_point;
  static constexpr bool is_steady = true;
  static time_point now() noexcept;
};

/// While it lives time stands still for its thread, and moves when it is told to: for simulations.
/// Nothing waits. net::Timer says which moment is the next one that anything waits for; timers that
/// are due then go off when they are let.
class StoppedClock {
 public:
  using time_point = SteadyClock::time_point;
  using duration = SteadyClock::duration;

  /// @pre the thread has no other
  explicit StoppedClock(time_point at);
  StoppedClock(const StoppedClock&) = delete;
  StoppedClock& operator=(const StoppedClock&) = delete;
  ~StoppedClock();

  time_point now() const noexcept { return now_; }
  /// @pre at >= now()
  void advance_to(time_point at) noexcept;

  /// When the first timer is due, or earlier; time_point::max(): none is set.
  time_point next_timer() const noexcept { return next_timer_; }
  /// While `going_off` a context's first timer that is due lets all go off that are.
  void let_timers_go_off(bool going_off) noexcept;

  /// Of net::Timer: the first one of a context is due so much later; how long to sleep.
  duration wait_for(duration until) noexcept;

  /// This thread's; null: it has none.
  static StoppedClock* current() noexcept;

 private:
  time_point now_;
  time_point next_timer_ = time_point::max();
  bool going_off_ = false;
};

}  // namespace chorus
