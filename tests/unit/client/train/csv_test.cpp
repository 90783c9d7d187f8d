#include <string>
#include <vector>

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
using testing::HasSubstr;

class Csv : public CsvTest {};

TEST_F(Csv, ReadsNumbersWithTheLabelLast) {
  const auto data = load("1,2.5,0\n-3e1,+.5,2\n");
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_EQ(data->dataset.size(), 2U);
  EXPECT_THAT(data->dataset.feature_shape(), ElementsAre(2));
  EXPECT_THAT(data->dataset.example(0).value().features, ElementsAre(1.0F, 2.5F));
  EXPECT_THAT(data->dataset.example(1).value().features, ElementsAre(-30.0F, 0.5F));
  EXPECT_THAT(data->dataset.labels().value(), ElementsAre(0, 2));
  EXPECT_EQ(data->dataset.classes(), 3U);
  EXPECT_TRUE(data->keys.empty());
}

TEST_F(Csv, ReadsWhatOtherProgramsWrite) {
  options_.header = true;
  options_.label_column = "class";
  options_.key_column = "hospital";
  options_.separator = ';';
  const auto data = load(
      "\xEF\xBB\xBF\"age\";class;hospital;\"blood; pressure\"\r\n"
      "\r\n"
      " 61 ;1;\"St. \"\"Mary\"\"\nNorth\";\"120\"\r\n"
      "52;0;B;\t130");
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_THAT(data->dataset.example(0).value().features, ElementsAre(61.0F, 120.0F));
  EXPECT_THAT(data->dataset.example(1).value().features, ElementsAre(52.0F, 130.0F));
  EXPECT_THAT(data->dataset.labels().value(), ElementsAre(1, 0));
  EXPECT_THAT(test::list_of(data->keys), ElementsAre("St. \"Mary\"\nNorth", "B"));
}

TEST_F(Csv, ReadsGzip) {
  options_.path = folder_.path() / "table.csv.gz";
  test::write_gzip(options_.path, "8,4,1\n16,0,0\n");
  options_.divide_by = 16;
  options_.feature_shape = {1, 1, 2};
  const auto data = load_csv(options_);
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_THAT(data->dataset.feature_shape(), ElementsAre(1, 1, 2));
  EXPECT_THAT(data->dataset.example(0).value().features, ElementsAre(0.5F, 0.25F));
}

TEST_F(Csv, FindsColumnsByNumber) {
  for (const char* label : {"0", "-3"}) {
    options_.label_column = label;
    const auto data = load("1,2,3\n0,5,6\n");
    ASSERT_TRUE(data);
    EXPECT_THAT(data->dataset.labels().value(), ElementsAre(1, 0));
    EXPECT_THAT(data->dataset.example(1).value().features, ElementsAre(5.0F, 6.0F));
  }
}

TEST_F(Csv, NamesWinOverNumbers) {
  options_.header = true;
  options_.label_column = "0";
  const auto data = load("1,0\n7,1\n");
  ASSERT_TRUE(data);
  EXPECT_THAT(data->dataset.labels().value(), ElementsAre(1));
}

TEST_F(Csv, NamesLineColumnAndValueOfBadNumbers) {
  refused("1,2,0\n1,abc,0\n", "table.csv' line 2, column 2: 'abc' is not a number");
  refused("1,2,0\n\n\n1,0x10,0\n", "line 4, column 2");
  for (const char* bad : {"1 2",
                          "1.2.3",
                          "nan",
                          "inf",
                          "-inf",
                          "1e999",
                          "1e39",
                          "--1",
                          "+-1",
                          "1,5",
                          "+",
                          "-",
                          ".",
                          "e5"}) {
    refused(std::string("1,\"") + bad + "\",0\n", "line 1, column 2");
  }
  options_.header = true;
  refused("a,b,c\n1,2,0\n1,x,0\n", "line 3, column 2: 'b': 'x' is not a number");
  refused("a,b,c\n\"1\",\"2\n\",0\n1,x,0\n", "line 2, column 2");
}

