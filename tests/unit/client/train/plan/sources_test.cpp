// Gradient sources, control variates and meta-learning against numbers worked out by hand.
#include <cmath>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/rng.hpp"
#include "common/tensor/zeroth_order.hpp"
#include "tests/unit/client/train/plan/quadratic.hpp"

namespace chorus::train {
namespace {

using client::TaskReport;
using test::part_of;
using test::Quadratic;
using test::sgd_plan;
using testing::HasSubstr;
using Source = GradientSource::Kind;

constexpr double kNear = 2e-6;

// f₁ = ½(x − 1)², f₂ = ½(x + 3)², K = 2, η = 0.1, full participation.
TEST(ControlVariates, FollowScaffoldForThreeRounds) {
  struct Row {
    double x, c, c1, c2;
  };
  constexpr Row kRounds[] = {{-0.19, 0.95, -0.95, 2.85},
                             {-0.3439, 0.7695, -1.2255, 2.7645},
                             {-0.468559, 0.623295, -1.376455, 2.623045}};
  Quadratic devices[] = {Quadratic({{1.0, 1.0}}), Quadratic({{1.0, -3.0}})};
  TrainPlan plan = sgd_plan(2, 0.1);
  plan.control = ControlVariates::from_steps;
  double x = 0.0;
  double c = 0.0;
  std::uint64_t round = 0;
  for (const Row& row : kRounds) {
    double dx = 0.0;
    double dc = 0.0;
    for (Quadratic& device : devices) {
      device.bring_nothing();
      device.bring("control", c);
      const auto report = device.run(plan, x);
      ASSERT_TRUE(report) << report.error().to_string();
      EXPECT_TRUE(report->delta);
      EXPECT_EQ(report->state_epoch, round);
      dx += device.weight() - x;
      dc += double{part_of(*report, ReportKind::control_delta)[0]};
      device.state.accept();
    }
    x += dx / 2.0;
    c += dc / 2.0;
    ++round;
    EXPECT_NEAR(x, row.x, kNear);
    EXPECT_NEAR(c, row.c, kNear);
    EXPECT_NEAR((*devices[0].state.load("control").value())[0], row.c1, kNear);
    EXPECT_NEAR((*devices[1].state.load("control").value())[0], row.c2, kNear);
  }
}

TEST(ControlVariates, FromGradientIsTheGradientAtTheReceivedModel) {
  Quadratic device({{2.0, 1.0}, {1.0, 4.0}, {3.0, -1.0}});
  device.bring("control", 0.5);
  TrainPlan plan = sgd_plan(2, 0.1, 2);
  plan.control = ControlVariates::from_gradient;
  plan.optimiser.momentum = 0.5;
  const auto report = device.run(plan, 0.0);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_NEAR(part_of(*report, ReportKind::control_delta)[0], (-2.0 - 4.0 + 3.0) / 3.0, kNear);
}

TEST(ControlVariates, OfATaskThatCameToNothingAreForgotten) {
  Quadratic device({{1.0, 1.0}});
  device.bring("control", 0.0);
  TrainPlan plan = sgd_plan(2, 0.1);
  plan.control = ControlVariates::from_steps;
  ASSERT_TRUE(device.run(plan, 0.0));
  device.state.discard();
  const auto again = device.run(plan, 0.0);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->state_epoch, 0U);
  EXPECT_EQ(device.state.load("control").value(), std::nullopt);
}

// fᵢ = ½aᵢ(x − bᵢ)²; V = −1; K = 2, η = 0.1: what miners upload is x − w = −0.18 and −0.16.
TEST(GradientSources, FollowFedAmdsMiners) {
  struct Row {
    test::Parabola f;
    double difference;
  };
  constexpr Row kRows[] = {{{2.0, -1.0}, -0.18}, {{4.0, 0.5}, -0.16}};
  for (const Row& row : kRows) {
    Quadratic device({row.f});
    device.bring("anchor", -1.0);
    TrainPlan plan = sgd_plan(2, 0.1);
    plan.source.kind = Source::variance_reduced;
    EXPECT_NEAR(0.0 - device.trained(plan, 0.0), row.difference, kNear);
  }
}

// With the whole data in each batch d stays the anchor plus what the gradient has changed by.
TEST(GradientSources, VarianceReductionUsesTheSameBatchAtBothPoints) {
  const std::vector<test::Parabola> examples = {{1.0, 2.0}, {3.0, -1.0}};
  Quadratic device(examples);
  device.bring("anchor", 0.25);
  TrainPlan plan = sgd_plan(4, 0.1, 1);  // batches: f₁, f₂, f₁, f₂
  plan.source.kind = Source::variance_reduced;
  double d = 0.25;
  double before = 1.0;
  double w = 1.0;
  for (std::size_t k = 0; k < 4; ++k) {
    const double a = examples[k % 2].a;
    if (k > 0) d += a * (w - before);
    before = w;
    w -= 0.1 * d;
  }
  EXPECT_NEAR(device.trained(plan, 1.0), w, kNear);
}

TEST(GradientSources, TheWholeGradientIsReportedAndNothingMoves) {
  Quadratic device({{1.0, 1.0}, {2.0, -1.0}, {1.0, 3.0}, {4.0, 0.5}, {2.0, 2.0}});
  TrainPlan plan = sgd_plan(1, 0.1, 2);
  plan.budget = {Budget::Unit::epochs, 1};
  plan.source.kind = Source::whole;
  auto report = device.run(plan, 0.0);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_FALSE(report->delta);
  EXPECT_EQ(report->steps, 0U);
  EXPECT_EQ(report->examples, 5U);
  EXPECT_NEAR(part_of(*report, ReportKind::gradient)[0], (-1 + 2 - 3 - 2 - 4) / 5.0, kNear);
  EXPECT_EQ(device.weight(), 0.0);
  plan.budget = {Budget::Unit::examples, 3};  // a large batch: 2 + 1
  report = device.run(plan, 0.0);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->examples, 3U);
  EXPECT_NEAR(part_of(*report, ReportKind::gradient)[0], (-1 + 2 - 3) / 3.0, kNear);
  plan.clip_norm = 0.5;
  report = device.run(plan, 0.0);
  EXPECT_NEAR(part_of(*report, ReportKind::gradient)[0], -0.5, 1e-5);
}

