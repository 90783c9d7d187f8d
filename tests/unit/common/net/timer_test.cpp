// Timers while time stands still.
#include "common/net/timer.hpp"

#include <vector>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace chorus::net {
namespace {

using namespace std::chrono_literals;

TEST(StoppedClock, TimersGoOffInTheOrderOfTheirTimesWhenTheyAreLet) {
  StoppedClock clock(SteadyClock::time_point(1h));
  EXPECT_EQ(SteadyClock::now(), SteadyClock::time_point(1h));
  boost::asio::io_context context(1);
  std::vector<int> gone_off;
  Timer late(context, 20s);
  Timer early(context, 10s);
  Timer never(context, SteadyClock::time_point::max());
  late.async_wait([&](auto) { gone_off.push_back(2); });
  early.async_wait([&](auto) { gone_off.push_back(1); });
  never.async_wait([&](auto) { gone_off.push_back(3); });
  context.poll();
  EXPECT_TRUE(gone_off.empty());
  EXPECT_EQ(clock.next_timer(), clock.now() + 10s);

  clock.advance_to(clock.next_timer() + 15s);
  context.poll();
  EXPECT_TRUE(gone_off.empty()) << "not before they are let";
  clock.let_timers_go_off(true);
  Timer first(context);
  bool let = false;
  first.expires_at(SteadyClock::time_point::min());
  first.async_wait([&](auto) { let = true; });
  while (!let) context.poll_one();
  clock.let_timers_go_off(false);
  context.poll();
  EXPECT_EQ(gone_off, (std::vector<int>{1, 2}));
  EXPECT_EQ(clock.next_timer(), SteadyClock::time_point::max());
  never.cancel();
  context.poll();
}

TEST(StoppedClock, TimeGoesOnWithoutOne) {
  { const StoppedClock clock(SteadyClock::time_point(1h)); }
  EXPECT_NE(SteadyClock::now(), SteadyClock::time_point(1h));
  EXPECT_EQ(StoppedClock::current(), nullptr);
}

}  // namespace
}  // namespace chorus::net