TEST_F(Csv, NamesMissingValues) {
  refused("1,,0\n", "line 1, column 2: the value is missing; expected a number");
  refused("1,2,0\n1,?,0\n", "line 2, column 2: the value is missing");
  refused("NA,2,0\n", "column 1: the value is missing");
  refused("1,2,\n", "column 3: the value is missing; expected a class");
}

TEST_F(Csv, RefusesLabelsThatAreNotClasses) {
  for (const char* bad : {"-1", "1.0", "cat", "4294967295", "4294967296", "1e1"}) {
    refused(std::string("1,2,") + bad + "\n", "is not a class");
  }
}

TEST_F(Csv, RefusesLabelsBeyondTheClasses) {
  options_.classes = 3;
  EXPECT_TRUE(load("1,2\n"));
  refused("1,2\n1,3\n", "line 2, column 2: '3' is not a class, a whole number from 0 to 2");
}

TEST_F(Csv, RefusesRaggedLines) {
  refused("1,2,0\n1,2\n", "line 2: there are 2 columns; the first line has 3");
  refused("1,2,0\n1,2,0,\n", "line 2: there are 4 columns");
}

TEST_F(Csv, RefusesBrokenQuotes) {
  refused("\"1,2,0\n1,2,0\n", "line 1, column 1: the quote never closes");
  refused("1,\"2\"3,0\n", "line 1, column 2: the quote closes before the field ends");
  refused("1,2,0\r1,2,0\n", "carriage return");
}

TEST_F(Csv, RefusesFilesWithoutExamples) {
  refused("", "the file is empty");
  refused("\n\r\n\n", "the file is empty");
  refused("1\n2\n", "no column is left for features");
  options_.header = true;
  refused("a,b\n", "there are no examples");
}

TEST_F(Csv, RefusesColumnsThatAreNotThere) {
  const auto bad = errc::invalid_argument;
  options_.label_column = "3";
  refused("1,2,0\n", "label_column '3' is not in", bad);
  options_.label_column = "-4";
  refused("1,2,0\n", "give a number (-3 to 2)", bad);
  options_.label_column = "class";
  refused("1,2,0\n", "without names", bad);
  options_.header = true;
  refused("a,b,c\n1,2,0\n", "or a name of the first line", bad);
  options_.label_column = "c";
  options_.key_column = "2";
  refused("a,b,c\n1,2,0\n", "is the label column too", bad);
}

TEST_F(Csv, RefusesOptionsThatCannotWork) {
  const auto bad = errc::invalid_argument;
  options_.feature_shape = {1, 8, 8};
  refused("1,2,0\n", "has 2 feature columns; the feature shape 1x8x8 needs 64", bad);
  options_.feature_shape = {};
  options_.divide_by = 0;
  refused("1,2,0\n", "divide_by", bad);
  options_.divide_by = 1;
  options_.separator = '"';
  refused("1,2,0\n", "separate columns", bad);
}

TEST_F(Csv, KeepsWithinLimits) {
  const std::string most(limits::kCsvFieldBytesMax, ' ');
  EXPECT_TRUE(load(most.substr(1) + "1,0\n"));
  refused(most + "1,0\n", "column 1: the field has more than");
  refused("\"" + most + "1\",0\n", "column 1: the field has more than");
  refused(std::string(limits::kCsvColumnsMax, ','), "line 1: there are more than");
  options_.bytes_max = 24;
  EXPECT_TRUE(load("1,2,0\n1,2,0\n"));
  refused("1,2,0\n1,2,0\n1,2,0\n", "line 3: the examples need more than 24 bytes");
}

TEST_F(Csv, TakesTheMostColumns) {
  std::string line;
  for (std::size_t i = 1; i < limits::kCsvColumnsMax; ++i) line += "1,";
  const auto data = load(line + "0\n");
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_EQ(data->dataset.feature_count(), limits::kCsvColumnsMax - 1);
}

TEST_F(Csv, NamesTheFileThatIsNotThere) {
  options_.path = folder_.path() / "none.csv";
  const auto data = load_csv(options_);
  ASSERT_FALSE(data);
  EXPECT_EQ(data.error().code, errc::not_found);
  EXPECT_THAT(data.error().detail, HasSubstr("none.csv"));
}

}  // namespace
}  // namespace chorus::client
