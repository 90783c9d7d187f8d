// FedAvg against numbers computed by hand, and the plans it gives.
#include "server/strategy/fedavg.hpp"

#include <algorithm>
#include <functional>
#include <set>

#include <gtest/gtest.h>

#include "common/base/rng.hpp"
#include "tests/unit/server/update/fake_update.hpp"

namespace chorus::server::test {
namespace {

StrategySetup setup(const std::string& weighting = "examples", double rate = 1.0) {
  StrategySetup setup;
  setup.plan.batch_size = 8;
  setup.examples_max = 1000;
  setup.options = {{"weighting", weighting}, {"server_learning_rate", rate}};
  return setup;
}

std::unique_ptr<Strategy> fedavg(const StrategySetup& made_from = setup()) {
  return find_strategy("fedavg")->make(made_from);
}

struct Device {
  std::uint64_t examples;
  std::vector<float> y;  ///< its model after training
};

/// One round: every device trained from x.
std::vector<float> round(const Strategy& strategy,
                         const std::vector<float>& x,
                         const std::vector<Device>& devices) {
  const LaneBounds bounds{devices.size(), strategy.weight_max(), 100.0};
  Lane lane = Lane::create(plain_form(x.size()), bounds).value();
  std::vector<Contribution> updates;
  for (const Device& device : devices) {
    std::vector<float> delta(x.size());
    std::transform(device.y.begin(), device.y.end(), x.begin(), delta.begin(), std::minus<>());
    UpdateMeta meta;
    meta.examples = Examples{device.examples};
    updates.push_back(contribution_of(std::move(delta), strategy.admit(meta).value()));
  }
  LaneRange range{0, x.size()};
  EXPECT_TRUE(lane.fold(updates, range));
  lane.count_weights(updates);
  std::vector<float> mean(x.size());
  lane.mean(0, mean);
  std::vector<float> next = x;
  strategy.finalise(mean, next);
  return next;
}

// n = (10, 30, 60), y = (1, 2, 4): (10·1 + 30·2 + 60·4) / 100 = 3.1
TEST(FedAvg, WeighsByExamples) {
  const auto strategy = fedavg();
  EXPECT_EQ(strategy->weight_max(), 1000U);
  for (const float x : {0.0F, 0.5F, -8.0F}) {  // the mean does not depend on where they began
    const auto next = round(*strategy, {x}, {{10, {1.0F}}, {30, {2.0F}}, {60, {4.0F}}});
    ASSERT_EQ(next.size(), 1U);
    EXPECT_FLOAT_EQ(next[0], 3.1F);
  }
}

TEST(FedAvg, OneDeviceAloneGivesItsModel) {
  EXPECT_EQ(round(*fedavg(), {1.0F, 2.0F}, {{7, {1.5F, -0.25F}}}),
            (std::vector<float>{1.5F, -0.25F}));
}

TEST(FedAvg, DropOutsDoNotShrinkTheModel) {
  EXPECT_EQ(round(*fedavg(), {4.0F}, {{10, {8.0F}}, {10, {8.0F}}}), (std::vector<float>{8.0F}));
}

TEST(FedAvg, UniformWeightsTakeEveryDeviceAlike) {
  const auto strategy = fedavg(setup("uniform"));
  EXPECT_EQ(strategy->weight_max(), 1U);
  const auto next = round(*strategy, {0.0F}, {{10, {1.0F}}, {30, {2.0F}}, {60, {4.0F}}});
  EXPECT_FLOAT_EQ(next[0], 7.0F / 3.0F);
}

TEST(FedAvg, TheServerLearningRateScalesTheStep) {
  EXPECT_FLOAT_EQ(round(*fedavg(setup("examples", 0.5)), {1.0F}, {{10, {3.0F}}})[0], 2.0F);
  EXPECT_FLOAT_EQ(round(*fedavg(setup("examples", 2.0)), {1.0F}, {{10, {3.0F}}})[0], 5.0F);
}

TEST(FedAvg, LongTilesAreWhole) {
  constexpr std::size_t kLong = 65536 + 3;
  std::vector<float> x(kLong);
  std::vector<float> y(kLong);
  for (std::size_t i = 0; i < kLong; ++i) {
    x[i] = static_cast<float>(i % 97);
    y[i] = x[i] + static_cast<float>(i % 13) * 0.25F;
  }
  EXPECT_EQ(round(*fedavg(), x, {{5, y}, {3, y}}), y);
}

TEST(FedAvg, ExamplesOfZeroOrBeyondTheMostAreRefused) {
  for (const auto& strategy : {fedavg(), fedavg(setup("uniform"))}) {
    UpdateMeta meta;
    for (const std::uint64_t examples :
         {std::uint64_t{0}, std::uint64_t{1001}, ~std::uint64_t{0}}) {
      meta.examples = Examples{examples};
      const auto admitted = strategy->admit(meta);
      ASSERT_FALSE(admitted);
      EXPECT_EQ(admitted.error().code, errc::weight_out_of_range);
      EXPECT_NE(admitted.error().detail.find("examples_max = 1000"), std::string::npos);
    }
    meta.examples = Examples{1000};
    EXPECT_TRUE(strategy->admit(meta));
  }
}

// ---- plans and the list ----

TEST(Strategies, AreFoundByName) {
  EXPECT_EQ(find_strategy("fedavg"), &all_strategies().front());
  EXPECT_EQ(find_strategy("fedavgm"), nullptr);
  EXPECT_EQ(find_strategy(""), nullptr);
}

TEST(Strategies, EveryEntryExplainsItself) {
  for (const StrategyEntry& entry : all_strategies()) {
    EXPECT_FALSE(entry.summary.empty());
    for (const OptionSpec& option : entry.options) {
      EXPECT_FALSE(option.help.empty()) << option.name;
      if (std::holds_alternative<double>(option.fallback)) {
        EXPECT_LE(option.at_least, std::get<double>(option.fallback));
        EXPECT_GE(option.at_most, std::get<double>(option.fallback));
      }
    }
  }
}

TEST(TaskSeed, IsAFunctionOfJobSeedJobRoundAndDevice) {
  const RoundContext round{JobId{"digits"}, RoundId{3}, 42};
  const ClientId client{"gate-7"};
  EXPECT_EQ(task_seed(round, client),
            5670687711176526404U);  // golden: devices in the field rely on it
  std::set<std::uint64_t> seeds{task_seed(round, client)};
  seeds.insert(task_seed({JobId{"digits"}, RoundId{3}, 43}, client));
  seeds.insert(task_seed({JobId{"digits"}, RoundId{4}, 42}, client));
  seeds.insert(task_seed({JobId{"digit"}, RoundId{3}, 42}, client));
  seeds.insert(task_seed(round, ClientId{"gate-8"}));
  seeds.insert(task_seed({JobId{"digits"}, RoundId{31}, 42}, ClientId{"gate-7"}));
  EXPECT_EQ(seeds.size(), 6U);
}

TEST(FedAvg, ThePlanIsTheJobsWithTheTasksSeed) {
  const RoundContext round{JobId{"digits"}, RoundId{3}, 42};
  TrainPlan expected = setup().plan;
  expected.seed = task_seed(round, ClientId{"gate-7"});
  EXPECT_EQ(fedavg()->plan(round, ClientId{"gate-7"}), expected);
}

}  // namespace
}  // namespace chorus::server::test