TEST(GradientSources, ZerothOrderStepsAreRepeatedFromTheirScalars) {
  Quadratic device({{1.0, 1.0}, {3.0, -2.0}});
  TrainPlan plan = sgd_plan(5, 0.05);
  plan.seed = 42;
  plan.source = {Source::zeroth_order, 3, 1e-2};
  plan.schedule = {Schedule::Kind::step, 0, 2, 1, 0.5};
  const auto report = device.run(plan, 0.5);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_FALSE(report->delta);
  const auto& scalars = part_of(*report, ReportKind::scalars);
  ASSERT_EQ(scalars.size(), 15U);
  // A parabola's two-point difference is exact: ρ = f′(w)·z.
  EXPECT_NEAR(std::abs(scalars[0]), std::abs((0.5 - 1.0 + 3.0 * 2.5) / 2.0), 1e-3);
  std::vector<float> server = {0.5F};
  ASSERT_TRUE(tensor::replay_zeroth_order(plan, device.network().layout(), scalars, server));
  EXPECT_EQ(server[0], device.network().parameters()[0]) << "bit by bit";
  EXPECT_LT(std::abs(device.weight() - -1.25), std::abs(0.5 - -1.25)) << "towards the minimum";
}

TEST(Meta, FollowsReptile) {
  // ½(w − b)², 2 steps of 0.1 from 0: 0.19 and 0.57; half of the way: 0.095 and 0.285.
  TrainPlan plan = sgd_plan(2, 0.1);
  plan.meta = {Meta::Kind::reptile, 0.5, 0};
  EXPECT_NEAR(Quadratic({{1.0, 1.0}}).trained(plan, 0.0), 0.095, kNear);
  EXPECT_NEAR(Quadratic({{1.0, 3.0}}).trained(plan, 0.0), 0.285, kNear);
  plan.meta.inner_steps = 1;  // two times half a step of 0.1
  EXPECT_NEAR(Quadratic({{1.0, 1.0}}).trained(plan, 0.0), 1.0 - 0.95 * 0.95, kNear);
}

TEST(Meta, FollowsFirstOrderMaml) {
  // α = 0.1, β = 0.05: 0.045 for b = 1, 0.135 for b = 3.
  TrainPlan plan = sgd_plan(1, 0.05);
  plan.meta = {Meta::Kind::first_order_maml, 0.1, 0};
  EXPECT_NEAR(Quadratic({{1.0, 1.0}}).trained(plan, 0.0), 0.045, kNear);
  EXPECT_NEAR(Quadratic({{1.0, 3.0}}).trained(plan, 0.0), 0.135, kNear);
}

TEST(Meta, FirstOrderMamlTakesTwoBatchesAStep) {
  TrainPlan plan = sgd_plan(1, 0.05, 1);
  plan.meta = {Meta::Kind::first_order_maml, 0.1, 0};
  Quadratic device({{1.0, 1.0}, {2.0, 3.0}});
  const auto report = device.run(plan, 0.0);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->examples, 2U);
  EXPECT_NEAR(device.weight(), -0.05 * 2.0 * (0.1 - 3.0), kNear);  // f₁ inside, f₂ outside
}

// Two classes, one input of 1, no bias: the weights are the scores.
class Taught : public testing::Test {
 protected:
  Result<TaskReport> run(const TrainPlan& plan) {
    const client::TaskVector vectors[] = {{"teacher", teacher_}};
    TrainInputs inputs;
    inputs.vectors = vectors;
    std::fill(network_->parameters().begin(), network_->parameters().end(), 0.0F);
    return run_plan(*network_, data_, plan, inputs);
  }

  const std::vector<float> teacher_ = {std::log(3.0F), 0.0F};  // p = 3/4, 1/4
  const client::Dataset data_ = client::Dataset::create({{1.0F}, {1}, {0}, 2}).value();
  std::unique_ptr<Network> network_ = Network::create({{1}, {Dense{"d", 2, false}}}).value();
};

