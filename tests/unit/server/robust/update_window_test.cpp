// The window that moves over the updates: where it stops, and what is read in it.
#include "server/robust/update_window.hpp"

#include <algorithm>
#include <atomic>
#include <vector>

#include <gtest/gtest.h>

#include "server/robust/set_lane.hpp"

namespace chorus::server {
namespace {

/// Updates that say where they are read, in runs as given.
class FakeSet final : public UpdateSet {
 public:
  FakeSet(std::size_t updates, std::vector<UpdateRun> runs, bool coded = true)
      : updates_(updates), runs_(std::move(runs)), coded_(coded) {}

  std::size_t updates() const override { return updates_; }
  std::uint64_t parameters() const override {
    std::uint64_t all = 0;
    for (const UpdateRun& run : runs_) all += run.count;
    return all;
  }
  bool coded() const override { return coded_; }
  UpdateRun run(std::uint64_t first) const override {
    for (const UpdateRun& run : runs_) {
      if (first < run.count) return {run.count - first, run.sent};
      first -= run.count;
    }
    return {};
  }
  Result<void> read(std::size_t update, std::uint64_t first, std::span<float> into) const override {
    ++reads;
    if (fails) return fail(errc::io_failed, "the disk does not answer");
    for (std::size_t i = 0; i < into.size(); ++i) into[i] = value(update, first + i);
    return {};
  }
  static float value(std::size_t update, std::uint64_t at) {
    return static_cast<float>(update * 1000 + at % 997);
  }

  mutable std::atomic<int> reads{0};
  bool fails = false;

 private:
  std::size_t updates_;
  std::vector<UpdateRun> runs_;
  bool coded_;
};

using Stops = std::vector<std::pair<std::uint64_t, bool>>;

Stops stops_of(UpdateWindow& window) {
  Stops stops;
  for (std::uint64_t at = 0; at < window.parameters();) {
    const UpdateRun run = window.move_to(at);
    stops.emplace_back(run.count, run.sent);
    at += run.count;
  }
  return stops;
}

TEST(UpdateWindow, TakesShortRunsTogetherAndWhatIsNotSentAlone) {
  const FakeSet set(2, {{100}, {50}, {30, false}, {20}, {7, false}});
  const auto window = UpdateWindow::create(set).value();
  EXPECT_EQ(stops_of(*window), (Stops{{150, true}, {30, false}, {20, true}, {7, false}}));
  window->move_to(0);
  std::vector<float> read(60);
  for (const std::size_t update : {std::size_t{1}, std::size_t{0}}) {
    ASSERT_TRUE(window->load(update));
    ASSERT_TRUE(window->read(update, 90, read));
    for (std::size_t i = 0; i < 60; ++i) EXPECT_EQ(read[i], FakeSet::value(update, 90 + i));
  }
  EXPECT_EQ(set.reads, 2) << "what is loaded is not read again";
  window->move_to(180);
  ASSERT_TRUE(window->load(1));
  ASSERT_TRUE(window->read(1, 199, std::span(read).first(1)));
  EXPECT_EQ(read[0], FakeSet::value(1, 199));
}

TEST(UpdateWindow, IsNoWiderThanItsBudgetAllows) {
  // So many that not even one piece of each fits.
  const FakeSet many(4096, {{200'000}, {200'000}});
  const std::uint64_t width = kWindowBytesMax / 4096 / sizeof(float);
  ASSERT_LT(width, 200'000U);
  EXPECT_EQ(UpdateWindow::bytes_max(4096, many.parameters()), kWindowBytesMax);
  const auto narrow = UpdateWindow::create(many).value();
  const Stops stops = stops_of(*narrow);
  EXPECT_EQ(stops.front().first, width);
  EXPECT_EQ(stops[200'000 / width].first, 200'000 % width) << "up to the run's end";
  narrow->move_to(width);
  ASSERT_TRUE(narrow->load(4095));
  std::vector<float> last(1);
  ASSERT_TRUE(narrow->read(4095, 2 * width - 1, last));
  EXPECT_EQ(last[0], FakeSet::value(4095, 2 * width - 1));

  const FakeSet few(1, {{kWindowElements + 5}});
  const auto wide = UpdateWindow::create(few).value();
  EXPECT_EQ(stops_of(*wide), (Stops{{kWindowElements, true}, {5, true}}));
  EXPECT_EQ(UpdateWindow::bytes_max(1, few.parameters()), kWindowElements * sizeof(float));
}

TEST(UpdateWindow, UpdatesThatAreNotCodedStayWhereTheyAre) {
  const FakeSet set(3, {{2 * kWindowElements}}, false);
  const auto window = UpdateWindow::create(set).value();
  EXPECT_EQ(stops_of(*window), (Stops{{kWindowElements, true}, {kWindowElements, true}}));
  ASSERT_TRUE(window->load(0));
  EXPECT_EQ(set.reads, 0);
  std::vector<float> read(3);
  ASSERT_TRUE(window->read(2, kWindowElements, read));
  EXPECT_EQ(read[2], FakeSet::value(2, kWindowElements + 2));
}

TEST(UpdateWindow, AnUpdateThatCannotBeReadIsReported) {
  FakeSet set(1, {{10}});
  set.fails = true;
  const auto window = UpdateWindow::create(set).value();
  window->move_to(0);
  EXPECT_EQ(window->load(0).error().code, errc::io_failed);
}

TEST(SetLane, ATileTakesNoMoreThanItsBound) {
  for (const std::size_t updates : {1U, 3U, 10U, 500U, 963U, 964U, 1000U, 4096U}) {
    const FakeSet set(updates, {{10'000'000}});
    const SetLane lane = SetLane::create(set, {}).value();
    EXPECT_LE(updates * (lane.tile_width() + 16) * sizeof(float), SetLane::tile_bytes_max(updates))
        << updates;
  }
}

}  // namespace
}  // namespace chorus::server
