#include "chorus/client/dataset.hpp"

#include <limits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace chorus::client {
namespace {

using testing::ElementsAre;

Dataset three() {
  auto made = Dataset::create({{1, 2, 3, 4, 5, 6}, {2}, {0, 2, 1}, 0});
  EXPECT_TRUE(made) << made.error().to_string();
  return std::move(made).value();
}

errc code_of(Dataset::Parts parts) {
  const auto made = Dataset::create(std::move(parts));
  return made ? errc::internal : made.error().code;
}

TEST(Dataset, GivesRowsAndLabels) {
  const Dataset data = three();
  EXPECT_EQ(data.size(), 3U);
  EXPECT_EQ(data.classes(), 3U);
  EXPECT_EQ(data.feature_count(), 2U);
  EXPECT_THAT(data.feature_shape(), ElementsAre(2));
  EXPECT_THAT(data.example(1).value().features, ElementsAre(3.0F, 4.0F));
  EXPECT_EQ(data.example(1).value().label, 2U);
  EXPECT_THAT(data.labels().value(), ElementsAre(0, 2, 1));
}

TEST(Dataset, SubsetsShareAndCompose) {
  const std::vector<std::uint32_t> some = {2, 0, 2};
  const auto part = three().subset(some);
  ASSERT_TRUE(part);
  EXPECT_EQ(part->size(), 3U);
  EXPECT_THAT(part->labels().value(), ElementsAre(1, 0, 1));
  EXPECT_THAT(part->example(2).value().features, ElementsAre(5.0F, 6.0F));
  EXPECT_EQ(part->classes(), 3U);
  const auto again = part->subset(std::vector<std::uint32_t>{1});
  ASSERT_TRUE(again);
  EXPECT_THAT(again->example(0).value().features, ElementsAre(1.0F, 2.0F));
  EXPECT_TRUE(part->subset({})->empty());
}

TEST(Dataset, RefusesRowsItDoesNotHave) {
  EXPECT_EQ(three().subset(std::vector<std::uint32_t>{3}).error().code, errc::invalid_argument);
  EXPECT_EQ(Dataset().subset(std::vector<std::uint32_t>{0}).error().code, errc::invalid_argument);
}

TEST(Dataset, EmptyIsADataset) {
  EXPECT_TRUE(Dataset().empty());
  EXPECT_TRUE(Dataset().labels().value().empty());
  EXPECT_TRUE(Dataset::create({{}, {2}, {}, 0}));
}

TEST(Dataset, RefusesPartsThatDoNotFit) {
  EXPECT_EQ(code_of({{1, 2, 3}, {2}, {0, 1}, 0}), errc::shape_mismatch);
  EXPECT_EQ(code_of({{1, 2, 3, 4}, {2}, {0}, 0}), errc::shape_mismatch);
  EXPECT_EQ(code_of({{1, 2, 3, 4, 5}, {2}, {0, 1}, 0}), errc::shape_mismatch);
  EXPECT_EQ(code_of({{}, {2}, {0}, 0}), errc::shape_mismatch);
}

TEST(Dataset, RefusesImpossibleShapes) {
  EXPECT_EQ(code_of({{1}, {}, {0}, 0}), errc::invalid_argument);
  EXPECT_EQ(code_of({{1}, {0}, {0}, 0}), errc::invalid_argument);
  EXPECT_EQ(code_of({{1}, {1ULL << 32U, 1ULL << 32U}, {0}, 0}), errc::invalid_argument);
  EXPECT_EQ(code_of({{1}, {1ULL << 63U, 2}, {0}, 0}), errc::invalid_argument);
}

TEST(Dataset, RefusesLabelsBeyondTheClasses) {
  EXPECT_EQ(code_of({{1, 2}, {1}, {0, 3}, 3}), errc::invalid_argument);
  EXPECT_TRUE(Dataset::create({{1, 2}, {1}, {0, 2}, 3}));
  EXPECT_EQ(code_of({{1}, {1}, {std::numeric_limits<std::uint32_t>::max()}, 0}),
            errc::invalid_argument);
}

TEST(Dataset, RefusesFeaturesThatAreNotFinite) {
  EXPECT_EQ(code_of({{1, std::numeric_limits<float>::quiet_NaN()}, {1}, {0, 1}, 0}),
            errc::not_finite);
  EXPECT_EQ(code_of({{std::numeric_limits<float>::infinity()}, {1}, {0}, 0}), errc::not_finite);
}

}  // namespace
}  // namespace chorus::client
