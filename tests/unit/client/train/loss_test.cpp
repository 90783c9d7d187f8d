#include "client/train/loss.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace chorus::train {
namespace {

BatchResult cross_entropy(const std::vector<float>& outputs,
                          const std::vector<std::uint32_t>& labels,
                          std::size_t classes,
                          std::span<float> gradient) {
  return loss_of(Loss::softmax_cross_entropy, {}, outputs, classes, {labels, {}}, gradient);
}

TEST(SoftmaxCrossEntropy, MatchesTheFormula) {
  const std::vector<float> outputs = {1.0F, 2.0F, 3.0F, 0.0F, 0.0F, 0.0F};
  const std::vector<std::uint32_t> labels = {2, 0};
  std::vector<float> gradient(6);
  const BatchResult result = cross_entropy(outputs, labels, 3, gradient);
  // log(e + e² + e³) − 3 = 0.40760596444438, log 3 = 1.09861228866811
  EXPECT_NEAR(result.loss, 0.40760596444438 + 1.09861228866811, 1e-12);
  EXPECT_EQ(result.correct, 2U);
  EXPECT_NEAR(gradient[0], 0.09003057317038 / 2, 1e-8);
  EXPECT_NEAR(gradient[1], 0.24472847105480 / 2, 1e-8);
  EXPECT_NEAR(gradient[2], (0.66524095577482 - 1) / 2, 1e-8);
  EXPECT_NEAR(gradient[3], (1.0 / 3 - 1) / 2, 1e-8);
  EXPECT_NEAR(gradient[4], 1.0 / 6, 1e-8);
}

TEST(SoftmaxCrossEntropy, DoesNotOverflow) {
  const std::vector<float> outputs = {3e38F, -3e38F, -3e38F, 3e38F};
  const std::vector<std::uint32_t> labels = {0, 1};
  std::vector<float> gradient(4);
  const BatchResult result = cross_entropy(outputs, labels, 2, gradient);
  EXPECT_EQ(result.loss, 0.0);
  EXPECT_EQ(result.correct, 2U);
  for (const float slope : gradient) EXPECT_EQ(slope, 0.0F);
}

TEST(SoftmaxCrossEntropy, CountsTheFirstOfEqualOutputs) {
  const std::vector<float> outputs = {1.0F, 1.0F};
  const std::vector<std::uint32_t> first = {0};
  const std::vector<std::uint32_t> second = {1};
  EXPECT_EQ(cross_entropy(outputs, first, 2, {}).correct, 1U);
  EXPECT_EQ(cross_entropy(outputs, second, 2, {}).correct, 0U);
}

TEST(SoftmaxCrossEntropy, ShowsWhatIsNotFinite) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<std::uint32_t> labels = {1};
  for (const std::vector<float>& outputs : {std::vector{nan, 1.0F, 2.0F},
                                            std::vector{1.0F, nan, 2.0F},
                                            std::vector{1.0F, 2.0F, nan},
                                            std::vector{infinity, 1.0F, 2.0F},
                                            std::vector{1.0F, infinity, 2.0F},
                                            std::vector{1.0F, -infinity, 2.0F},
                                            std::vector{nan, nan, nan}}) {
    EXPECT_FALSE(std::isfinite(cross_entropy(outputs, labels, 3, {}).loss));
  }
}

// Numbers of torch.nn.functional on the same inputs, in double.
TEST(Losses, AgreeWithPyTorch) {
  const std::vector<float> z = {0.5F, -1.25F, 2.0F, -0.75F, 1.5F, 0.25F};
  const std::vector<float> t = {0.25F, 1.0F, 0.0F, 0.5F, 1.0F, 0.75F};
  const auto mean = [&](Loss loss, const LossOptions& options = {}) {
    return loss_of(loss, options, z, 3, {{}, t}, {}).loss / 2;
  };
  EXPECT_NEAR(mean(Loss::binary_cross_entropy), 1.0132762967574915, 1e-9);
  EXPECT_NEAR(mean(Loss::mean_squared_error), 1.8645833333333333, 1e-9);
  EXPECT_NEAR(mean(Loss::mean_absolute_error), 1.125, 1e-9);
  EXPECT_NEAR(mean(Loss::huber, {0.0, {}, 0.75}), 0.59375, 1e-9);
  const std::vector<std::uint32_t> labels = {2, 0};
  const LossOptions options{0.125, {0.5F, 2.0F, 1.5F}, 1.0};
  std::vector<float> gradient(6);
  const BatchResult result =
      loss_of(Loss::softmax_cross_entropy, options, z, 3, {labels, {}}, gradient);
  EXPECT_NEAR(result.loss / 2, 0.9776631924276439, 1e-9);
  const std::vector<double> expected = {0.12035659301696401,
                                        -0.01894168163357305,
                                        -0.10141491138339093,
                                        -0.2062919938470081,
                                        0.1753621863893842,
                                        0.0309298074576239};
  for (std::size_t i = 0; i < 6; ++i) EXPECT_NEAR(gradient[i], expected[i], 1e-7) << i;
}

