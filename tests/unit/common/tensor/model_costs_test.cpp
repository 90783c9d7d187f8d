#include "common/tensor/model_costs.hpp"

#include <numeric>

#include <gtest/gtest.h>

namespace chorus::tensor {
namespace {

std::vector<LayerCost> costs(const ModelSpec& model) {
  auto costs = costs_of(model);
  EXPECT_TRUE(costs) << costs.error().detail;
  return std::move(costs).value();
}

double forwards(const std::vector<LayerCost>& costs) {
  return std::accumulate(costs.begin(), costs.end(), 0.0, [](double sum, const LayerCost& cost) {
    return sum + cost.flops;
  });
}

// LeNet-5 by hand: 28·28·6·25, 10·10·16·150, 400·120, 120·84, 84·10 products.
TEST(ModelCosts, CountsLeNet5) {
  const auto found = costs({{1, 28, 28},
                            {Conv2d{"", 6, 5, 1, 2},
                             Tanh{},
                             AvgPool2d{2, 2},
                             Conv2d{"", 16, 5},
                             Tanh{},
                             AvgPool2d{2, 2},
                             Flatten{},
                             Dense{"", 120},
                             Tanh{},
                             Dense{"", 84},
                             Tanh{},
                             Dense{"", 10}}});
  ASSERT_EQ(found.size(), 12U);
  EXPECT_EQ(found[0].name, "conv1");
  EXPECT_EQ(found[0].output, (std::vector<std::uint64_t>{6, 28, 28}));
  EXPECT_EQ(found[0].parameters, 156U);
  EXPECT_EQ(found[0].activation_bytes, 6U * 28 * 28 * 4);
  EXPECT_EQ(found[0].flops, 2.0 * 117'600);
  EXPECT_EQ(found[1].name, "");
  EXPECT_EQ(found[1].parameters, 0U);
  EXPECT_EQ(found[1].flops, 0.0);
  EXPECT_EQ(found[11].parameters, 850U);
  const double products = 117'600 + 240'000 + 48'000 + 10'080 + 840;
  EXPECT_EQ(forwards(found), 2 * products);
  // Forwards and both gradients, but for the images none.
  EXPECT_EQ(training_flops(found), 2 * (3 * products - 117'600));
}

TEST(ModelCosts, RunningStatisticsAreNoParameters) {
  const auto found = costs({{3, 4, 4}, {BatchNorm{}, Flatten{}, Dense{"", 2}}});
  EXPECT_EQ(found[0].parameters, 6U);
  EXPECT_EQ(found[0].buffers, 6U);
  EXPECT_EQ(found[2].parameters, 98U);
  EXPECT_EQ(found[2].buffers, 0U);
}

TEST(ModelCosts, GroupsDivideTheWork) {
  const auto found = costs({{8, 5, 5}, {Conv2d{"", 8, 3, 1, 1, 1, 8}, Flatten{}, Dense{"", 2}}});
  EXPECT_EQ(found[0].flops, 2.0 * 9 * 8 * 25);
  EXPECT_EQ(found[0].parameters, 8U * 9 + 8);
}

TEST(ModelCosts, AdaptersAddTheirTwoProducts) {
  const auto found = costs({{2, 6, 6},
                            {Conv2d{"", 4, 3, 1, 1, 1, 1, true, 3},
                             Reshape{{24, 6}},
                             SelfAttention{"", 2, false, 2},
                             Dense{"", 5, true, 4},
                             Flatten{},
                             Dense{"", 2}}});
  EXPECT_EQ(found[0].flops, 2.0 * 36 * (2 * 9 * 4 + 3 * (2 * 9 + 4)));
  EXPECT_EQ(found[2].flops,
            2.0 * (4 * 24 * 6 * 6 + 2 * 24 * 24 * 6) + 2.0 * 24 * 2 * ((6 + 18) + (6 + 6)));
  EXPECT_EQ(found[3].flops, 2.0 * 24 * (6 * 5 + 4 * (6 + 5)));
}

// Four gates; each step reads its input and the last state. The second level reads both directions.
TEST(ModelCosts, RecurrentLayersCountLevelsAndDirections) {
  const auto one = costs({{10, 3}, {Lstm{"", 5}, Dense{"", 2}}});
  EXPECT_EQ(one[0].flops, 2.0 * 10 * 4 * 5 * (3 + 5));
  const auto both = costs({{10, 3}, {Gru{"", 5, 2, true}, Dense{"", 2}}});
  EXPECT_EQ(both[0].flops, 2.0 * 10 * 2 * 3 * 5 * ((3 + 5) + (10 + 5)));
  EXPECT_EQ(both[0].parameters, 2U * 15 * (3 + 5 + 2) + 2U * 15 * (10 + 5 + 2));
}

// What comes first wants no gradient of its input, unless something with parameters lies before.
TEST(ModelCosts, AnEmbeddingWantsTheGradientOfItsRows) {
  const auto found = costs({{10}, {Embedding{"", 7, 3}, Lstm{"", 5}, Dense{"", 2}}});
  EXPECT_EQ(training_flops(found), 3 * forwards(found));
}

// Four projections of 6×4 by 4×4; scores and mixture, 6×6 by 4 each.
TEST(ModelCosts, AttentionCountsProjectionsAndScores) {
  const auto found = costs({{6, 4}, {SelfAttention{"", 2}, Flatten{}, Dense{"", 2}}});
  EXPECT_EQ(found[0].flops, 2.0 * (4 * 6 * 4 * 4 + 2 * 6 * 6 * 4));
}

TEST(ModelCosts, NamesThatBeginAlikeAreTwoLayers) {
  const auto found = costs({{4}, {Dense{"a", 3}, Dense{"a.b", 5}}});
  EXPECT_EQ(found[0].parameters, 15U);
  EXPECT_EQ(found[1].parameters, 20U);
}

TEST(ModelCosts, AModelThatDoesNotFitHasNone) {
  const auto found = costs_of({{3, 4, 4}, {Dense{"", 2}}});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, errc::invalid_argument);
}

}  // namespace
}  // namespace chorus::tensor
