// What features become when a plan says how they are normalised.
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chorus/client/builtin_trainer.hpp"
#include "chorus/client/normalisation.hpp"
#include "tests/unit/client/train/plan/quadratic.hpp"

namespace chorus::train {
namespace {

using client::Dataset;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using Scales = std::vector<FeatureScale>;
using Floats = std::vector<float>;

Dataset table(Floats features, std::vector<std::uint64_t> shape, Floats targets) {
  Dataset::Parts parts;
  parts.features = std::move(features);
  parts.feature_shape = std::move(shape);
  parts.targets = std::move(targets);
  parts.target_count = 1;
  return Dataset::create(std::move(parts)).value();
}

// The features that the model meets in the one example: (w·z − t)² has the gradient −2·t·z at w =
// 0.
Result<Floats> met(const std::vector<std::uint64_t>& input_shape,
                   const Dataset& one,
                   const Scales& scales) {
  const ModelSpec model{
      input_shape, {Flatten{}, Dense{"", 1, false}}, Loss::mean_squared_error, {}};
  auto network = Network::create(model).value();
  for (float& weight : network->parameters()) weight = 0.0F;
  TrainPlan plan;
  plan.source.kind = GradientSource::Kind::whole;
  plan.normalise = scales;
  auto report = run_plan(*network, one, plan, {});
  if (!report) return report.error();
  return test::part_of(*report, ReportKind::gradient);
}

const Floats kRaw{10, 14, 8, 7};  // two channels of two features

Dataset raw(std::vector<std::uint64_t> shape = {2, 2}) {
  return table(kRaw, std::move(shape), {-0.5F});
}

TEST(PlanNormalise, OneStepIsWhatTheFormulaSays) {
  // z = (x − 8) / 2 = 1 and 3. From w = ½: loss (0.25 + 2.25) / 2, gradient −1 − 9 over 2.
  const auto data = table({10, 14}, {1}, {1, 3});
  const ModelSpec model{{1}, {Dense{"", 1, false}}, Loss::mean_squared_error, {}};
  const TensorLayout layout = layout_of(model).value();
  const auto trainer = client::make_builtin_trainer({data, data});
  const client::CancelToken never{};
  client::TrainTask task;
  task.plan = test::sgd_plan(1, 0.1);
  task.plan.normalise = {{8, 2}};
  task.model = &model;
  task.layout = &layout;
  task.cancel = &never;
  Floats weight{0.5F};
  const auto trained = trainer->train(task, weight);
  ASSERT_TRUE(trained) << trained.error().to_string();
  EXPECT_FLOAT_EQ(weight[0], 1.0F);
  EXPECT_NEAR(trained->metrics.at(0).value, 1.25, 1e-6);

  client::EvaluateTask evaluation;
  evaluation.model = &model;
  evaluation.layout = &layout;
  evaluation.cancel = &never;
  evaluation.plan.normalise = task.plan.normalise;
  weight[0] = 1.0F;
  EXPECT_EQ(trainer->evaluate(evaluation, weight)->metrics.at(0).value, 0.0);
  evaluation.plan.normalise.clear();  // as measured: 9² and 11²
  EXPECT_EQ(trainer->evaluate(evaluation, weight)->metrics.at(0).value, 101.0);
}

TEST(PlanNormalise, GoesByChannelByFeatureOrByAll) {
  EXPECT_THAT(*met({2, 2}, raw(), {}), ElementsAreArray(kRaw));
  EXPECT_THAT(*met({2, 2}, raw(), {{8, 2}}), ElementsAre(1, 3, 0, -0.5F));
  EXPECT_THAT(*met({2, 2}, raw(), {{8, 2}, {7, 0.25}}), ElementsAre(1, 3, 4, 0));
  EXPECT_THAT(*met({2, 2}, raw(), {{10, 1}, {10, 2}, {10, 4}, {10, 8}}),
              ElementsAre(0, 2, -0.5F, -0.375F));
}

TEST(PlanNormalise, KnowsChannelsByTheModel) {
  const Scales scales{{8, 2}, {7, 0.25}};
  EXPECT_THAT(*met({2, 2}, raw({4}), scales), ElementsAre(1, 3, 4, 0)) << "flat examples";
  EXPECT_THAT(met({4}, raw({2, 2}), scales).error().detail,
              HasSubstr("there are 2 means and deviations for features of [4]; expected 1, 4"));
}

// Numbers that float32 and double hold exactly: no rounding hides a mistake.
TEST(PlanNormalise, TakesThePlaceOfTheDevicesOwn) {
  const Scales plan{{8, 2}, {7, 0.25}};
  for (const Scales& own :
       {Scales{{4, 8}}, Scales{{1, 2}, {2, 4}}, Scales{{1, 2}, {2, 4}, {3, 8}, {4, 0.5}}}) {
    const auto device = client::normalised(raw(), own);
    ASSERT_TRUE(device);
    EXPECT_THAT(*met({2, 2}, *device, plan), ElementsAre(1, 3, 4, 0));
    EXPECT_EQ(*met({2, 2}, *device, {}), device->example(0)->features) << "a plan without";
    const auto twice = client::normalised(*device, {{-1, 4}});
    EXPECT_THAT(*met({2, 2}, *twice, plan), ElementsAre(1, 3, 4, 0));
    const std::vector<std::uint32_t> first{0};
    EXPECT_THAT(*met({2, 2}, *device->subset(first), plan), ElementsAre(1, 3, 4, 0));
  }
}

TEST(PlanNormalise, OfFittedDataIsRightToTheLastDigits) {
  const auto data =
      table({1700000128.0F, 1.5F, 1700000384.0F, -2.25F, 1700001024.0F, 0.3F}, {2}, {0, 0, 0});
  const auto fitted = client::fit_scales(data, client::Normalisation::standard);
  const auto device = client::normalised(data, *fitted);
  const Scales plan{{1700000000, 100}, {1, 0.5}};
  const auto values = client::renormalised(*device, plan)->example(1)->features;
  const auto direct = client::normalised(data, plan)->example(1)->features;
  for (std::size_t i = 0; i < 2; ++i) EXPECT_NEAR(values[i], direct[i], 1e-6 * std::abs(direct[i]));
}

TEST(PlanNormalise, RefusesWhatCannotBe) {
  const auto why = [](const ModelSpec& model, const Scales& scales) {
    auto network = Network::create(model).value();
    for (float& weight : network->parameters()) weight = 0.0F;
    TrainPlan plan;
    plan.normalise = scales;
    const auto trained = run_plan(*network, raw({4}), plan, {});
    const auto measured =
        run_plan(*network, raw({4}), EvaluatePlan{256, scales}, client::CancelToken{});
    if (trained || measured) return std::string("fine");
    EXPECT_EQ(trained.error().code, errc::invalid_argument);
    EXPECT_EQ(trained.error().detail, measured.error().detail);
    return trained.error().detail;
  };
  const ModelSpec flat{{4}, {Dense{"", 1}}, Loss::mean_squared_error, {}};
  EXPECT_THAT(why(flat, {{0, 1}, {0, 1}}), HasSubstr("there are 2 means and deviations"));
  EXPECT_THAT(why(flat, {{0, 0}}), HasSubstr("normalise.deviation is 0"));
  EXPECT_THAT(why(flat, {{0, -1}}), HasSubstr("each more than 0"));
  EXPECT_THAT(why(flat, {{0, INFINITY}}), HasSubstr("normalise.deviation is inf"));
  EXPECT_THAT(why(flat, {{NAN, 1}}), HasSubstr("normalise.mean is nan"));
  EXPECT_THAT(why(flat, Scales(1025)), HasSubstr("at most 1024 numbers"));
  const ModelSpec text{
      {4}, {Embedding{"", 20, 3}, Flatten{}, Dense{"", 1}}, Loss::mean_squared_error, {}};
  EXPECT_THAT(why(text, {{0, 1}}), HasSubstr("begins with an embedding"));
}

}  // namespace
}  // namespace chorus::train