TEST(Losses, CountWhatIsRight) {
  const std::vector<float> z = {0.5F, -1.0F, 2.0F, 0.25F};
  const std::vector<float> t = {1.0F, 0.0F, 1.0F, 0.0F};
  const BatchResult binary = loss_of(Loss::binary_cross_entropy, {}, z, 2, {{}, t}, {});
  EXPECT_EQ(binary.correct, 1U) << "an example is right if all of its outputs are";
  const BatchResult squared = loss_of(Loss::mean_squared_error, {}, z, 2, {{}, t}, {});
  EXPECT_NEAR(squared.squares, (0.25 + 1.0) / 2 + (1.0 + 0.0625) / 2, 1e-12);
}

TEST(Losses, ShowWhatIsNotFinite) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Loss loss : {Loss::binary_cross_entropy,
                          Loss::mean_squared_error,
                          Loss::mean_absolute_error,
                          Loss::huber}) {
    const std::vector<float> z = {nan};
    const std::vector<float> t = {0.0F};
    EXPECT_FALSE(std::isfinite(loss_of(loss, {}, z, 1, {{}, t}, {}).loss));
  }
}

TEST(Losses, LearnNothingFromClassesWithoutWeight) {
  const std::vector<float> z = {1.0F, 2.0F};
  const std::vector<std::uint32_t> labels = {0};
  std::vector<float> gradient(2, 7.0F);
  const LossOptions options{0.0, {0.0F, 1.0F}, 1.0};
  const BatchResult result =
      loss_of(Loss::softmax_cross_entropy, options, z, 2, {labels, {}}, gradient);
  EXPECT_EQ(result.loss, 0.0);
  EXPECT_EQ(gradient, (std::vector<float>{0.0F, 0.0F}));
}

// ---- survival ----

BatchResult cox(const std::vector<float>& risks,
                const std::vector<float>& survival,
                std::span<float> gradient) {
  return loss_of(Loss::cox_partial_likelihood, {}, risks, 1, {{}, survival}, gradient);
}

TEST(CoxPartialLikelihood, ComparesWithThoseStillThere) {
  // Times 2 (ended), 5 (censored), 3 (ended): risk sets {all}, {second, third}.
  const std::vector<float> risks{0.5F, -1.0F, 0.25F};
  const std::vector<float> survival{2, 1, 5, 0, 3, 1};
  std::vector<float> gradient(3);
  const BatchResult result = cox(risks, survival, gradient);
  const double a = std::exp(0.5);
  const double b = std::exp(-1.0);
  const double c = std::exp(0.25);
  const double mean = (std::log(a + b + c) - 0.5 + std::log(b + c) - 0.25) / 2;
  EXPECT_NEAR(result.loss, 3 * mean, 1e-9);
  EXPECT_NEAR(gradient[0], (a / (a + b + c) - 1) / 2, 1e-7);
  EXPECT_NEAR(gradient[1], (b / (a + b + c) + b / (b + c)) / 2, 1e-7);
  EXPECT_NEAR(gradient[2], (c / (a + b + c) + c / (b + c) - 1) / 2, 1e-7);
}

TEST(CoxPartialLikelihood, EqualTimesShareTheirRiskSet) {
  const std::vector<float> risks{1.0F, 2.0F, 0.0F};
  const double all = std::log(std::exp(1.0) + std::exp(2.0) + 1.0);
  EXPECT_NEAR(cox(risks, {4, 1, 4, 1, 9, 0}, {}).loss, 3 * (2 * all - 3.0) / 2, 1e-9);
}

