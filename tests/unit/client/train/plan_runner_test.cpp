#include "client/train/plan_runner.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/train/sgd.hpp"
#include "tests/unit/client/train/examples.hpp"

namespace chorus::train {
namespace {

using client::CancelToken;
using client::Dataset;
using client::TaskReport;
using test::make_examples;
using testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class PlanRunner : public testing::Test {
 protected:
  void SetUp() override {
    auto network = Network::create(model_);
    ASSERT_TRUE(network) << network.error().to_string();
    network_ = std::move(network).value();
    restart();
  }

  void restart() {
    const auto start = test::start_of(model_);
    std::copy(start.begin(), start.end(), network_->parameters().begin());
  }

  Result<TaskReport> run(const TrainPlan& plan) {
    restart();
    return run_plan(*network_, data_, plan, never_);
  }

  std::vector<float> trained(const TrainPlan& plan) {
    EXPECT_TRUE(run(plan));
    return {network_->parameters().begin(), network_->parameters().end()};
  }

  static TrainPlan plan_of(Budget budget, std::uint32_t batch = 8) {
    TrainPlan plan;
    plan.budget = budget;
    plan.batch_size = batch;
    plan.optimiser = {0.1, 0.5, 0.001};
    return plan;
  }

  const ModelSpec model_{{6}, {Dense{"", 8}, Relu{}, Dense{"", 3}}};
  const Dataset data_ = make_examples({6}, 21, 3);
  const CancelToken never_{};
  std::unique_ptr<Network> network_;
};

TEST_F(PlanRunner, TrainsEpochsWithASmallerLastBatch) {
  const auto report = run(plan_of({Budget::Unit::epochs, 3}));
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->steps, 9U);
  EXPECT_EQ(report->examples, 21U);
  ASSERT_EQ(report->metrics.size(), 2U);
  EXPECT_EQ(report->metrics[0].name, "loss");
  EXPECT_EQ(report->metrics[1].name, "accuracy");
}

TEST_F(PlanRunner, StopsAfterTheStepsOfTheBudget) {
  const auto few = run(plan_of({Budget::Unit::steps, 2}));
  ASSERT_TRUE(few);
  EXPECT_EQ(few->steps, 2U);
  EXPECT_EQ(few->examples, 16U);
  const auto many = run(plan_of({Budget::Unit::steps, 10}));
  ASSERT_TRUE(many);
  EXPECT_EQ(many->steps, 10U);
  EXPECT_EQ(many->examples, 21U);
}

TEST_F(PlanRunner, StopsAfterTheExamplesOfTheBudget) {
  const auto few = run(plan_of({Budget::Unit::examples, 11}));
  ASSERT_TRUE(few);
  EXPECT_EQ(few->steps, 2U);
  EXPECT_EQ(few->examples, 11U);
  const auto many = run(plan_of({Budget::Unit::examples, 50}));
  ASSERT_TRUE(many);
  EXPECT_EQ(many->steps, 7U);  // 8 8 5, 8 8 5, 8
  EXPECT_EQ(many->examples, 21U);
}

TEST_F(PlanRunner, StopsAfterTheSecondsOfTheBudget) {
  const auto report = run(plan_of({Budget::Unit::seconds, 0.02}));
  ASSERT_TRUE(report);
  EXPECT_GE(report->steps, 1U);
  const auto least = run(plan_of({Budget::Unit::seconds, 1e-12}));
  ASSERT_TRUE(least);
  EXPECT_EQ(least->steps, 1U);
  EXPECT_EQ(least->examples, 8U);
}

TEST_F(PlanRunner, BatchesMayBeLargerThanTheData) {
  const auto report = run(plan_of({Budget::Unit::epochs, 2}, 4'000'000'000U));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->steps, 2U);
}

TEST_F(PlanRunner, SameSeedSameBits) {
  TrainPlan plan = plan_of({Budget::Unit::epochs, 5});
  plan.seed = 11;
  const auto first = trained(plan);
  EXPECT_EQ(trained(plan), first);
  network_.reset();  // and with primitives made afresh
  SetUp();
  EXPECT_EQ(trained(plan), first);
  plan.seed = 12;
  EXPECT_NE(trained(plan), first);
}

TEST_F(PlanRunner, ShufflesEveryEpochAnew) {
  // With batches of one example and no randomness elsewhere, two epochs in the order of the first
  // are 42 steps in that order; another order gives other parameters.
  TrainPlan natural = plan_of({Budget::Unit::epochs, 2}, 1);
  natural.order = Order::natural;
  TrainPlan shuffled = natural;
  shuffled.order = Order::shuffled;
  EXPECT_NE(trained(natural), trained(shuffled));
}

TEST_F(PlanRunner, LearnsWhatCanBeLearnt) {
  const auto before = run_plan(*network_, data_, EvaluatePlan{}, never_);
  const auto report = run(plan_of({Budget::Unit::epochs, 60}));
  const auto after = run_plan(*network_, data_, EvaluatePlan{}, never_);
  ASSERT_TRUE(before && report && after);
  EXPECT_LT(after->metrics[0].value, 0.3 * before->metrics[0].value);
  EXPECT_GE(after->metrics[1].value, 0.95);
}

TEST_F(PlanRunner, RefusesPlansOutOfRange) {
  const auto refused = [this](const TrainPlan& plan, errc code, const char* what) {
    const auto report = run(plan);
    ASSERT_FALSE(report) << what;
    EXPECT_EQ(report.error().code, code) << report.error().detail;
    EXPECT_THAT(report.error().detail, HasSubstr(what));
  };
  const TrainPlan good = plan_of({Budget::Unit::epochs, 1});
  for (const double amount : {0.0, -1.0, 1.5, kNan, kInfinity}) {
    TrainPlan plan = good;
    plan.budget.amount = amount;
    refused(plan, errc::invalid_argument, "budget");
  }
  for (const double rate : {0.0, -0.1, kNan, kInfinity}) {
    TrainPlan plan = good;
    plan.optimiser.learning_rate = rate;
    refused(plan, errc::invalid_argument, "learning_rate");
  }
  for (const double momentum : {-0.1, 1.0, kNan, kInfinity}) {
    TrainPlan plan = good;
    plan.optimiser.momentum = momentum;
    refused(plan, errc::invalid_argument, "momentum");
  }
  for (const double decay : {-0.1, kNan, kInfinity}) {
    TrainPlan plan = good;
    plan.optimiser.weight_decay = decay;
    refused(plan, errc::invalid_argument, "weight_decay");
  }
  TrainPlan plan = good;
  plan.batch_size = 0;
  refused(plan, errc::invalid_argument, "batch_size");
  plan = good;
  plan.budget.unit = static_cast<Budget::Unit>(9);
  refused(plan, errc::unsupported_feature, "unit 9");
  plan = good;
  plan.order = static_cast<Order>(7);
  refused(plan, errc::unsupported_feature, "order 7");
  EXPECT_EQ(run_plan(*network_, data_, EvaluatePlan{0}, never_).error().code,
            errc::invalid_argument);
}

TEST_F(PlanRunner, StopsWhenCancelled) {
  CancelToken cancel;
  cancel.cancel();
  EXPECT_EQ(run_plan(*network_, data_, plan_of({Budget::Unit::epochs, 1}), cancel).error().code,
            errc::cancelled);
  EXPECT_EQ(run_plan(*network_, data_, EvaluatePlan{}, cancel).error().code, errc::cancelled);
}

TEST_F(PlanRunner, SaysThatTheLearningRateIsTooLarge) {
  TrainPlan plan = plan_of({Budget::Unit::epochs, 50});
  plan.optimiser = {1e18, 0.0, 0.0};
  const auto report = run(plan);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, errc::not_finite);
  EXPECT_THAT(report.error().detail, HasSubstr("learning rate of 1e+18 is likely too large"));
}

TEST_F(PlanRunner, NoticesParametersThatBecomeInfiniteInTheLastStep) {
  TrainPlan plan = plan_of({Budget::Unit::steps, 1});
  plan.optimiser = {1e300, 0.0, 0.0};  // infinite as float32
  EXPECT_EQ(run(plan).error().code, errc::not_finite);
}

TEST_F(PlanRunner, RefusesModelsThatAreNotFinite) {
  network_->parameters()[0] = std::numeric_limits<float>::quiet_NaN();
  const auto bias = static_cast<std::size_t>(network_->layout().tensors[3].offset);
  network_->parameters()[bias] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(run_plan(*network_, data_, EvaluatePlan{}, never_).error().code, errc::not_finite);
}

TEST_F(PlanRunner, RefusesDataThatTheModelDoesNotTake) {
  const auto refused = [this](const Dataset& data, const char* what) {
    const auto report = run_plan(*network_, data, EvaluatePlan{}, never_);
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, errc::unsupported_feature);
    EXPECT_THAT(report.error().detail, HasSubstr(what));
  };
  refused(Dataset(), "no hold-out examples");
  refused(make_examples({7}, 4, 3), "the examples here are 7; the model expects 6");
  refused(make_examples({6}, 50, 6), "the model's 3 outputs");
  EXPECT_TRUE(run_plan(*network_, make_examples({1, 2, 3}, 4, 3), EvaluatePlan{}, never_));
}

TEST(Sgd, FollowsPyTorchsForm) {
  std::vector<float> weights = {1.0F, -2.0F};
  std::vector<float> velocity = {0.0F, 0.0F};
  const std::vector<float> gradient = {0.5F, 0.25F};
  const Sgd options{0.1, 0.9, 0.01};
  sgd_step(options, weights, gradient, velocity);
  EXPECT_FLOAT_EQ(velocity[0], 0.51F);
  EXPECT_FLOAT_EQ(weights[0], 1.0F - 0.051F);
  EXPECT_FLOAT_EQ(velocity[1], 0.23F);
  sgd_step(options, weights, gradient, velocity);
  EXPECT_FLOAT_EQ(velocity[0], 0.9F * 0.51F + 0.5F + 0.01F * 0.949F);
  EXPECT_FLOAT_EQ(weights[0], 0.949F - 0.1F * velocity[0]);
}

TEST(Sgd, NeedsNoVelocityWithoutMomentum) {
  std::vector<float> weights = {1.0F};
  sgd_step({0.1, 0.0, 0.5}, weights, std::vector<float>{2.0F}, {});
  EXPECT_FLOAT_EQ(weights[0], 1.0F - 0.1F * 2.5F);
}

}  // namespace
}  // namespace chorus::train
