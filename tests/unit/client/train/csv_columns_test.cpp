// Columns of words, normalisation and missing values.
#include <cmath>
#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chorus/client/dataset.hpp"
#include "common/base/limits.hpp"
#include "tests/unit/client/train/csv_fixture.hpp"
#include "tests/unit/client/train/examples.hpp"
#include "tests/unit/client/train/gzip.hpp"

namespace chorus::client {
namespace {

using testing::ElementsAre;
using testing::FloatEq;
using testing::HasSubstr;

class CsvColumns : public CsvTest {};

TEST_F(CsvColumns, EncodesWordsInThePlaceOfTheirColumn) {
  options_.header = true;
  options_.categories = {{"colour", {}}};
  const auto data = load("a,colour,b,y\n1,red,5,0\n2,\"blue, dark\",6,1\n3, red ,7,1\n");
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_THAT(data->dataset.feature_shape(), ElementsAre(4));
  EXPECT_THAT(data->dataset.example(0).value().features,
              ElementsAre(1, 0, 1, 5));  // "blue, dark" < "red"
  EXPECT_THAT(data->dataset.example(1).value().features, ElementsAre(2, 1, 0, 6));
  EXPECT_THAT(data->dataset.example(2).value().features, ElementsAre(3, 0, 1, 7));
  ASSERT_EQ(data->categories.size(), 1U);
  EXPECT_EQ(data->categories[0].column, "colour");
  EXPECT_THAT(data->categories[0].values, ElementsAre("blue, dark", "red"));
  EXPECT_TRUE(data->scales.empty());
}

TEST_F(CsvColumns, FittedCategoriesDoNotDependOnTheOrderOfRows) {
  options_.categories = {{"0", {}}, {"-2", {}}};
  options_.feature_shape = {1, 5};
  const auto data = load("c,y,0\na,x,1\nb,y,1\n");
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_THAT(data->dataset.feature_shape(), ElementsAre(1, 5));
  EXPECT_THAT(data->dataset.example(0).value().features, ElementsAre(0, 0, 1, 0, 1));
  EXPECT_THAT(data->dataset.example(1).value().features, ElementsAre(1, 0, 0, 1, 0));
}

TEST_F(CsvColumns, TakesGivenCategoriesInTheirOrder) {
  options_.categories = {{"0", {"z", "a", "never"}}};
  const auto data = load("a,0\nz,1\n");
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_THAT(data->dataset.example(0).value().features, ElementsAre(0, 1, 0));
  EXPECT_THAT(data->dataset.example(1).value().features, ElementsAre(1, 0, 0));
  EXPECT_THAT(data->categories[0].values, ElementsAre("z", "a", "never"));
  refused("a,0\nb,1\n", "line 2, column 1: 'b' is not a category of this column (z, a, never)");
}

TEST_F(CsvColumns, RefusesCategoriesThatCannotBe) {
  const auto bad = errc::invalid_argument;
  options_.categories = {{"7", {}}};
  refused("a,0\n", "categories: column '7' is not in", bad);
  options_.categories = {{"1", {}}};
  refused("a,0\n", "is the label column too", bad);
  options_.categories = {{"0", {}}, {"-2", {}}};
  refused("a,0\n", "named twice", bad);
  options_.categories = {{"0", {"a", "b", "a"}}};
  refused("a,0\n", "name 'a' twice", bad);
  options_.categories = {{"0", {}}};
  options_.feature_shape = {3};
  refused("a,0\nb,1\n", "has 2 feature columns; the feature shape 3 needs 3", bad);
}

TEST_F(CsvColumns, StandardisesWithMeanAndPopulationDeviation) {
  options_.normalisation = Normalisation::standard;
  options_.divide_by = 2;
  const auto data = load("2,7,0\n4,7,1\n12,7,1\n");  // halves: 1, 2, 6: mean 3, variance 14 / 3
  ASSERT_TRUE(data) << data.error().to_string();
  ASSERT_EQ(data->scales.size(), 2U);
  EXPECT_DOUBLE_EQ(data->scales[0].offset, 3.0);
  EXPECT_DOUBLE_EQ(data->scales[0].scale, std::sqrt(14.0 / 3));
  EXPECT_THAT(data->dataset.example(2).value().features,
              ElementsAre(FloatEq(static_cast<float>(3 / std::sqrt(14.0 / 3))), 0.0F));
  EXPECT_EQ(data->scales[1].scale, 1.0) << "a constant column";
}

TEST_F(CsvColumns, ScalesToTheRangeBetweenSmallestAndLargest) {
  options_.normalisation = Normalisation::min_max;
  options_.categories = {{"1", {}}};
  const auto data = load("-5,u,3,0\n5,v,3,0\n0,u,3,1\n");
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_THAT(data->dataset.example(0).value().features, ElementsAre(0, 1, 0, 0));
  EXPECT_THAT(data->dataset.example(1).value().features, ElementsAre(1, 0, 1, 0));
  EXPECT_THAT(data->dataset.example(2).value().features, ElementsAre(0.5, 1, 0, 0));
}

TEST_F(CsvColumns, LargeNumbersKeepTheirDifferences) {
  options_.normalisation = Normalisation::min_max;
  const auto data = load("1700000000,0\n1700000001,0\n1700000004,1\n");
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_EQ(data->dataset.example(1).value().features[0], 0.25F);
}

TEST_F(CsvColumns, WhatOneFileFittedReadsAnother) {
  options_.normalisation = Normalisation::standard;
  options_.categories = {{"0", {}}};
  const auto first = load("a,1,0\nb,3,1\n");
  ASSERT_TRUE(first);
  options_.categories = first->categories;
  options_.scales = first->scales;
  const auto second = load("b,9,0\n");
  ASSERT_TRUE(second) << second.error().to_string();
  EXPECT_THAT(second->dataset.example(0).value().features, ElementsAre(0, 1, 7));  // (9 - 2) / 1
  EXPECT_EQ(second->scales[0].offset, 2.0);
}

TEST_F(CsvColumns, RefusesScalesThatDoNotFit) {
  const auto bad = errc::invalid_argument;
  options_.scales = {{0, 1}};
  refused("1,2,0\n", "scales are given, but normalisation is none", bad);
  options_.normalisation = Normalisation::standard;
  refused("1,2,0\n", "there are 1 scales for", bad);
  options_.scales = {{0, 1}, {0, 0}};
  refused("1,2,0\n", "no scale 0", bad);
  options_.scales[1] = {std::numeric_limits<double>::infinity(), 1};
  refused("1,2,0\n", "scales hold offset inf", bad);
  options_.scales[1] = {0, 1e-300};
  refused("1,2,0\n", "is not finite", errc::not_finite);
}

TEST_F(CsvColumns, PutsTheGivenNumberForMissingOnes) {
  options_.missing = -1.0;
  const auto data = load("1,,0\n?, NA ,1\n");
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_THAT(data->dataset.example(0).value().features, ElementsAre(1, -1));
  EXPECT_THAT(data->dataset.example(1).value().features, ElementsAre(-1, -1));
  refused("1,2,\n", "column 3: the value is missing; expected a class");
  refused("1,nan,0\n", "'nan' is not a number");
}

TEST_F(CsvColumns, MissingNumbersCountWhenScalesAreFitted) {
  options_.missing = 0.0;
  options_.normalisation = Normalisation::min_max;
  const auto data = load("4,0\n?,1\n8,1\n");
  ASSERT_TRUE(data);
  EXPECT_THAT(data->dataset.example(0).value().features, ElementsAre(0.5));
}

TEST_F(CsvColumns, MissingCategoriesAreErrorsOrHaveNoFeature) {
  options_.categories = {{"0", {}}};
  refused("a,1,0\n?,2,0\n", "line 2, column 1: the value is missing; expected a category");
  refused(",1,0\n", "the value is missing; expected a category");
  options_.missing = 0.0;
  const auto data = load("a,1,0\n,2,0\nb,3,1\n");
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_THAT(data->dataset.example(1).value().features, ElementsAre(0, 0, 2));
  options_.missing.reset();
  options_.categories = {{"0", {"a", "?"}}};  // said to be a category, it is one
  const auto said = load("?,1,0\n");
  ASSERT_TRUE(said) << said.error().to_string();
  EXPECT_THAT(said->dataset.example(0).value().features, ElementsAre(0, 1, 1));
}

TEST_F(CsvColumns, RefusesAMissingNumberThatIsNone) {
  options_.missing = std::numeric_limits<double>::quiet_NaN();
  refused("1,0\n", "missing is nan", errc::invalid_argument);
}

TEST_F(CsvColumns, CountsFeaturesOfCategoriesAgainstTheLimits) {
  options_.categories = {{"0", {}}};
  options_.bytes_max = 4 * 3 * 2;  // two rows of two features and a label
  EXPECT_TRUE(load("a,0\nb,1\n"));
  refused("a,0\nb,1\nc,1\n", "line 3: the examples need more than 24 bytes");
  options_.bytes_max = kDatasetBytesDefault;
  options_.categories[0].values.clear();
  for (std::size_t i = 0; i <= limits::kCsvColumnsMax; ++i) {
    options_.categories[0].values.push_back(std::to_string(i));
  }
  refused("1,0\n", "the categories make more than 1048576 features");
}

TEST_F(CsvColumns, OnlyMissingValuesLeaveNoFeature) {
  options_.categories = {{"0", {}}};
  options_.missing = 0.0;
  refused("?,0\n", "a feature shape of [0] is impossible", errc::invalid_argument);
}

TEST_F(CsvColumns, ScalesAreFittedToTheNamedExamplesOnly) {
  options_.normalisation = Normalisation::min_max;
  options_.fit_rows = {0, 2};
  const auto data = load("2,0\n100,0\n4,1\n");
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_EQ(data->scales[0], (FeatureScale{2, 2}));
  EXPECT_THAT(data->dataset.example(1)->features, ElementsAre(49));
  options_.fit_rows = {3};
  refused("2,0\n100,0\n4,1\n", "fit_rows names example 3;", errc::invalid_argument);
}

TEST_F(CsvColumns, TheDatasetKnowsTheScaleOfEachFeature) {
  options_.categories = {{"1", {"a", "b"}}};
  options_.normalisation = Normalisation::min_max;
  const auto data = load("2,a,10,0\n6,b,15,1\n");
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_THAT(data->scales, ElementsAre(FeatureScale{2, 4}, FeatureScale{10, 5}));
  EXPECT_THAT(data->dataset.scales(),
              ElementsAre(FeatureScale{2, 4}, FeatureScale{}, FeatureScale{}, FeatureScale{10, 5}));
  options_.normalisation = Normalisation::none;
  EXPECT_TRUE(load("2,a,10,0\n6,b,15,1\n")->dataset.scales().empty());
}

TEST_F(CsvColumns, TargetsAreNumbersInTheOrderAskedFor) {
  options_.header = true;
  options_.target_columns = {"event", "time"};
  options_.divide_by = 2;
  options_.missing = 0.0;
  const auto data = load("time,age,event\n1.5,40,1\n+30,?,0\n");
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_EQ(data->dataset.classes(), 0U) << "no labels";
  EXPECT_EQ(data->dataset.target_count(), 2U);
  EXPECT_THAT(data->dataset.example(0)->features, ElementsAre(20));
  EXPECT_THAT(data->dataset.example(0)->targets, ElementsAre(1, 1.5));
  EXPECT_THAT(data->dataset.example(1)->targets, ElementsAre(0, 30)) << "not divided";
  refused("time,age,event\n?,40,1\n", "column 1: 'time': the value is missing; expected a number");
  refused("time,age,event\n1,40,x\n", "'event': 'x' is not a number");
}

TEST_F(CsvColumns, TargetsAndLabelsMayStandTogether) {
  options_.target_columns = {"0"};
  options_.label_column = "-1";
  options_.key_column = "1";
  const auto data = load("7,ann,5,1\n8,bob,6,0\n");
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_THAT(data->dataset.labels().value(), ElementsAre(1, 0));
  EXPECT_THAT(data->dataset.example(1)->targets, ElementsAre(8));
  EXPECT_THAT(data->dataset.example(1)->features, ElementsAre(6));
  EXPECT_THAT(test::list_of(data->keys), ElementsAre("ann", "bob"));
}

TEST_F(CsvColumns, AColumnHasOnePurpose) {
  const auto bad = errc::invalid_argument;
  options_.target_columns = {"0", "0"};
  refused("1,2,3\n", "target_columns '0' is a target column too", bad);
  options_.target_columns = {"0"};
  options_.label_column = "0";
  refused("1,2,3\n", "label_column '0' is a target column too", bad);
  options_.label_column.clear();
  options_.categories = {{"0", {}}};
  refused("1,2,3\n", "categories: column '0' is a target column too", bad);
  options_.categories.clear();
  options_.target_columns = {"0", "1", "2"};
  refused("1,2,3\n", "no column is left for features");
  options_.target_columns = {"time"};
  refused("1,2,3\n", "target_columns 'time' is not in", bad);
}

}  // namespace
}  // namespace chorus::client
