#include "client/train/optimiser.hpp"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "common/tensor/schedule.hpp"

namespace chorus::train {
namespace {

const std::vector<float> kStart = {1.0F, -2.0F, 0.5F};
const std::vector<std::vector<float>> kGradients = {
    {0.5F, 0.25F, -1.0F}, {-0.125F, 0.5F, 0.75F}, {1.0F, -0.5F, 0.25F}};

TensorLayout one_tensor() {
  return {{{"a.weight", {3}, 0, 3}}, 3};
}

// Weights after the three gradients.
std::vector<float> after(const Optimiser& options) {
  const TensorLayout layout = one_tensor();
  auto state = OptimiserState::create(options, layout, {true});
  EXPECT_TRUE(state);
  std::vector<float> weights = kStart;
  for (std::vector<float> gradient : kGradients) {
    state->apply({options.learning_rate, weights, gradient});
  }
  return weights;
}

void expect_near(const std::vector<float>& got, const std::vector<double>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 2e-6) << i;
}

// Numbers of torch.optim in double; LAMB by its formula.
TEST(Optimiser, MomentumAgreesWithPyTorch) {
  expect_near(after({0.1, 0.9, 0.01}), {0.782822249, -2.101394623, 0.6003924995});
}

TEST(Optimiser, NesterovAgreesWithPyTorch) {
  expect_near(after({0.1, 0.9, 0.01, Optimiser::Kind::sgd, true}),
              {0.664359333191, -2.109967023757, 0.5883740864705});
}

TEST(Optimiser, AdamAgreesWithPyTorch) {
  expect_near(after({0.1, 0.0, 0.01, Optimiser::Kind::adam}),
              {0.7770939594672897, -2.204267325334654, 0.6017675086021156});
}

TEST(Optimiser, AdamWAgreesWithPyTorch) {
  expect_near(after({0.1, 0.0, 0.1, Optimiser::Kind::adamw, false, 0.8, 0.95, 1e-6}),
              {0.7544880918075314, -2.1408961694071196, 0.5744109177180454});
}

TEST(Optimiser, LambFollowsItsFormula) {
  expect_near(after({0.05, 0.0, 0.1, Optimiser::Kind::lamb}),
              {0.7376893843117978, -2.136425738477704, 0.5532173510263465});
}

TEST(Optimiser, PlainSgdNeedsNoMemory) {
  const TensorLayout layout{{{"a.weight", {1}, 0, 1}}, 1};
  auto state = OptimiserState::create({0.1, 0.0, 0.5}, layout, {true});
  ASSERT_TRUE(state);
  std::vector<float> weights = {1.0F};
  std::vector<float> gradient = {2.0F};
  state->apply({0.1, weights, gradient});
  EXPECT_FLOAT_EQ(weights[0], 1.0F - 0.1F * 2.5F);
}

TEST(Optimiser, LeavesBuffersAndSteppedTensorsAlone) {
  const TensorLayout layout{
      {{"a.weight", {1}, 0, 1}, {"a.running_mean", {1}, 1, 1, true}, {"b.weight", {1}, 2, 1}}, 3};
  for (const auto kind : {Optimiser::Kind::sgd, Optimiser::Kind::adamw, Optimiser::Kind::lamb}) {
    auto state = OptimiserState::create({0.1, 0.0, 0.5, kind}, layout, {true, true, true});
    ASSERT_TRUE(state);
    std::vector<float> weights = {1.0F, 1.0F, 1.0F};
    std::vector<float> gradient = {1.0F, 1.0F, 1.0F};
    const auto done = [](const void*, std::size_t tensor) { return tensor == 2; };
    state->apply({0.1, weights, gradient}, done);
    EXPECT_LT(weights[0], 1.0F);
    EXPECT_EQ(weights[1], 1.0F);
    EXPECT_EQ(weights[2], 1.0F);
  }
}

TEST(Optimiser, KeepsMemoryForWhatIsTrainedOnly) {
  const TensorLayout layout{{{"a.weight", {2}, 0, 2}, {"b.weight", {1}, 2, 1}}, 3};
  for (const auto kind : {Optimiser::Kind::sgd, Optimiser::Kind::adam, Optimiser::Kind::lamb}) {
    const Optimiser options{0.1, kind == Optimiser::Kind::sgd ? 0.9 : 0.0, 0.01, kind};
    auto whole = OptimiserState::create(options, layout, {true, true});
    auto part = OptimiserState::create(options, layout, {false, true});
    ASSERT_TRUE(whole && part);
    std::vector<float> all = kStart;
    std::vector<float> some = kStart;
    for (const auto& gradient : kGradients) {
      std::vector<float> own = gradient;
      whole->apply({0.1, all, own});
      own = gradient;
      part->apply({0.1, some, own});
    }
    EXPECT_EQ(some, (std::vector<float>{kStart[0], kStart[1], all[2]}));
    EXPECT_EQ(part->elements(), 1U);
  }
}

TEST(Schedule, FollowsItsFormula) {
  TrainPlan plan;
  plan.optimiser.learning_rate = 2.0;
  EXPECT_EQ(tensor::rate_at(plan, 0), 2.0);
  EXPECT_EQ(tensor::rate_at(plan, 1000), 2.0);
  plan.schedule.warmup_steps = 4;
  EXPECT_EQ(tensor::rate_at(plan, 0), 0.5);
  EXPECT_EQ(tensor::rate_at(plan, 3), 2.0);
  EXPECT_EQ(tensor::rate_at(plan, 4), 2.0);
  plan.schedule.kind = Schedule::Kind::step;
  plan.schedule.every_steps = 10;
  plan.schedule.factor = 0.5;
  EXPECT_EQ(tensor::rate_at(plan, 13), 2.0);
  EXPECT_EQ(tensor::rate_at(plan, 14), 1.0);
  EXPECT_EQ(tensor::rate_at(plan, 24), 0.5);
  plan.schedule.kind = Schedule::Kind::cosine;
  plan.schedule.total_steps = 14;
  plan.schedule.factor = 0.1;
  EXPECT_DOUBLE_EQ(tensor::rate_at(plan, 4), 2.0);
  EXPECT_DOUBLE_EQ(tensor::rate_at(plan, 9), 1.1);
  EXPECT_DOUBLE_EQ(tensor::rate_at(plan, 14), 0.2);
  EXPECT_DOUBLE_EQ(tensor::rate_at(plan, 1000), 0.2);
}

}  // namespace
}  // namespace chorus::train
