#include "client/train/loss.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace chorus::train {
namespace {

TEST(SoftmaxCrossEntropy, MatchesTheFormula) {
  const std::vector<float> outputs = {1.0F, 2.0F, 3.0F, 0.0F, 0.0F, 0.0F};
  const std::vector<std::uint32_t> labels = {2, 0};
  std::vector<float> gradient(6);
  const BatchResult result = softmax_cross_entropy(outputs, labels, 3, gradient);
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
  const BatchResult result = softmax_cross_entropy(outputs, labels, 2, gradient);
  EXPECT_EQ(result.loss, 0.0);
  EXPECT_EQ(result.correct, 2U);
  for (const float slope : gradient) EXPECT_EQ(slope, 0.0F);
}

TEST(SoftmaxCrossEntropy, CountsTheFirstOfEqualOutputs) {
  const std::vector<float> outputs = {1.0F, 1.0F};
  const std::vector<std::uint32_t> first = {0};
  const std::vector<std::uint32_t> second = {1};
  EXPECT_EQ(softmax_cross_entropy(outputs, first, 2, {}).correct, 1U);
  EXPECT_EQ(softmax_cross_entropy(outputs, second, 2, {}).correct, 0U);
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
    EXPECT_FALSE(std::isfinite(softmax_cross_entropy(outputs, labels, 3, {}).loss));
  }
}

}  // namespace
}  // namespace chorus::train
