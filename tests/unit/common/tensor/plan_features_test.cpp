// Names of what a plan asks for.
#include "common/tensor/plan_features.hpp"

#include <functional>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace chorus::tensor {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(PlanFeatures, TheFirstVersionsVocabularyHasNone) {
  TrainPlan plan;
  EXPECT_THAT(features_of(plan), IsEmpty());
  plan.budget = {Budget::Unit::seconds, 2.5};
  plan.batch_size = 7;
  plan.order = Order::natural;
  plan.seed = 9;
  plan.optimiser = {0.5, 0.9, 0.1};
  EXPECT_THAT(features_of(plan), IsEmpty());
}

TEST(PlanFeatures, EachHasItsName) {
  using Change = std::function<void(TrainPlan&)>;
  const std::vector<std::pair<std::vector<std::string_view>, Change>> cases{
      {{"optimiser"}, [](auto& p) { p.optimiser.kind = Optimiser::Kind::adam; }},
      {{"optimiser"}, [](auto& p) { p.optimiser.nesterov = true; }},
      {{"schedule"}, [](auto& p) { p.schedule.warmup_steps = 1; }},
      {{"clip_norm"}, [](auto& p) { p.clip_norm = 1.0; }},
      {{"proximal"}, [](auto& p) { p.proximal = 0.1; }},
      {{"accumulate"}, [](auto& p) { p.accumulate = 2; }},
      {{"early_stop"}, [](auto& p) { p.early_stop.patience = 1; }},
      {{"curriculum"}, [](auto& p) { p.order = Order::curriculum; }},
      {{"source.whole"}, [](auto& p) { p.source.kind = GradientSource::Kind::whole; }},
      {{"source.variance_reduced"},
       [](auto& p) { p.source.kind = GradientSource::Kind::variance_reduced; }},
      {{"source.zeroth_order"},
       [](auto& p) { p.source.kind = GradientSource::Kind::zeroth_order; }},
      {{"control"}, [](auto& p) { p.control = ControlVariates::from_steps; }},
      {{"meta"}, [](auto& p) { p.meta.kind = Meta::Kind::reptile; }},
      {{"distillation"}, [](auto& p) { p.distil.teacher = Distillation::Teacher::received; }},
      {{"trainable"}, [](auto& p) { p.trainable.frozen = {"*"}; }},
      {{"trainable", "mask"}, [](auto& p) { p.trainable.mask = true; }},
      {{"local"}, [](auto& p) { p.local = {"head.*"}; }},
      {{"probe"}, [](auto& p) { p.probe.losses = true; }},
      {{"candidates"}, [](auto& p) { p.candidates = 2; }},
      {{"normalise"},
       [](auto& p) {
         p.normalise = {{0, 1}};
       }},
      {{"compression"}, [](auto& p) { p.compression.emplace(); }},
      {{"compression", "compression.momentum"},
       [](auto& p) { p.compression.emplace().momentum = 0.9; }},
      {{"compression", "compression.difference"},
       [](auto& p) { p.compression.emplace().feedback = Feedback::difference; }},
      {{"compression", "compression.low_rank"},
       [](auto& p) { p.compression.emplace().codec.kind = CodecKind::low_rank; }},
      {{"compression", "compression.low_rank"},
       [](auto& p) {
         p.compression.emplace().tensors = {{"*.weight", {.kind = CodecKind::low_rank}}};
       }},
      {{"compression", "compression.subspace"},
       [](auto& p) { p.compression.emplace().codec.kind = CodecKind::subspace; }},
  };
  std::set<std::string_view> seen;
  for (const auto& [names, change] : cases) {
    TrainPlan plan;
    change(plan);
    EXPECT_EQ(features_of(plan), names);
    seen.insert(names.begin(), names.end());
  }
  const auto all = plan_features();
  EXPECT_EQ(seen, std::set<std::string_view>(all.begin(), all.end())) << "one is not tested here";
}

TEST(PlanFeatures, ComeInTheOrderOfTheList) {
  TrainPlan plan;
  plan.candidates = 2;
  plan.clip_norm = 1.0;
  plan.optimiser.nesterov = true;
  EXPECT_THAT(features_of(plan), ElementsAre("optimiser", "clip_norm", "candidates"));
}

TEST(PlanFeatures, AnEvaluationHasThemToo) {
  EXPECT_THAT(features_of(EvaluatePlan{17}), IsEmpty());
  EXPECT_THAT(features_of(EvaluatePlan{17, {{0, 1}}}), ElementsAre("normalise"));
}

}  // namespace
}  // namespace chorus::tensor
