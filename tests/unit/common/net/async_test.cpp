#include "common/net/async.hpp"

#include <atomic>
#include <memory>
#include <numeric>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <gmock/gmock.h>

#include "tests/unit/common/net/net_fixture.hpp"

namespace chorus::net::test {
namespace {

using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

// ---- run_on ----

TEST(RunOn, RunsThereAndComesBack) {
  Stage stage;
  boost::asio::thread_pool pool(1);
  stage.play({[&]() -> Work {
    const auto here = std::this_thread::get_id();
    auto where = [] { return std::this_thread::get_id(); };
    const auto there = co_await run_on(pool.get_executor(), std::move(where));
    EXPECT_NE(*there, here);
    EXPECT_EQ(std::this_thread::get_id(), here);
  }});
}

TEST(RunOn, PassesValuesFailuresAndNothing) {
  Stage stage;
  boost::asio::thread_pool pool(1);
  const auto executor = pool.get_executor();
  stage.play({[&]() -> Work {
    auto move_only = [] { return std::make_unique<int>(7); };
    EXPECT_EQ(**co_await run_on(executor, std::move(move_only)), 7);
    auto failing = []() -> Result<int> { return fail(errc::disk_full, "no space"); };
    EXPECT_EQ((co_await run_on(executor, std::move(failing))).error().code, errc::disk_full);
    auto nothing = []() -> Result<void> { return {}; };
    EXPECT_TRUE(co_await run_on(executor, std::move(nothing)));
    int calls = 0;
    auto plain = [&calls] { ++calls; };
    EXPECT_TRUE(co_await run_on(executor, std::move(plain)));
    EXPECT_EQ(calls, 1);
  }});
}

TEST(RunOn, ExceptionsBecomeFailures) {
  Stage stage;
  boost::asio::thread_pool pool(1);
  stage.play({[&]() -> Work {
    auto throws = []() -> int { throw std::runtime_error("library says no"); };
    const auto result = co_await run_on(pool.get_executor(), std::move(throws));
    EXPECT_EQ(result.error().code, errc::internal);
    EXPECT_THAT(result.error().detail, HasSubstr("library says no"));
    auto throws_int = [] { throw 3; };
    EXPECT_EQ((co_await run_on(pool.get_executor(), std::move(throws_int))).error().code,
              errc::internal);
  }});
}

TEST(RunOn, IsNotAbandonedWhenTheCallerIsCancelled) {
  Stage stage;
  boost::asio::thread_pool pool(1);
  std::atomic<bool> started = false;
  std::atomic<bool> release = false;
  bool ended = false;
  auto call = [&]() -> boost::asio::awaitable<Result<int>> {
    auto slow = [&] {
      started = true;
      while (!release) std::this_thread::yield();
      return 5;
    };
    const auto result = co_await run_on(pool.get_executor(), std::move(slow));
    ended = true;
    co_return result;
  };
  stage.play({[&]() -> Work {
                // The value came after the deadline, and is not thrown away.
                const auto result = co_await with_deadline(call(), 10ms);
                EXPECT_TRUE(result);
                EXPECT_TRUE(ended);
              },
              [&]() -> Work {
                while (!started) EXPECT_TRUE(co_await sleep_for(1ms));
                EXPECT_TRUE(co_await sleep_for(30ms));
                EXPECT_FALSE(ended);
                release = true;
              }});
}

// ---- with_deadline ----

boost::asio::awaitable<Result<int>> after(std::chrono::milliseconds pause, int value) {
  CHORUS_ASSERT(value != 13);
  const auto slept = co_await sleep_for(pause);
  if (!slept) co_return slept.error();
  co_return value;
}

boost::asio::awaitable<Result<int>> throwing() {
  (void)co_await sleep_for(1ms);
  throw std::runtime_error("library says no");
}

TEST(WithDeadline, GivesTheValueInTime) {
  Stage stage;
  stage.play({[]() -> Work { EXPECT_EQ(*co_await with_deadline(after(1ms, 4), 10s), 4); }});
}

TEST(WithDeadline, CancelsWhatIsLate) {
  Stage stage;
  const auto start = Clock::now();
  stage.play({[]() -> Work {
    const auto late = co_await with_deadline(after(60s, 4), 20ms);
    EXPECT_EQ(late.error().code, errc::timed_out);
    EXPECT_THAT(late.error().detail, HasSubstr("20 ms"));
  }});
  EXPECT_LT(Clock::now() - start, 30s);
}

TEST(WithDeadline, AFailureDoesNotWaitForTheTimer) {
  Stage stage;
  const auto start = Clock::now();
  stage.play({[]() -> Work {
    EXPECT_EQ((co_await with_deadline(throwing(), 60s)).error().code, errc::internal);
  }});
  EXPECT_LT(Clock::now() - start, 30s);
}

TEST(WithDeadline, Nests) {
  Stage stage;
  stage.play({[]() -> Work {
    auto inner = with_deadline(after(60s, 4), 50s);
    EXPECT_EQ((co_await with_deadline(std::move(inner), 20ms)).error().code, errc::timed_out);
    auto short_inner = with_deadline(after(60s, 4), 20ms);
    EXPECT_EQ((co_await with_deadline(std::move(short_inner), 50s)).error().code, errc::timed_out);
  }});
}

TEST(WithDeadline, ACancelledCallerIsCancelledNotLate) {
  Stage stage;
  boost::asio::cancellation_signal signal;
  std::optional<Result<int>> outcome;
  boost::asio::co_spawn(
      stage.io,
      [&]() -> Work { outcome = co_await with_deadline(after(60s, 4), 60s); },
      boost::asio::bind_cancellation_slot(signal.slot(), boost::asio::detached));
  stage.play({[&]() -> Work {
    signal.emit(boost::asio::cancellation_type::terminal);
    while (!outcome) EXPECT_TRUE(co_await sleep_for(1ms));
  }});
  EXPECT_EQ(outcome->error().code, errc::cancelled);
}

// ---- spawn ----

class LogCapture {
 public:
  LogCapture() : before_(spdlog::default_logger()) {
    auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(text);
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", std::move(sink)));
  }
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;
  ~LogCapture() { spdlog::set_default_logger(before_); }

