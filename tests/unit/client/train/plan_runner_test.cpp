#include "client/train/plan_runner.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
    return run_plan(*network_, data_, plan, {&never_});
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
  EXPECT_EQ(run_plan(*network_, data_, plan_of({Budget::Unit::epochs, 1}), {&cancel}).error().code,
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

// Two steps on a model without hidden layers, where the gradient is known in closed form.
class PlanVocabulary : public testing::Test {
 protected:
  // loss = mean (w·x + b − t)², one feature: ∂/∂w = 2·mean((w·x + b − t)·x), ∂/∂b the same without
  // x
  static client::Dataset data() {
    client::Dataset::Parts parts{
        {1.0F, 2.0F, -1.0F, 0.5F}, {1}, {}, 0, {1.0F, 0.0F, 2.0F, -1.0F}, 1};
    auto made = client::Dataset::create(std::move(parts));
    EXPECT_TRUE(made) << made.error().to_string();
    return std::move(made).value();
  }
  static std::vector<float> trained(const TrainPlan& plan) {
    auto network = Network::create({{1}, {Dense{"", 1}}, Loss::mean_squared_error, {}});
    EXPECT_TRUE(network);
    (*network)->parameters()[0] = 0.5F;
    (*network)->parameters()[1] = -0.25F;
    const client::CancelToken never{};
    const auto report = run_plan(**network, data(), plan, {&never});
    EXPECT_TRUE(report) << report.error().to_string();
    EXPECT_EQ(report->metrics[1].name, "rmse");
    return {(*network)->parameters()[0], (*network)->parameters()[1]};
  }
  struct Point {
    double w, b;
  };
  static Point gradient(const Point& at, std::size_t first, std::size_t count) {
    const client::Dataset examples = data();
    Point sum{0.0, 0.0};
    for (std::size_t i = first; i < first + count; ++i) {
      const client::Example example = examples.example(i).value();
      const double x = example.features[0];
      const double error = at.w * x + at.b - double{example.targets[0]};
      sum.w += 2.0 * error * x / static_cast<double>(count);
      sum.b += 2.0 * error / static_cast<double>(count);
    }
    return sum;
  }
  static TrainPlan plan_of(std::uint32_t batch, double steps) {
    TrainPlan plan;
    plan.budget = {Budget::Unit::steps, steps};
    plan.batch_size = batch;
    plan.order = Order::natural;
    plan.optimiser.learning_rate = 0.1;
    return plan;
  }
  static constexpr Point kFirst{0.5, -0.25};
};

TEST_F(PlanVocabulary, PlainSgdWithDecayIsFused) {
  TrainPlan plan = plan_of(4, 1);
  plan.optimiser.weight_decay = 0.5;
  const Point g = gradient(kFirst, 0, 4);
  const auto got = trained(plan);
  EXPECT_NEAR(got[0], 0.5 - 0.1 * (g.w + 0.5 * 0.5), 1e-6);
  EXPECT_NEAR(got[1], -0.25 - 0.1 * (g.b + 0.5 * -0.25), 1e-6);
}

TEST_F(PlanVocabulary, TheProximalTermPullsBackToTheReceivedModel) {
  TrainPlan plan = plan_of(4, 2);
  plan.proximal = 0.5;
  const Point g = gradient(kFirst, 0, 4);
  const Point second{0.5 - 0.1 * g.w, -0.25 - 0.1 * g.b};
  const Point h = gradient(second, 0, 4);
  const auto got = trained(plan);
  EXPECT_NEAR(got[0], second.w - 0.1 * (h.w + 0.5 * (second.w - 0.5)), 1e-6);
  EXPECT_NEAR(got[1], second.b - 0.1 * (h.b + 0.5 * (second.b + 0.25)), 1e-6);
}

TEST_F(PlanVocabulary, ClippingBoundsTheStep) {
  TrainPlan plan = plan_of(4, 1);
  plan.clip_norm = 0.01;
  const auto got = trained(plan);
  EXPECT_NEAR(std::hypot(got[0] - 0.5, got[1] + 0.25), 0.1 * 0.01, 1e-6);
}

TEST_F(PlanVocabulary, AccumulatedBatchesAreOneLargeBatch) {
  TrainPlan plan = plan_of(3, 1);  // 3 + 1 examples
  plan.accumulate = 2;
  const Point g = gradient(kFirst, 0, 4);
  const auto got = trained(plan);
  EXPECT_NEAR(got[0], 0.5 - 0.1 * g.w, 1e-6);
  EXPECT_NEAR(got[1], -0.25 - 0.1 * g.b, 1e-6);
}

TEST_F(PlanVocabulary, TheScheduleSetsTheRateOfEveryStep) {
  TrainPlan plan = plan_of(4, 2);
  plan.schedule.kind = Schedule::Kind::step;
  plan.schedule.factor = 0.25;
  const Point g = gradient(kFirst, 0, 4);
  const Point second{0.5 - 0.1 * g.w, -0.25 - 0.1 * g.b};
  const Point h = gradient(second, 0, 4);
  EXPECT_NEAR(trained(plan)[0], second.w - 0.025 * h.w, 1e-6);
}

TEST_F(PlanVocabulary, FusedAndWholeStepsAgree) {
  TrainPlan fused = plan_of(3, 7);
  TrainPlan whole = fused;
  whole.clip_norm = 1e9;
  const auto a = trained(fused);
  const auto b = trained(whole);
  EXPECT_NEAR(a[0], b[0], 1e-6);
  EXPECT_NEAR(a[1], b[1], 1e-6);
}

TEST_F(PlanVocabulary, RefusesWhatIsOutOfRange) {
  const auto why = [](const std::function<void(TrainPlan&)>& change) -> std::string {
    TrainPlan plan;
    change(plan);
    const auto checked = check_plan(plan);
    return checked ? "accepted" : checked.error().detail;
  };
  EXPECT_EQ(why([](TrainPlan&) {}), "accepted");
  EXPECT_THAT(why([](TrainPlan& p) { p.clip_norm = -1; }), HasSubstr("clip_norm is -1"));
  EXPECT_THAT(why([](TrainPlan& p) { p.proximal = NAN; }), HasSubstr("proximal is nan"));
  EXPECT_THAT(why([](TrainPlan& p) { p.accumulate = 0; }), HasSubstr("accumulate is 0"));
  EXPECT_THAT(why([](TrainPlan& p) { p.optimiser.beta2 = 1; }), HasSubstr("beta2 is 1"));
  EXPECT_THAT(why([](TrainPlan& p) { p.optimiser.epsilon = 0; }), HasSubstr("epsilon is 0"));
  EXPECT_THAT(why([](TrainPlan& p) { p.optimiser.nesterov = true; }), HasSubstr("nesterov"));
  EXPECT_THAT(why([](TrainPlan& p) { p.schedule.factor = 2; }), HasSubstr("schedule.factor is 2"));
  EXPECT_THAT(why([](TrainPlan& p) { p.schedule.every_steps = 0; }), HasSubstr("every_steps is 0"));
  EXPECT_THAT(why([](TrainPlan& p) {
                p.schedule.kind = Schedule::Kind::cosine;
                p.schedule.warmup_steps = 5;
              }),
              HasSubstr("total_steps is 1; expected more than warmup_steps"));
  EXPECT_THAT(why([](TrainPlan& p) {
                p.optimiser.kind = Optimiser::Kind::adam;
                p.optimiser.momentum = 0.5;
              }),
              HasSubstr("only sgd"));
  EXPECT_THAT(why([](TrainPlan& p) { p.optimiser.kind = static_cast<Optimiser::Kind>(9); }),
              HasSubstr("optimiser 9 is unknown"));
}

}  // namespace
}  // namespace chorus::train