TEST(CoxPartialLikelihood, ItsGradientIsItsDerivative) {
  std::vector<float> risks;
  std::vector<float> survival;
  for (int i = 0; i < 12; ++i) {
    risks.push_back(static_cast<float>(i * 7 % 5) * 0.5F - 1.0F);
    survival.push_back(static_cast<float>(i * 5 % 7));
    survival.push_back(static_cast<float>(i % 3 != 0));
  }
  std::vector<float> gradient(risks.size());
  cox(risks, survival, gradient);
  for (std::size_t i = 0; i < risks.size(); ++i) {
    constexpr float kStep = 0x1.0p-8F;
    auto moved = risks;
    moved[i] += kStep;
    const double above = cox(moved, survival, {}).loss;
    moved[i] -= 2 * kStep;
    const double below = cox(moved, survival, {}).loss;
    EXPECT_NEAR(gradient[i], (above - below) / (2 * double{kStep}) / 12, 1e-6) << i;
  }
}

TEST(CoxPartialLikelihood, WithoutAnEndThereIsNothingToLearn) {
  std::vector<float> gradient(2, 7.0F);
  EXPECT_EQ(cox({1.0F, 2.0F}, {4, 0, 5, 0}, gradient).loss, 0.0);
  EXPECT_EQ(gradient, (std::vector<float>{0.0F, 0.0F}));
}

TEST(CoxPartialLikelihood, LargeRisksDoNotOverflowAndNanShows) {
  std::vector<float> gradient(2);
  EXPECT_NEAR(cox({3e38F, -3e38F}, {1, 1, 2, 1}, gradient).loss, 0.0, 1e-12);
  for (const float slope : gradient) EXPECT_TRUE(std::isfinite(slope));
  EXPECT_FALSE(std::isfinite(cox({NAN, 1.0F}, {1, 1, 2, 1}, {}).loss));
  EXPECT_FALSE(std::isfinite(cox({1.0F, NAN}, {1, 1, 2, 1}, {}).loss));
}

// The gradient of distil() against differences of what it returns.
TEST(Distil, HasTheDerivativeOfItsFormula) {
  const std::vector<float> teacher = {0.5F, -1.0F, 2.0F, 0.0F, 1.0F, -0.5F};
  std::vector<float> z = {0.1F, 0.4F, -0.3F, 1.0F, -2.0F, 0.2F};
  const std::vector<std::uint32_t> labels = {1, 2};
  for (const bool not_true : {false, true}) {
    const Distillation how{Distillation::Teacher::received, 0.7, 3.0, not_true};
    std::vector<float> slopes(6, 0.0F);
    distil(how, z, teacher, labels, slopes);
    for (std::size_t i = 0; i < z.size(); ++i) {
      const auto at = [&](float offset) {
        std::vector<float> moved = z;
        std::vector<float> unused(6);
        moved[i] += offset;
        return distil(how, moved, teacher, labels, unused);
      };
      EXPECT_NEAR(double{slopes[i]}, (at(0.01F) - at(-0.01F)) / 0.02, 1e-5) << i << not_true;
    }
    if (not_true) {
      EXPECT_EQ(slopes[1], 0.0F);
      EXPECT_EQ(slopes[5], 0.0F);
    }
  }
}

TEST(Distil, IsTheScaledDivergence) {
  const std::vector<float> z = {std::log(0.25F), std::log(0.75F)};
  const std::vector<float> teacher = {0.0F, 0.0F};
  std::vector<float> slopes(2, 1.0F);
  const std::vector<std::uint32_t> labels = {0};
  const double kl = 0.5 * std::log(0.5 / 0.25) + 0.5 * std::log(0.5 / 0.75);
  EXPECT_NEAR(distil({Distillation::Teacher::given, 2.0, 1.0, false}, z, teacher, labels, slopes),
              2.0 * kl,
              1e-7);
  EXPECT_NEAR(slopes[0], 1.0 + 2.0 * (0.25 - 0.5), 1e-6) << "added to what was there";
}

}  // namespace
}  // namespace chorus::train
