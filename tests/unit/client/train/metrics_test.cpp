#include "client/train/metrics.hpp"

#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace chorus::train {
namespace {

using testing::ElementsAre;
using testing::Field;

// Small numbers, so that there are many ties.
std::vector<float> few_values(std::size_t n, std::uint32_t state, std::uint32_t values) {
  std::vector<float> made(n);
  for (float& x : made) {
    state = state * 1664525U + 1013904223U;
    x = static_cast<float>((state >> 16U) % values);
  }
  return made;
}

TEST(AreaUnderCurve, IsTheShareOfPairsInOrder) {
  const std::vector<float> scores{0.1F, 0.4F, 0.35F, 0.8F};
  // The example of scikit-learn's roc_auc_score.
  EXPECT_DOUBLE_EQ(area_under_curve(scores, {false, false, true, true}), 0.75);
  EXPECT_DOUBLE_EQ(area_under_curve(std::vector<float>(4, 1.0F), {false, true, true, false}), 0.5);
  EXPECT_TRUE(std::isnan(area_under_curve(scores, std::vector<bool>(4, true))));
  EXPECT_TRUE(std::isnan(area_under_curve({}, {})));
}

TEST(AreaUnderCurve, CountsAllPairs) {
  const auto scores = few_values(200, 1, 17);
  const auto classes = few_values(200, 2, 2);
  std::vector<bool> positive(200);
  double right = 0.0;
  double pairs = 0.0;
  for (std::size_t i = 0; i < 200; ++i) positive[i] = classes[i] > 0.5F;
  for (std::size_t i = 0; i < 200; ++i) {
    for (std::size_t j = 0; j < 200; ++j) {
      if (!positive[i] || positive[j]) continue;
      pairs += 1.0;
      right += scores[i] > scores[j] ? 1.0 : scores[i] == scores[j] ? 0.5 : 0.0;
    }
  }
  EXPECT_DOUBLE_EQ(area_under_curve(scores, positive), right / pairs);
}

TEST(ConcordanceIndex, CountsAllComparablePairs) {
  const std::size_t n = 150;
  const auto risks = few_values(n, 3, 11);
  const auto times = few_values(n, 4, 23);
  const auto ended = few_values(n, 5, 2);
  std::vector<float> survival;
  for (std::size_t i = 0; i < n; ++i) {
    survival.push_back(times[i]);
    survival.push_back(ended[i]);
  }
  double right = 0.0;
  double pairs = 0.0;
  for (std::size_t i = 0; i < n; ++i) {    // ended
    for (std::size_t j = 0; j < n; ++j) {  // lived longer
      const bool longer = times[j] > times[i] || (times[j] == times[i] && ended[j] < 0.5F);
      if (ended[i] < 0.5F || i == j || !longer) continue;
      pairs += 1.0;
      right += risks[i] > risks[j] ? 1.0 : risks[i] == risks[j] ? 0.5 : 0.0;
    }
  }
  EXPECT_DOUBLE_EQ(concordance_index(risks, survival), right / pairs);
}

TEST(ConcordanceIndex, IsOneForTheRightOrderAndUndefinedWithoutPairs) {
  const std::vector<float> survival{5, 1, 3, 1, 9, 0};
  EXPECT_DOUBLE_EQ(concordance_index(std::vector<float>{2, 3, 1}, survival), 1.0);
  EXPECT_DOUBLE_EQ(concordance_index(std::vector<float>{2, 1, 3}, survival), 0.0);
  const std::vector<float> censored{5, 0, 3, 0};
  EXPECT_TRUE(std::isnan(concordance_index(std::vector<float>{1, 2}, censored)));
}

TEST(MacroF1, IsTheMeanOverClassesThatOccur) {
  // scikit-learn: y_true = 0 0 1 1 2, y_pred = 0 1 1 1 0; class 3 never occurs.
  const ClassCounts counts{{1, 2, 0, 0}, {2, 3, 0, 0}, {2, 2, 1, 0}};
  EXPECT_NEAR(macro_f1(counts), (0.5 + 0.8 + 0.0) / 3, 1e-12);
  EXPECT_TRUE(std::isnan(macro_f1({{0}, {0}, {0}})));
}

TEST(Evaluation, ReportsWhatTheLossHas) {
  ModelSpec model;
  Evaluation classes(model, 6);
  const std::vector<float> scores{9,
                                  1,
                                  2,
                                  3,
                                  4,
                                  5,  // the label's is the smallest: not among 5
                                  0,
                                  1,
                                  2,
                                  3,
                                  4,
                                  5};  // right
  classes.add(std::span(scores).first(6), {std::vector<std::uint32_t>{1}, {}});
  classes.add(std::span(scores).last(6), {std::vector<std::uint32_t>{5}, {}});
  EXPECT_THAT(classes.metrics(),
              ElementsAre(AllOf(Field(&Metric::name, "f1"), Field(&Metric::value, 1.0 / 3)),
                          AllOf(Field(&Metric::name, "top_5"), Field(&Metric::value, 0.5))));
  model.loss = Loss::binary_cross_entropy;
  Evaluation binary(model, 1);
  binary.add(std::vector<float>{-1, 2}, {{}, std::vector<float>{0, 1}});
  EXPECT_THAT(binary.metrics(), ElementsAre(Field(&Metric::name, "auc")));
  model.loss = Loss::cox_partial_likelihood;
  Evaluation survival(model, 1);
  survival.add(std::vector<float>{1, 2}, {{}, std::vector<float>{4, 1, 2, 1}});
  EXPECT_THAT(survival.metrics(),
              ElementsAre(AllOf(Field(&Metric::name, "c_index"), Field(&Metric::value, 1.0))));
  model.loss = Loss::mean_squared_error;
  EXPECT_TRUE(Evaluation(model, 1).metrics().empty());
}

}  // namespace
}  // namespace chorus::train
