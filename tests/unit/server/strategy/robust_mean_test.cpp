// Median and trimmed mean against numbers computed by hand.
#include "server/strategy/robust_mean.hpp"

#include <algorithm>
#include <numeric>

#include <gtest/gtest.h>

#include "tests/unit/server/update/fake_update.hpp"

namespace chorus::server::test {
namespace {

std::unique_ptr<Strategy> median(double rate = 1.0) {
  StrategySetup setup;
  setup.plan.batch_size = 8;
  setup.examples_max = 1000;
  setup.options = {{"server_learning_rate", rate}};
  return find_strategy("median")->make(setup);
}

std::unique_ptr<Strategy> trimmed(double trim) {
  StrategySetup setup;
  setup.examples_max = 1000;
  setup.options = {{"server_learning_rate", 1.0}, {"trim", trim}};
  return find_strategy("trimmed_mean")->make(setup);
}

using Updates = std::vector<std::vector<float>>;

/// The mean update of parameters [first, …).
std::vector<float> combined(const Strategy& strategy,
                            const Updates& updates,
                            std::uint64_t first = 0) {
  std::vector<std::shared_ptr<const UpdateReader>> bodies;
  for (const auto& update : updates) bodies.push_back(update_of(update));
  const std::size_t parameters = updates.front().size();
  const auto set = staged_updates(std::move(bodies), parameters).value();
  const SetLane lane = SetLane::create(*set, {}).value();
  std::vector<float> mean(parameters - first);
  EXPECT_TRUE(strategy.set_rule()->mean_of(lane)(first, mean));
  return mean;
}

/// Values of one coordinate.
float of(const Strategy& strategy, const std::vector<float>& values) {
  Updates updates;
  for (const float value : values) updates.push_back({value});
  return combined(strategy, updates).front();
}

TEST(Median, IsTheMiddleOrTheMeanOfTheTwoInTheMiddle) {
  const auto strategy = median();
  EXPECT_EQ(of(*strategy, {7}), 7.0F);
  EXPECT_EQ(of(*strategy, {7, -1}), 3.0F);
  EXPECT_EQ(of(*strategy, {3, 1, 2}), 2.0F);
  EXPECT_EQ(of(*strategy, {4, 1, 8, 2}), 3.0F);
  EXPECT_EQ(of(*strategy, {5, 1, 5, 5, 0}), 5.0F) << "ties";
  EXPECT_EQ(of(*strategy, {1, 1, 2, 2}), 1.5F);
  EXPECT_EQ(of(*strategy, {-0.0F, 0.0F, -0.0F}), 0.0F);
  EXPECT_EQ(of(*strategy, {1, 2, 3, 1e30F, -1e30F}), 2.0F);
}

TEST(Median, EveryCoordinateIsByItself) {
  const Updates updates{{1, 30, -5}, {2, 10, 5}, {3, 20, 0}};
  EXPECT_EQ(combined(*median(), updates), (std::vector<float>{2, 20, 0}));
  EXPECT_EQ(combined(*median(), updates, 1), (std::vector<float>{20, 0}));
}

TEST(TrimmedMean, LeavesOutAShareAtEitherEnd) {
  const std::vector<float> ten{10, -100, 2, 3, 4, 5, 6, 7, 1000, 9};
  EXPECT_EQ(of(*trimmed(0.1), ten), 5.75F);  // (2+3+4+5+6+7+9+10) / 8
  EXPECT_EQ(of(*trimmed(0.2), ten), 34.0F / 6.0F);
  EXPECT_EQ(of(*trimmed(0.0), ten), 94.6F);
  EXPECT_EQ(of(*trimmed(0.25), {1, 1, 1, 9}), 1.0F) << "of equal values any is left out";
}

TEST(TrimmedMean, TheShareIsRoundedUpAndLeavesTheMedianAtLeast) {
  const struct {
    double share;
    std::uint64_t updates;
    std::uint64_t trimmed;
  } cases[] = {{0.1, 1, 0},
               {0.1, 2, 0},
               {0.1, 3, 1},
               {0.1, 9, 1},
               {0.1, 10, 1},
               {0.1, 11, 2},
               {0.1, 30, 3},
               {0.07, 100, 7},
               {0.29, 100, 29},
               {0.07, 101, 8},
               {0.4, 5, 2},
               {0.4, 6, 2},
               {0.49, 3, 1},
               {0.49, 4, 1},
               {0.49, 100, 49},
               {0.49, 101, 50},
               {0.0, 4096, 0},
               {0.1, 4096, 410}};
  for (const auto& one : cases) {
    EXPECT_EQ(trimmed_updates(one.share, one.updates), one.trimmed)
        << one.share << " of " << one.updates;
  }
  for (std::uint64_t n = 1; n <= 4096; ++n) {
    for (const double share : {0.0, 0.1, 0.25, 1.0 / 3.0, 0.49}) {
      const std::uint64_t b = trimmed_updates(share, n);
      ASSERT_LT(2 * b, n);
      ASSERT_GE(b, static_cast<std::uint64_t>(share * static_cast<double>(n)));
    }
  }
  EXPECT_EQ(of(*trimmed(0.4), {1, 2, 3, 50, 60, 70}), of(*median(), {1, 2, 3, 50, 60, 70}));
}

// One of ten says −100 times what the others do.
TEST(RobustMeans, ALiarMovesFedAvgAndNotThem) {
  Updates updates;
  for (int k = 0; k < 9; ++k) updates.push_back({1.0F + 0.01F * static_cast<float>(k)});
  updates.push_back({-100.0F});
  double sum = 0.0;
  for (const auto& update : updates) sum += static_cast<double>(update.front());
  EXPECT_LT(sum / 10.0, -9.0) << "what FedAvg would make of them";
  for (const auto& strategy : {median(), trimmed(0.1)}) {
    const float mean = combined(*strategy, updates).front();
    EXPECT_GE(mean, 1.0F);
    EXPECT_LE(mean, 1.08F);
  }
}

TEST(RobustMeans, NoLiarMovesACoordinateBeyondTheHonest) {
  for (const std::size_t updates : {3U, 4U, 7U, 10U, 25U, 100U}) {
    const auto liars = static_cast<std::size_t>(0.3 * static_cast<double>(updates));
    std::vector<float> honest(updates - liars);
    std::iota(honest.begin(), honest.end(), -3.0F);
    for (const float lie : {-1e30F, 1e30F, 0.25F}) {
      std::vector<float> values(liars, lie);
      values.insert(values.end(), honest.begin(), honest.end());
      for (const auto& strategy : {median(), trimmed(0.3)}) {
        EXPECT_GE(of(*strategy, values), honest.front()) << updates;
        EXPECT_LE(of(*strategy, values), honest.back()) << updates;
      }
    }
  }
}

TEST(RobustMeans, TheServerLearningRateScalesTheStep) {
  std::vector<float> x{1.0F, -2.0F};
  median(0.5)->finalise(std::vector<float>{4.0F, 2.0F}, x);
  EXPECT_EQ(x, (std::vector<float>{3.0F, -1.0F}));
}

TEST(RobustMeans, EveryDeviceCountsAlikeWithinItsBounds) {
  for (const auto& strategy : {median(), trimmed(0.1)}) {
    EXPECT_EQ(strategy->weight_max(), 1U);
    UpdateMeta meta;
    for (const std::uint64_t examples : {1U, 1000U}) {
      meta.examples = Examples{examples};
      EXPECT_EQ(strategy->admit(meta).value(), 1U);
    }
    for (const std::uint64_t examples : {0U, 1001U}) {
      meta.examples = Examples{examples};
      EXPECT_EQ(strategy->admit(meta).error().code, errc::weight_out_of_range);
    }
  }
}

TEST(RobustMeans, NeedAllUpdatesAndThreeOfThem) {
  EXPECT_EQ(median()->set_rule()->updates_min(), 3U);
  EXPECT_EQ(trimmed(0.1)->set_rule()->updates_min(), 3U);
  EXPECT_EQ(trimmed(0.0)->set_rule()->updates_min(), 1U) << "nothing is left out";
  StrategySetup fedavg;
  fedavg.options = {{"server_learning_rate", 1.0}, {"weighting", std::string("uniform")}};
  EXPECT_EQ(find_strategy("fedavg")->make(fedavg)->set_rule(), nullptr);
}

TEST(RobustMeans, ThePlanIsTheJobsWithTheTasksSeed) {
  const RoundContext round{JobId{"digits"}, RoundId{3}, 42};
  const TrainPlan plan = median()->plan(round, ClientId{"gate-7"});
  EXPECT_EQ(plan.batch_size, 8U);
  EXPECT_EQ(plan.seed, task_seed(round, ClientId{"gate-7"}));
}

}  // namespace
}  // namespace chorus::server::test
