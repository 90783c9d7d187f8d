#include "client/train/augment.hpp"

#include <cmath>
#include <numeric>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chorus/client/builtin_trainer.hpp"
#include "client/train/plan_runner.hpp"
#include "tests/unit/client/train/examples.hpp"

namespace chorus::train {
namespace {

using client::Augmentation;
using testing::HasSubstr;

using Shape = std::vector<std::uint64_t>;

Augmentation of(std::uint32_t crop_padding, bool flip, double noise) {
  return {crop_padding, flip, noise};
}

std::vector<float> counting(std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 1.0F);
  return values;
}

// One example of pass `pass` as it comes out.
std::vector<float> augmented(const Augmentation& augmentation,
                             const Shape& shape,
                             std::uint64_t seed,
                             std::uint64_t pass,
                             std::uint32_t example) {
  std::vector<float> features = counting(shape[0] * shape[1] * shape[2]);
  Augmenter augmenter(augmentation, shape, seed);
  augmenter.begin_pass(pass);
  augmenter.apply({&example, 1}, features);
  return features;
}

TEST(Augment, IsAFunctionOfSeedPassAndExample) {
  const Shape shape = {2, 6, 5};
  const Augmentation all = of(2, true, 0.5);
  const auto one = augmented(all, shape, 1, 2, 3);
  EXPECT_EQ(one, augmented(all, shape, 1, 2, 3));
  EXPECT_NE(one, augmented(all, shape, 9, 2, 3));
  EXPECT_NE(one, augmented(all, shape, 1, 9, 3));
  EXPECT_NE(one, augmented(all, shape, 1, 2, 9));
  // Whatever batch it is in.
  const std::vector<std::uint32_t> batch = {8, 3, 3};
  std::vector<float> features;
  for (int i = 0; i < 3; ++i) {
    const auto plain = counting(60);
    features.insert(features.end(), plain.begin(), plain.end());
  }
  Augmenter augmenter(all, shape, 1);
  augmenter.begin_pass(2);
  augmenter.apply(batch, features);
  EXPECT_TRUE(std::equal(one.begin(), one.end(), features.begin() + 60));
  EXPECT_TRUE(std::equal(one.begin(), one.end(), features.begin() + 120));
  EXPECT_FALSE(std::equal(one.begin(), one.end(), features.begin()));
}

TEST(Augment, FlipTurnsEveryRowOfEveryChannel) {
  const Shape shape = {2, 2, 3};
  const std::vector<float> flipped = {3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10};
  int turned = 0;
  for (std::uint32_t example = 0; example < 400; ++example) {
    const auto one = augmented(of(0, true, 0.0), shape, 7, 0, example);
    const bool is_flipped = one == flipped;
    EXPECT_TRUE(is_flipped || one == counting(12));
    turned += is_flipped ? 1 : 0;
  }
  EXPECT_NEAR(turned, 200, 40);
}

// Against a picture that is really padded.
TEST(Augment, CropCutsOutOfThePaddedPicture) {
  constexpr int kPadding = 2;
  constexpr int kHeight = 3;
  constexpr int kWidth = 4;
  const auto plain = counting(2 * kHeight * kWidth);
  std::vector<int> met(25);
  for (std::uint32_t example = 0; example < 1000; ++example) {
    const auto one = augmented(of(kPadding, false, 0.0), {2, kHeight, kWidth}, 3, 1, example);
    int found = -1;
    for (int place = 0; place < 25; ++place) {
      bool same = true;
      for (int c = 0; c < 2; ++c) {
        for (int y = 0; y < kHeight; ++y) {
          for (int x = 0; x < kWidth; ++x) {
            const int from_y = y + place / 5 - kPadding;
            const int from_x = x + place % 5 - kPadding;
            const bool inside = from_y >= 0 && from_y < kHeight && from_x >= 0 && from_x < kWidth;
            const int from = (c * kHeight + from_y) * kWidth + from_x;
            const float want = inside ? plain[static_cast<std::size_t>(from)] : 0.0F;
            const int at = (c * kHeight + y) * kWidth + x;
            same = same && one[static_cast<std::size_t>(at)] == want;
          }
        }
      }
      if (same) found = place;
    }
    ASSERT_GE(found, 0) << "example " << example << " is no part of the padded picture";
    ++met[static_cast<std::size_t>(found)];
  }
  for (const int count : met) EXPECT_NEAR(count, 40, 30);
}

TEST(Augment, NoiseHasTheDeviationAskedFor) {
  std::vector<float> features(20'000, 5.0F);
  const std::uint32_t example = 0;
  Augmenter(of(0, false, 0.25), {20'000}, 1).apply({&example, 1}, features);
  double sum = 0.0;
  double squares = 0.0;
  for (const float x : features) {
    sum += double{x} - 5.0;
    squares += (double{x} - 5.0) * (double{x} - 5.0);
  }
  EXPECT_NEAR(sum / 20'000, 0.0, 0.01);
  EXPECT_NEAR(std::sqrt(squares / 20'000), 0.25, 0.01);
}

TEST(Augment, RefusesWhatExamplesCannotBear) {
  EXPECT_TRUE(check_augmentation(of(0, false, 1.0), {64}));
  EXPECT_TRUE(check_augmentation(of(4, true, 0.0), {3, 4, 8}));
  const auto flat = check_augmentation(of(0, true, 0.0), {64});
  ASSERT_FALSE(flat);
  EXPECT_EQ(flat.error().code, errc::unsupported_feature);
  EXPECT_THAT(flat.error().detail, HasSubstr("those here are 64"));
  EXPECT_THAT(check_augmentation(of(5, false, 0.0), {3, 4, 8}).error().detail,
              HasSubstr("crop_padding is 5; pictures of 3x4x8 expect at most 4"));
  EXPECT_FALSE(check_augmentation(of(0, false, -1.0), {64}));
  EXPECT_FALSE(check_augmentation(of(0, false, std::nan("")), {64}));
}

// ---- in training ----

class AugmentedTraining : public testing::Test {
 protected:
  static constexpr std::uint32_t kExamples = 12;
  const ModelSpec model_{{1, 4, 4}, {Flatten{}, Dense{"", 3}}};
  const client::Dataset data_ = test::make_examples({1, 4, 4}, kExamples, 3);

  std::vector<float> trained(const Augmentation& augmentation, TrainPlan plan) const {
    auto network = Network::create(model_);
    EXPECT_TRUE(network);
    const auto start = test::start_of(model_);
    std::copy(start.begin(), start.end(), (*network)->parameters().begin());
    TrainInputs inputs;
    inputs.augmentation = augmentation;
    const auto report = run_plan(**network, data_, plan, inputs);
    EXPECT_TRUE(report) << report.error().detail;
    const auto weights = (*network)->parameters();
    return {weights.begin(), weights.end()};
  }

  static TrainPlan plan_of(std::uint32_t batch, double epochs) {
    TrainPlan plan;
    plan.batch_size = batch;
    plan.budget = {Budget::Unit::epochs, epochs};
    plan.optimiser.learning_rate = 0.1;
    plan.order = Order::natural;
    plan.seed = 21;
    return plan;
  }
};

TEST_F(AugmentedTraining, MeetsAugmentedExamples) {
  const Augmentation flip = of(1, true, 0.1);
  EXPECT_EQ(trained(flip, plan_of(4, 2)), trained(flip, plan_of(4, 2)));
  EXPECT_NE(trained(flip, plan_of(4, 2)), trained({}, plan_of(4, 2)));
}

// One step over all of pass 0 is a step over the same examples augmented beforehand.
TEST_F(AugmentedTraining, IsTrainingOnTheAugmentedExamples) {
  const Augmentation augmentation = of(1, true, 0.1);
  const auto ours = trained(augmentation, plan_of(kExamples, 1));
  client::Dataset::Parts parts{{}, {1, 4, 4}, data_.labels().value(), 3};
  for (std::uint32_t i = 0; i < kExamples; ++i) {
    client::Example example = data_.example(i).value();
    Augmenter augmenter(augmentation, {1, 4, 4}, 21);
    augmenter.begin_pass(0);
    augmenter.apply({&i, 1}, example.features);
    parts.features.insert(parts.features.end(), example.features.begin(), example.features.end());
  }
  const auto beforehand = client::Dataset::create(std::move(parts));
  auto network = Network::create(model_);
  const auto start = test::start_of(model_);
  std::copy(start.begin(), start.end(), (*network)->parameters().begin());
  ASSERT_TRUE(run_plan(**network, *beforehand, plan_of(kExamples, 1), TrainInputs{}));
  const auto theirs = (*network)->parameters();
  EXPECT_TRUE(std::equal(ours.begin(), ours.end(), theirs.begin()));
}

TEST_F(AugmentedTraining, LeavesProbesAndEvaluationAlone) {
  TrainPlan plan = plan_of(kExamples, 1);
  plan.probe.losses = true;
  plan.probe.only = true;
  const auto probed = [&](const Augmentation& augmentation) {
    auto network = Network::create(model_);
    const auto start = test::start_of(model_);
    std::copy(start.begin(), start.end(), (*network)->parameters().begin());
    TrainInputs inputs;
    inputs.augmentation = augmentation;
    const auto report = run_plan(**network, data_, plan, inputs);
    EXPECT_TRUE(report) << report.error().detail;
    return report->parts.at(0).numbers;
  };
  EXPECT_EQ(probed(of(2, true, 3.0)), probed({}));
}

TEST_F(AugmentedTraining, IsRefusedByTheTaskWhereItCannotBe) {
  auto network = Network::create({{16}, {Dense{"", 3}}});
  ASSERT_TRUE(network);
  TrainInputs inputs;
  inputs.augmentation.flip = true;
  const auto report = run_plan(**network, test::make_examples({16}, 4, 3), plan_of(2, 1), inputs);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, errc::unsupported_feature);
}

}  // namespace
}  // namespace chorus::train
