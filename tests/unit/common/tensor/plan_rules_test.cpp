#include "common/tensor/plan_rules.hpp"

#include <functional>
#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "common/tensor/tensor_selection.hpp"
#include "common/tensor/zeroth_order.hpp"

namespace chorus::tensor {
namespace {

using testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

TEST(PlanRules, NameTheFieldThatIsOutOfRange) {
  struct Row {
    std::string field;
    std::function<void(TrainPlan&)> change;
  };
  const auto curriculum = [](TrainPlan& p) -> Curriculum& {
    p.order = Order::curriculum;
    return p.curriculum;
  };
  const auto zeroth = [](TrainPlan& p) -> GradientSource& {
    p.source.kind = GradientSource::Kind::zeroth_order;
    return p.source;
  };
  const Row rows[] = {
      {"early_stop.loss", [](TrainPlan& p) { p.early_stop.loss = -1; }},
      {"early_stop.loss", [](TrainPlan& p) { p.early_stop.loss = kInf; }},
      {"early_stop.improvement",
       [](TrainPlan& p) {
         p.early_stop = {0, 2, -0.1, 0};
       }},
      {"early_stop.improvement", [](TrainPlan& p) { p.early_stop.improvement = 0.1; }},
      {"early_stop.gradient_norm", [](TrainPlan& p) { p.early_stop.gradient_norm = kNan; }},
      {"curriculum.start", [&](TrainPlan& p) { curriculum(p).start = 0; }},
      {"curriculum.start", [&](TrainPlan& p) { curriculum(p).start = 1.1; }},
      {"curriculum.full", [&](TrainPlan& p) { curriculum(p).full = kNan; }},
      {"curriculum.start", [](TrainPlan& p) { p.curriculum.hardest_first = true; }},
      {"source.directions", [&](TrainPlan& p) { zeroth(p).directions = 0; }},
      {"source.directions", [&](TrainPlan& p) { zeroth(p).directions = 1025; }},
      {"source.distance", [&](TrainPlan& p) { zeroth(p).distance = 0; }},
      {"source.distance", [](TrainPlan& p) { p.source.directions = 2; }},
      {"meta.rate",
       [](TrainPlan& p) {
         p.meta = {Meta::Kind::reptile, 1.5, 0};
       }},
      {"meta.rate",
       [](TrainPlan& p) {
         p.meta = {Meta::Kind::first_order_maml, 0, 0};
       }},
      {"meta.rate", [](TrainPlan& p) { p.meta.rate = 0.5; }},
      {"meta.inner_steps",
       [](TrainPlan& p) {
         p.meta = {Meta::Kind::first_order_maml, 1, 3};
       }},
      {"trainable", [](TrainPlan& p) { p.trainable.only.resize(65, "*"); }},
      {"trainable", [](TrainPlan& p) { p.trainable.only = {""}; }},
      {"frozen", [](TrainPlan& p) { p.trainable.frozen = {std::string(257, 'x')}; }},
      {"local", [](TrainPlan& p) { p.local.resize(65, "*"); }},
      {"probe.representation", [](TrainPlan& p) { p.probe.representation.assign(64, 'a'); }},
      {"probe.by_class", [](TrainPlan& p) { p.probe.by_class = true; }},
      {"probe.only", [](TrainPlan& p) { p.probe.only = true; }},
      {"candidates", [](TrainPlan& p) { p.candidates = 0; }},
      {"candidates", [](TrainPlan& p) { p.candidates = 65; }},
      {"normalise.mean", [](TrainPlan& p) { p.normalise.resize(limits::kPlanScalesMax + 1); }},
      {"normalise.mean",
       [](TrainPlan& p) {
         p.normalise = {{0, 1}, {kNan, 1}};
       }},
      {"normalise.deviation",
       [](TrainPlan& p) {
         p.normalise = {{0, 0}};
       }},
      {"normalise.deviation",
       [](TrainPlan& p) {
         p.normalise = {{0, kInf}};
       }},
  };
  EXPECT_FALSE(problem_of(TrainPlan{}));
  for (const Row& row : rows) {
    TrainPlan plan;
    row.change(plan);
    const auto wrong = problem_of(plan);
    ASSERT_TRUE(wrong) << row.field;
    EXPECT_EQ(wrong->field, row.field);
  }
}

TEST(PlanRules, SayWhatIsReported) {
  using K = ReportKind;
  const auto reports = [](const std::function<void(TrainPlan&)>& change) {
    TrainPlan plan;
    change(plan);
    return reports_of(plan);
  };
  using testing::ElementsAre;
  EXPECT_THAT(reports([](TrainPlan& p) {
                p.local = {"*"};
                p.meta.kind = Meta::Kind::reptile;
                p.candidates = 2;
                p.source.kind = GradientSource::Kind::variance_reduced;
              }),
              ElementsAre(K::delta));
  EXPECT_THAT(reports([](TrainPlan& p) { p.source.kind = GradientSource::Kind::whole; }),
              ElementsAre(K::gradient));
  EXPECT_THAT(reports([](TrainPlan& p) { p.source.kind = GradientSource::Kind::zeroth_order; }),
              ElementsAre(K::scalars));
  EXPECT_THAT(reports([](TrainPlan& p) { p.control = ControlVariates::from_steps; }),
              ElementsAre(K::delta, K::control_delta));
  EXPECT_THAT(
      reports([](TrainPlan& p) {
        p.probe = {true, true, true, true, "x", false, 0, true};
      }),
      ElementsAre(K::gradient_norms, K::losses, K::labels, K::statistics, K::representations));
}

TEST(PlanRules, NameTheVectorsOfAPlan) {
  TrainPlan plan;
  EXPECT_TRUE(vectors_of(plan).empty());
  plan.source.kind = GradientSource::Kind::variance_reduced;
  plan.control = ControlVariates::from_steps;
  plan.trainable.mask = true;
  plan.candidates = 3;
  EXPECT_THAT(vectors_of(plan),
              testing::ElementsAre("anchor", "control", "mask", "candidate1", "candidate2"));
}

TEST(TensorSelection, PatternsMatchWholeNames) {
  struct Row {
    const char* pattern;
    const char* name;
    bool expected;
  };
  constexpr Row kRows[] = {
      {"a.weight", "a.weight", true},
      {"a.weight", "a.weights", false},
      {"a.*", "a.weight", true},
      {"a.*", "ab.weight", false},
      {"*.bias", "dense1.bias", true},
      {"*.bias", "dense1.bias2", false},
      {"*", "", true},
      {"", "", true},
      {"", "a", false},
      {"?", "a", true},
      {"?", "", false},
      {"a*b*c", "a1b2b3c", true},
      {"a*b*c", "a1b2b3", false},
      {"**", "x", true},
      {"a?c", "abc", true},
      {"*a", "aaab", false},
  };
  for (const Row& row : kRows) {
    EXPECT_EQ(matches(row.pattern, row.name), row.expected) << row.pattern << " " << row.name;
  }
}

TensorLayout three_tensors() {
  return {{{"a.weight", {2}, 0, 2},
           {"a.running_mean", {1}, 2, 1, true},
           {"b.weight", {1}, 3, 1},
           {"b.bias", {1}, 4, 1}},
          5};
}

TEST(TensorSelection, FrozenIsTakenOutOfTrainable) {
  const auto chosen = [](std::vector<std::string> only, std::vector<std::string> frozen) {
    TrainPlan plan;
    plan.trainable = {std::move(only), std::move(frozen), false};
    return trainable_of(plan, three_tensors());
  };
  EXPECT_EQ(chosen({}, {}).value(), (std::vector<bool>{true, true, true, true}));
  EXPECT_EQ(chosen({"b.*"}, {}).value(), (std::vector<bool>{false, false, true, true}));
  EXPECT_EQ(chosen({"b.*"}, {"*.bias"}).value(), (std::vector<bool>{false, false, true, false}));
  EXPECT_THAT(chosen({"c.*"}, {}).error().detail, HasSubstr("'c.*' names no tensor"));
  EXPECT_THAT(chosen({}, {"*"}).error().detail, HasSubstr("leave no tensor to train"));
  EXPECT_THAT(chosen({"*.running_mean"}, {}).error().detail, HasSubstr("no tensor to train"));
}

TEST(TensorSelection, NeighboursAreOneRange) {
  const TensorLayout layout = three_tensors();
  const std::vector<bool> all(4, true);
  EXPECT_EQ(ranges_of(all, layout), (std::vector<Range>{{0, 2}, {3, 2}}));
  EXPECT_EQ(ranges_of(all, layout, true), (std::vector<Range>{{0, 5}}));
}

TEST(ZerothOrder, DirectionsAreWhatTheyAlwaysWere) {
  // Element i of a direction does not depend on the ranges, and half of the signs are +1.
  std::vector<float> whole(1000, 0.0F);
  const Range all[] = {{0, 1000}};
  add_direction(7, 3, 1.0F, all, whole);
  std::vector<float> parts(1000, 0.0F);
  const Range some[] = {{100, 200}, {301, 650}};
  add_direction(7, 3, 1.0F, some, parts);
  int sum = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    EXPECT_EQ(std::abs(whole[i]), 1.0F);
    const bool inside = (i >= 100 && i < 300) || (i >= 301 && i < 951);
    EXPECT_EQ(parts[i], inside ? whole[i] : 0.0F);
    sum += static_cast<int>(whole[i]);
  }
  EXPECT_LT(std::abs(sum), 127) << "four standard deviations";
  std::string first;
  for (std::size_t i = 0; i < 32; ++i) first += whole[i] > 0 ? '+' : '-';
  EXPECT_EQ(first, "-+-+----+--++-++--+-+++---+++--+");
  std::vector<float> other(1000, 0.0F);
  add_direction(7, 4, 1.0F, all, other);
  EXPECT_NE(other, whole);
}

TEST(ZerothOrder, RefusesWhatDoesNotFit) {
  TrainPlan plan;
  std::vector<float> weights(5);
  const auto replay = [&](std::size_t scalars) {
    return replay_zeroth_order(plan, three_tensors(), std::vector<float>(scalars), weights);
  };
  EXPECT_EQ(replay(2).error().code, errc::invalid_argument);
  plan.source = {GradientSource::Kind::zeroth_order, 2, 1e-3};
  EXPECT_TRUE(replay(4));
  EXPECT_EQ(replay(3).error().code, errc::shape_mismatch);
  weights.pop_back();
  EXPECT_EQ(replay(4).error().code, errc::shape_mismatch);
}

}  // namespace
}  // namespace chorus::tensor