TEST_F(Taught, FollowsAGivenTeacher) {
  TrainPlan plan = sgd_plan(1, 1.0);
  plan.distil = {Distillation::Teacher::given, 1.0, 1.0, false};
  ASSERT_TRUE(run(plan));
  // −∂/∂z₀: 1/2 of the loss, p − q = 1/4 of the teacher.
  EXPECT_NEAR(network_->parameters()[0], 0.75, kNear);
  EXPECT_NEAR(network_->parameters()[1], -0.75, kNear);
  plan.distil.weight = 3.0;
  ASSERT_TRUE(run(plan));
  EXPECT_NEAR(network_->parameters()[0], 1.25, kNear);
}

TEST_F(Taught, WhatWasReceivedTeachesFromTheSecondStepOn) {
  TrainPlan plan = sgd_plan(1, 1.0);
  plan.distil = {Distillation::Teacher::received, 2.0, 1.0, false};
  ASSERT_TRUE(run(plan));
  EXPECT_NEAR(network_->parameters()[0], 0.5, kNear) << "the teacher says what the model says";
  plan.budget.amount = 2;
  ASSERT_TRUE(run(plan));
  const double q = 1.0 / (1.0 + std::exp(-1.0));  // of class 0 after one step
  EXPECT_NEAR(network_->parameters()[0], 0.5 + (1.0 - q) - 2.0 * (q - 0.5), kNear);
}

TEST_F(Taught, TheTeachersNetworkIsKeptForTheNextTask) {
  TrainPlan plan = sgd_plan(3, 1.0);
  plan.distil = {Distillation::Teacher::received, 2.0, 1.0, false};
  ASSERT_TRUE(run(plan));
  const std::vector<float> first(network_->parameters().begin(), network_->parameters().end());
  Network* const teacher = network_->twin().value();
  EXPECT_GT(teacher->arena_bytes(), 0U) << "it has a tape: it was the one that taught";
  EXPECT_EQ(teacher->model(), network_->model());
  ASSERT_TRUE(run(plan));
  EXPECT_EQ(network_->twin().value(), teacher);
  EXPECT_THAT(network_->parameters(), testing::ElementsAreArray(first)) << "nothing is left over";
  plan.distil = {};
  ASSERT_TRUE(run(plan));
  EXPECT_NE(network_->parameters()[0], first[0]) << "and it teaches only who asks";
}

TEST_F(Taught, OfTwoClassesOneIsNotTrue) {
  TrainPlan plan = sgd_plan(1, 1.0);
  plan.distil = {Distillation::Teacher::given, 1.0, 1.0, true};
  ASSERT_TRUE(run(plan));
  EXPECT_NEAR(network_->parameters()[0], 0.5, kNear) << "a single class has share 1 everywhere";
}

TEST_F(Taught, NeedsItsTeacherAndClasses) {
  TrainPlan plan = sgd_plan(1, 1.0);
  plan.distil.teacher = Distillation::Teacher::given;
  const auto absent = run_plan(*network_, data_, plan, {});
  ASSERT_FALSE(absent);
  EXPECT_THAT(absent.error().detail, HasSubstr("needs the vector 'teacher'"));
  plan.distil.teacher = Distillation::Teacher::received;
  Quadratic squares({{1.0, 1.0}});
  const auto refused = squares.run(plan, 0.0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::unsupported_feature);
  EXPECT_THAT(refused.error().detail, HasSubstr("not softmax_cross_entropy"));
}

TEST(Candidates, TheOneOfLeastLossIsTrained) {
  Quadratic device({{1.0, 3.0}});
  device.bring("candidate1", 2.0);
  device.bring("candidate2", 4.5);
  TrainPlan plan = sgd_plan(1, 0.1);
  plan.candidates = 3;
  const auto report = device.run(plan, 0.0);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->metrics.back(), (Metric{"candidate", 1.0}));
  EXPECT_FALSE(report->delta);
  EXPECT_NEAR(part_of(*report, ReportKind::delta)[0], 0.1 * (3.0 - 2.0), kNear);
}

TEST(Vectors, ThatDidNotComeAreNamed) {
  const auto why = [](const TrainPlan& plan) {
    const auto report = Quadratic({{1.0, 1.0}}).run(plan, 0.0);
    return report ? "accepted" : report.error().to_string();
  };
  TrainPlan plan = sgd_plan(1, 0.1);
  plan.source.kind = Source::variance_reduced;
  EXPECT_THAT(why(plan), HasSubstr("needs the vector 'anchor'"));
  plan = sgd_plan(1, 0.1);
  plan.control = ControlVariates::from_steps;
  EXPECT_THAT(why(plan), HasSubstr("needs the vector 'control'"));
  plan = sgd_plan(1, 0.1);
  plan.trainable.mask = true;
  EXPECT_THAT(why(plan), HasSubstr("needs the vector 'mask'"));
  plan = sgd_plan(1, 0.1);
  plan.candidates = 2;
  EXPECT_THAT(why(plan), HasSubstr("needs the vector 'candidate1'"));
}

}  // namespace
}  // namespace chorus::train
