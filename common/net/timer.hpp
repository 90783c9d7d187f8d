// Asio's timer on SteadyClock.
#pragma once

#include <boost/asio/basic_waitable_timer.hpp>

#include "common/base/clock.hpp"

namespace chorus::net {

/// How long a context sleeps until its first timer is due; not at all while time stands still.
struct TimerWait {
  static SteadyClock::duration to_wait_duration(const SteadyClock::duration& until) {
    StoppedClock* const clock = StoppedClock::current();
    return clock == nullptr ? until : clock->wait_for(until);
  }
  static SteadyClock::duration to_wait_duration(const SteadyClock::time_point& at) {
    return to_wait_duration(at - SteadyClock::now());
  }
};

using Timer = boost::asio::basic_waitable_timer<SteadyClock, TimerWait>;

}  // namespace chorus::net
