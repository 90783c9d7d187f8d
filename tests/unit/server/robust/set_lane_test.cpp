// Trimmed means and inner products of updates as a journal keeps them, under several budgets.
#include "server/robust/set_lane.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "common/base/rng.hpp"
#include "tests/unit/server/store/journal_fixture.hpp"
#include "tests/unit/server/update/fake_update.hpp"

namespace chorus::server {
namespace {

std::vector<float> values_of(std::size_t parameters, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(parameters);
  for (float& value : values) value = static_cast<float>(rng.normal());
  return values;
}

std::unique_ptr<UpdateSet> set_of(const std::vector<std::vector<float>>& updates) {
  std::vector<std::shared_ptr<const UpdateReader>> bodies;
  for (const auto& update : updates) bodies.push_back(test::update_of(update));
  return staged_updates(std::move(bodies), updates.front().size()).value();
}

std::vector<std::vector<float>> some_updates(std::size_t count, std::size_t parameters) {
  std::vector<std::vector<float>> updates;
  for (std::size_t k = 0; k < count; ++k) updates.push_back(values_of(parameters, k + 1));
  return updates;
}

/// The least budget of so many updates on so many threads, found by asking.
std::uint64_t least_budget(const UpdateSet& set, unsigned threads) {
  std::uint64_t bytes = 1;
  while (!SetLane::create(set, {threads, bytes})) ++bytes;
  return bytes;
}

std::vector<float> trimmed(const SetLane& lane, std::size_t trim, unsigned threads) {
  std::vector<float> mean(lane.parameters());
  const kernels::ColumnOrder order(lane.updates(), trim);
  std::vector<std::thread> running;
  for (unsigned t = 0; t < threads; ++t) {
    running.emplace_back([&, t] {
      const std::size_t first = mean.size() * t / threads;
      const std::size_t last = mean.size() * (t + 1) / threads;
      const auto part = std::span(mean).subspan(first, last - first);
      const auto done = trimmed_mean(lane, order, first, part);
      EXPECT_TRUE(done) << done.error().to_string();
    });
  }
  for (std::thread& thread : running) thread.join();
  return mean;
}

std::vector<double> products(const SetLane& lane, unsigned threads) {
  Gram gram = Gram::create(lane).value();
  std::vector<std::thread> running;
  for (unsigned t = 0; t < threads; ++t) {
    running.emplace_back([&gram, t, threads] {
      for (std::size_t part = t; part < Gram::kParts; part += threads) {
        EXPECT_TRUE(gram.sum_part(part));
      }
    });
  }
  for (std::thread& thread : running) thread.join();
  return gram.products();
}

TEST(SetLane, ItsMedianAndTrimmedMeanAreThoseOfEachCoordinate) {
  const auto updates = some_updates(11, 1000);
  const auto set = set_of(updates);
  const SetLane lane = SetLane::create(*set, {}).value();
  const auto median = trimmed(lane, kernels::median_trim(11), 1);
  const auto mean = trimmed(lane, 2, 1);
  for (std::size_t i = 0; i < 1000; ++i) {
    std::vector<float> column;
    for (const auto& update : updates) column.push_back(update[i]);
    std::sort(column.begin(), column.end());
    EXPECT_EQ(median[i], column[5]);
    double sum = 0.0;
    for (std::size_t r = 2; r < 9; ++r) sum += static_cast<double>(column[r]);
    EXPECT_EQ(mean[i], static_cast<float>(sum / 7.0));
  }
}

// With f of n updates arbitrary the median stays within what the honest ones say.
TEST(SetLane, LiarsDoNotMoveTheMedianBeyondTheHonest) {
  auto updates = some_updates(9, 300);
  for (std::size_t liar = 5; liar < 9; ++liar) {
    std::fill(updates[liar].begin(), updates[liar].end(), 1e30F);
  }
  const auto set = set_of(updates);
  const SetLane lane = SetLane::create(*set, {}).value();
  const auto median = trimmed(lane, kernels::median_trim(9), 1);
  for (std::size_t i = 0; i < median.size(); ++i) {
    float most = updates[0][i];
    for (std::size_t k = 1; k < 5; ++k) most = std::max(most, updates[k][i]);
    EXPECT_EQ(median[i], most);
  }
}

TEST(SetLane, NeitherBudgetNorThreadsNorOrderChangeABit) {
  constexpr std::size_t kUpdates = 20;
  auto updates = some_updates(kUpdates, 20'011);
  const auto set = set_of(updates);
  const SetLane lane = SetLane::create(*set, {}).value();
  const auto mean = trimmed(lane, 3, 1);
  const auto gram = products(lane, 1);
  const SetLane narrow = SetLane::create(*set, {3, least_budget(*set, 3)}).value();
  EXPECT_LT(narrow.tile_width(), lane.tile_width());
  EXPECT_EQ(trimmed(narrow, 3, 3), mean);
  EXPECT_EQ(products(narrow, 3), gram);

  std::reverse(updates.begin(), updates.end());
  const auto reversed = set_of(updates);
  const SetLane other = SetLane::create(*reversed, {}).value();
  EXPECT_EQ(trimmed(other, 3, 2), mean);
  const auto turned = products(other, 2);
  for (std::size_t a = 0; a < kUpdates; ++a) {
    for (std::size_t b = 0; b < kUpdates; ++b) {
      EXPECT_EQ(turned[(kUpdates - 1 - a) * kUpdates + kUpdates - 1 - b], gram[a * kUpdates + b]);
    }
  }
}

TEST(Gram, GivesTheDistancesOfAllPairs) {
  const auto updates = some_updates(6, 5000);
  const auto set = set_of(updates);
  const SetLane lane = SetLane::create(*set, {}).value();
  const auto gram = products(lane, 1);
  for (std::size_t a = 0; a < 6; ++a) {
    for (std::size_t b = 0; b < 6; ++b) {
      double distance = 0.0;
      for (std::size_t i = 0; i < 5000; ++i) {
        const double apart =
            static_cast<double>(updates[a][i]) - static_cast<double>(updates[b][i]);
        distance += apart * apart;
      }
      EXPECT_NEAR(gram[a * 6 + a] + gram[b * 6 + b] - 2.0 * gram[a * 6 + b], distance, 1e-8);
    }
  }
}

TEST(SetLane, RefusesNoUpdateTooManyAndTooLittleMemory) {
  const auto none = staged_updates({}, 5).value();
  const auto refused = SetLane::create(*none, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().detail,
            "a rule over all updates at once takes 1 to 4096 of them, not 0");

  const auto body = test::update_of({1.0F});
  std::vector<std::shared_ptr<const UpdateReader>> bodies(kSetUpdatesMax, body);
  const auto most = staged_updates(bodies, 1).value();
  const SetLane lane = SetLane::create(*most, {}).value();
  EXPECT_EQ(trimmed(lane, 2000, 1), std::vector<float>{1.0F});
  EXPECT_EQ(Gram::create(lane).error().code, errc::invalid_argument);
  bodies.push_back(body);
  const auto beyond = staged_updates(bodies, 1).value();
  EXPECT_EQ(SetLane::create(*beyond, {}).error().code, errc::invalid_argument);

  const auto set = set_of(some_updates(4, 10));
  const std::uint64_t least = least_budget(*set, 2);
  const auto small = SetLane::create(*set, {2, least - 1});
  ASSERT_FALSE(small);
  EXPECT_EQ(small.error().detail,
            "tiles of 4 updates on 2 threads need 8704 bytes, and the budget is 8703: allow more, "
            "or fewer threads");
}

TEST(SetLane, RefusesABodyOfAnotherLengthAndReportsADiskThatFails) {
  const auto odd = staged_updates({test::update_of({1, 2}), test::update_of({1})}, 2);
  ASSERT_FALSE(odd);
  EXPECT_EQ(odd.error().detail, "update 1 of the set has 4 bytes; 2 parameters as float32 have 8");

  const auto broken = test::update_of(values_of(100, 1));
  broken->fails_from = 40;
  const auto set = staged_updates({test::update_of(values_of(100, 2)), broken}, 100).value();
  const SetLane lane = SetLane::create(*set, {}).value();
  std::vector<float> mean(100);
  const kernels::ColumnOrder order(2, 0);
  EXPECT_EQ(trimmed_mean(lane, order, 0, mean).error().code, errc::io_failed);
  EXPECT_TRUE(trimmed_mean(lane, order, 0, std::span(mean).first(10)));
  Gram gram = Gram::create(lane).value();
  EXPECT_EQ(gram.sum_part(Gram::kParts - 1).error().code, errc::io_failed);
}

class JournalledSet : public JournalTest {};

TEST_F(JournalledSet, UpdatesInAJournalAreASet) {
  open();
  const auto updates = some_updates(5, 3000);
  std::vector<std::shared_ptr<const UpdateReader>> bodies;
  for (std::size_t k = 0; k < updates.size(); ++k) {
    Body body(updates[k].size() * sizeof(float));
    std::memcpy(body.data(), updates[k].data(), body.size());
    const std::string client = "device-" + std::to_string(k);
    store(client, body);
    bodies.push_back(journal_->reader(ClientId{client}).value());
  }
  const auto journalled = staged_updates(bodies, 3000).value();
  const auto in_memory = set_of(updates);
  EXPECT_EQ(trimmed(SetLane::create(*journalled, {}).value(), 1, 2),
            trimmed(SetLane::create(*in_memory, {}).value(), 1, 1));
}

}  // namespace
}  // namespace chorus::server
