// Tables that stay in their file.
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chorus/client/builtin_trainer.hpp"
#include "tests/unit/client/train/csv_fixture.hpp"
#include "tests/unit/client/train/examples.hpp"

namespace chorus::client {
namespace {

using testing::HasSubstr;

class CsvStream : public CsvTest {
 protected:
  /// The same table from memory and from its file, with `bytes_max` of it in memory.
  void same(const std::string& text, std::uint64_t bytes_max) {
    options_.bytes_max = kDatasetBytesDefault;
    options_.stream = false;
    const auto held = load(text);
    ASSERT_TRUE(held) << held.error().detail;
    options_.stream = true;
    options_.bytes_max = bytes_max;
    const auto streamed = load(text);
    ASSERT_TRUE(streamed) << streamed.error().detail;
    EXPECT_FALSE(streamed->dataset.in_memory());
    EXPECT_EQ(streamed->scales, held->scales);
    EXPECT_EQ(streamed->dataset.scales(), held->dataset.scales());
    ASSERT_EQ(streamed->categories.size(), held->categories.size());
    for (std::size_t i = 0; i < held->categories.size(); ++i) {
      EXPECT_EQ(streamed->categories[i].column, held->categories[i].column);
      EXPECT_EQ(streamed->categories[i].values, held->categories[i].values);
    }
    const Dataset& a = held->dataset;
    const Dataset& b = streamed->dataset;
    ASSERT_EQ(b.size(), a.size());
    EXPECT_EQ(b.feature_shape(), a.feature_shape());
    EXPECT_EQ(b.classes(), a.classes());
    EXPECT_EQ(b.target_count(), a.target_count());
    ASSERT_EQ(streamed->keys.size(), held->keys.size());
    for (int pass = 0; pass < 2; ++pass) {
      for (std::size_t i = a.size(); i-- > 0;) {
        const Example x = a.example(i).value();
        const auto y = b.example(i);
        ASSERT_TRUE(y) << y.error().detail;
        EXPECT_EQ(y->features, x.features) << i;
        EXPECT_EQ(y->label, x.label) << i;
        EXPECT_EQ(y->targets, x.targets) << i;
        if (!held->keys.empty()) {
          EXPECT_EQ(streamed->keys[i], held->keys[i]);
        }
      }
    }
  }
};

const std::string kPeople =
    "\xEF\xBB\xBF"
    "age, sex,who,place,score,label\r\n"
    "31.5,f,ann,\"a \"\"big\"\"\ntown\",0.25,1\r\n"
    "\r\n"
    "?,m,bob,village,-1,0\n"
    "\n\n"
    " 47 ,,cem,\"a \"\"big\"\"\ntown\",1e3,2\n"
    "18,f,dan,,7,0\n"
    "-2.5,x,ann,hut,0,1";

TEST_F(CsvStream, GivesWhatMemoryGives) {
  options_.header = true;
  options_.label_column = "label";
  options_.target_columns = {"score"};
  options_.key_column = "who";
  options_.categories = {{"place", {}}, {"sex", {"m", "f", "x"}}};
  options_.missing = 20;
  options_.divide_by = 3;
  for (const auto kind : {Normalisation::none, Normalisation::standard, Normalisation::min_max}) {
    options_.normalisation = kind;
    for (const std::uint64_t bytes : {200U, 300U, 1U << 20U}) same(kPeople, bytes);
  }
  options_.fit_rows = {4, 0, 0, 3};  // in any order, and some twice
  options_.normalisation = Normalisation::standard;
  same(kPeople, 300);
  options_.fit_rows.clear();
  options_.scales = {{10.0, 4.0}};
  same(kPeople, 300);
}

TEST_F(CsvStream, ReadsAPlainTableOfNumbers) {
  std::string text;
  for (int i = 0; i < 2000; ++i) {
    text += std::to_string(i * 37 % 101) + "," + std::to_string(i) + ".125," +
            std::to_string(i % 3) + "\n";
  }
  same(text, 2000 * 12 + 8);  // no room for features
  options_.classes = 5;
  options_.separator = ',';
  same(text, 2000 * 12 + 8 + 1000 * 8);
}

TEST_F(CsvStream, WhatIsWrongIsSaidAtOnceAndAlike) {
  const auto wrong = [this](const std::string& text) {
    options_.stream = false;
    const auto held = load(text);
    options_.stream = true;
    const auto streamed = load(text);
    ASSERT_FALSE(held || streamed) << text;
    EXPECT_EQ(streamed.error().code, held.error().code);
    EXPECT_EQ(streamed.error().detail, held.error().detail);
  };
  wrong("");
  wrong("1\n");
  wrong("1,0\n2\n");
  wrong("1,0\n\"2,1\n");
  wrong("1,0\nx,1\n");
  wrong("1,0\n2,-1\n");
  wrong("1,0\n,1\n");
  options_.header = true;
  wrong("a,b\n");
  options_.label_column = "c";
  wrong("a,b\n1,0\n");
  options_.label_column = "b";
  options_.feature_shape = {2};
  wrong("a,b\n1,0\n");
  options_.categories = {{"a", {}}};
  wrong("a,b\n1,0\n2,0\n3,1\n");
  options_.feature_shape.clear();
  options_.fit_rows = {3};
  wrong("a,b\n1,0\n2,0\n3,1\n");
}

TEST_F(CsvStream, IsNotForCompressedFiles) {
  options_.path = folder_.path() / "table.csv.gz";
  test::write_gzip(options_.path, "1,0\n2,1\n");
  options_.stream = true;
  const auto data = load_csv(options_);
  ASSERT_FALSE(data);
  EXPECT_THAT(data.error().detail, HasSubstr("is compressed (gzip), which cannot be streamed"));
}

TEST_F(CsvStream, PlacesAndLabelsMustFitIntoMemory) {
  options_.stream = true;
  options_.bytes_max = 3 * 12;
  EXPECT_TRUE(load("1,0\n2,1\n3,0\n"));
  refused("1,0\n2,1\n3,0\n4,1\n", "line 4: places and labels of the examples need more than 36");
}

TEST_F(CsvStream, AFileThatChangesIsNoticed) {
  options_.stream = true;
  options_.bytes_max = 3 * 12;
  const auto data = load("1,0\n2,1\n3,0\n");
  ASSERT_TRUE(data);
  test::write_plain(options_.path, "1,0\nz,1\n3,0\n");
  EXPECT_THAT(data->dataset.example(1).error().detail,
              HasSubstr("table.csv' changed while it was in use: example 1: "));
  EXPECT_TRUE(data->dataset.example(2));
  test::write_plain(options_.path, "1,0\n2,1\n");
  EXPECT_THAT(data->dataset.example(2).error().detail, HasSubstr("became shorter"));
}

TEST_F(CsvStream, TrainsToTheSameBits) {
  std::string text;
  for (int i = 0; i < 300; ++i) {
    text += std::to_string(i % 17) + "," + std::to_string(i % 5) + "," +
            std::to_string(i % 17 > 8 ? 1 : 0) + "\n";
  }
  const ModelSpec model{{2}, {Dense{"", 2}}};
  const auto layout = layout_of(model).value();
  const CancelToken never{};
  TrainTask task;
  task.plan.budget = {Budget::Unit::epochs, 3};
  task.plan.batch_size = 16;
  task.model = &model;
  task.layout = &layout;
  task.cancel = &never;
  std::vector<std::vector<float>> trained;
  for (const bool stream : {false, true}) {
    options_.stream = stream;
    if (stream) options_.bytes_max = 300 * 12 + 8 + 100 * 8;  // a third stays in memory
    const auto data = load(text);
    ASSERT_TRUE(data) << data.error().detail;
    BuiltinTrainerOptions trainer;
    trainer.train = data->dataset;
    trained.push_back(test::start_of(model));
    ASSERT_TRUE(make_builtin_trainer(std::move(trainer))->train(task, trained.back()));
  }
  EXPECT_EQ(trained[0], trained[1]);
}

}  // namespace
}  // namespace chorus::client