  std::ostringstream text;

 private:
  std::shared_ptr<spdlog::logger> before_;
};

Work throw_something() {
  throw std::runtime_error("out of luck");
  co_return;
}

TEST(Spawn, LogsWhatACoroutineThrows) {
  LogCapture log;
  boost::asio::io_context io;
  spawn(io.get_executor(), throw_something(), "session 7");
  EXPECT_NO_THROW(io.run());
  EXPECT_THAT(log.text.str(), HasSubstr("session 7 ended"));
  EXPECT_THAT(log.text.str(), HasSubstr("out of luck"));
}

// ---- Channel ----

TEST(Channel, KeepsOrderAndWaitsWhenFull) {
  Stage stage;
  Channel<int> channel(3);
  std::vector<int> received;
  int sent = 0;
  stage.play({[&]() -> Work {
                for (int i = 0; i < 100; ++i, ++sent) EXPECT_TRUE(co_await channel.send(i));
              },
              [&]() -> Work {
                EXPECT_EQ(sent, 3);
                for (int i = 0; i < 100; ++i) received.push_back(*co_await channel.receive());
              }});
  std::vector<int> expected(100);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(received, expected);
}

TEST(Channel, TrySendLeavesTheItemWhenFullOrClosed) {
  Channel<std::unique_ptr<int>> channel(1);
  auto first = std::make_unique<int>(1);
  auto second = std::make_unique<int>(2);
  EXPECT_TRUE(channel.try_send(std::move(first)));
  EXPECT_FALSE(channel.try_send(std::move(second)));
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(**channel.try_receive(), 1);
  EXPECT_FALSE(channel.try_receive().has_value());
  channel.close();
  EXPECT_FALSE(channel.try_send(std::move(second)));
  EXPECT_NE(second, nullptr);
}

TEST(Channel, CloseGivesTheRestThenFails) {
  Stage stage;
  Channel<int> channel(4);
  stage.play({[&]() -> Work {
    EXPECT_TRUE(co_await channel.send(1));
    EXPECT_TRUE(co_await channel.send(2));
    channel.close();
    EXPECT_EQ((co_await channel.send(3)).error().code, errc::shutting_down);
    EXPECT_EQ(*co_await channel.receive(), 1);
    EXPECT_EQ(*co_await channel.receive(), 2);
    EXPECT_EQ((co_await channel.receive()).error().code, errc::shutting_down);
  }});
}

TEST(Channel, CloseWakesEveryWaiter) {
  Stage stage;
  Channel<int> empty(1);
  Channel<int> full(1);
  EXPECT_TRUE(full.try_send(0));
  std::vector<Scene> scenes;
  for (int i = 0; i < 5; ++i) {
    scenes.push_back(
        [&]() -> Work { EXPECT_EQ((co_await empty.receive()).error().code, errc::shutting_down); });
    scenes.push_back(
        [&]() -> Work { EXPECT_EQ((co_await full.send(1)).error().code, errc::shutting_down); });
  }
  scenes.push_back([&]() -> Work {
    empty.close();
    full.close();
    co_return;
  });
  stage.play(scenes);
}

TEST(Channel, ACancelledReceiveLeavesItInOrder) {
  Stage stage;
  Channel<int> channel(2);
  stage.play({[&]() -> Work {
    EXPECT_EQ((co_await with_deadline(channel.receive(), 10ms)).error().code, errc::timed_out);
    // Boost 1.81's concurrent_channel would now refuse both.
    EXPECT_TRUE(channel.try_send(1));
    EXPECT_TRUE(channel.try_send(2));
    EXPECT_EQ((co_await with_deadline(channel.send(3), 10ms)).error().code, errc::timed_out);
    EXPECT_EQ(*co_await channel.receive(), 1);
    EXPECT_EQ(*co_await channel.receive(), 2);
    EXPECT_FALSE(channel.try_receive().has_value());
  }});
}

TEST(Channel, AWakeUpMeantForACancelledReceiverIsPassedOn) {
  Stage stage;
  Channel<int> channel(1);
  boost::asio::cancellation_signal signal;
  std::optional<Result<int>> second;
  boost::asio::co_spawn(
      stage.io,
      [&]() -> Work { EXPECT_EQ((co_await channel.receive()).error().code, errc::cancelled); },
      boost::asio::bind_cancellation_slot(signal.slot(), boost::asio::detached));
  stage.play({[&]() -> Work { second = co_await channel.receive(); },
              [&]() -> Work {
                EXPECT_TRUE(channel.try_send(8));  // wakes the first, who is then cancelled
                signal.emit(boost::asio::cancellation_type::terminal);
                co_return;
              }});
  EXPECT_EQ(**second, 8);
}

TEST(Channel, WaitersDieWithTheirContext) {
  Channel<int> channel(1);
  auto stage = std::make_unique<Stage>();
  boost::asio::co_spawn(
      stage->io, [&]() -> Work { (void)co_await channel.receive(); }, boost::asio::detached);
  stage->io.poll();
  stage.reset();
  EXPECT_TRUE(channel.try_send(1));
}

/// The round inbox: sessions on strands of their own send through one bounded channel to a loop on
/// the round's strand, each answered through a one-slot channel.
struct Request {
  int value = 0;
  std::shared_ptr<Channel<int>> reply;
};

TEST(Channel, InboxAnswersEverySession) {
  constexpr int kSessions = 60;
  constexpr int kRequests = 40;
  boost::asio::thread_pool pool(4);
  Channel<Request> inbox(16);
  std::atomic<int> answered = 0;
  std::atomic<int> left = kSessions;
  auto session = [&](int id) -> Work {
    const auto reply = std::make_shared<Channel<int>>(1);
    for (int i = 0; i < kRequests; ++i) {
      Request request{id * 1000 + i, reply};
      EXPECT_TRUE(co_await inbox.send(std::move(request)));
      const auto answer = co_await reply->receive();
      if (answer && *answer == 2 * (id * 1000 + i)) ++answered;
    }
    if (--left == 0) inbox.close();
  };
  auto round = [&]() -> Work {
    for (;;) {
      auto request = co_await inbox.receive();
      if (!request) co_return;
      EXPECT_TRUE(request->reply->try_send(2 * request->value));
    }
  };
  spawn(boost::asio::make_strand(pool), round(), "round");
  for (int id = 0; id < kSessions; ++id) {
    spawn(boost::asio::make_strand(pool), session(id), "session");
  }
  pool.join();
  EXPECT_EQ(answered, kSessions * kRequests);
}

}  // namespace
}  // namespace chorus::net::test
