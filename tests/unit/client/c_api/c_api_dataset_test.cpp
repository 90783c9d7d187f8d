// Data sets in C: from memory, from a source of the program's own, from files; parts of them.
#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chorus/chorus.h"
#include "tests/support/temp_folder.hpp"

namespace chorus::capi {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

#define EXPECT_REFUSED(call, status, text) \
  EXPECT_EQ(call, status);                 \
  EXPECT_THAT(chorus_last_error(), HasSubstr(text))

/// A source: example i is {i, i + 0.5}, its label i % 3.
struct Counting {
  int reads = 0;
  int destroyed = 0;
  chorus_status answer = CHORUS_OK;
  float spoiled = 0.0F;
};

class CDataset : public ::testing::Test {
 protected:
  ~CDataset() override { chorus_dataset_destroy(&set_); }

  std::string write(const std::string& name, const std::string& text) {
    const auto path = folder_.path() / name;
    std::ofstream(path) << text;
    return path.string();
  }
  std::vector<float> features(const chorus_dataset* set, std::uint32_t example) {
    std::vector<float> row(chorus_dataset_feature_count(set));
    EXPECT_EQ(chorus_dataset_read(set, &example, 1, row.data(), nullptr, nullptr), CHORUS_OK)
        << chorus_last_error();
    return row;
  }

  test::TempFolder folder_;
  Counting source_;  // set_ tells it of its end
  chorus_dataset* set_ = nullptr;
};

TEST_F(CDataset, FromMemory) {
  const float numbers[] = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::uint64_t shape[] = {1, 2};
  const std::uint32_t labels[] = {0, 2, 1, 0};
  const float targets[] = {10, 20, 30, 40};
  chorus_memory_options options{};
  options.size = sizeof options;
  options.examples = 4;
  options.features = numbers;
  options.feature_shape = shape;
  options.feature_rank = 2;
  options.labels = labels;
  options.targets = targets;
  options.target_count = 1;
  ASSERT_EQ(chorus_dataset_create(&options, &set_), CHORUS_OK) << chorus_last_error();
  EXPECT_EQ(chorus_dataset_size(set_), 4U);
  EXPECT_EQ(chorus_dataset_classes(set_), 3U);
  EXPECT_EQ(chorus_dataset_target_count(set_), 1U);
  EXPECT_EQ(chorus_dataset_feature_count(set_), 2U);
  std::size_t rank = 0;
  const std::uint64_t* held = chorus_dataset_feature_shape(set_, &rank);
  EXPECT_THAT(std::vector(held, held + rank), ElementsAre(1, 2));
  EXPECT_STREQ(chorus_dataset_key(set_, 3), "");

  const std::uint32_t wanted[] = {3, 1};
  std::array<float, 4> x{};
  std::array<std::uint32_t, 2> y{};
  std::array<float, 2> t{};
  ASSERT_EQ(chorus_dataset_read(set_, wanted, 2, x.data(), y.data(), t.data()), CHORUS_OK);
  EXPECT_THAT(x, ElementsAre(7, 8, 3, 4));
  EXPECT_THAT(y, ElementsAre(0, 2));
  EXPECT_THAT(t, ElementsAre(40, 20));

  chorus_dataset* part = nullptr;
  ASSERT_EQ(chorus_dataset_subset(set_, wanted, 2, &part), CHORUS_OK);
  chorus_dataset_destroy(&set_);  // the part shares the numbers
  EXPECT_EQ(chorus_dataset_size(part), 2U);
  EXPECT_THAT(features(part, 1), ElementsAre(3, 4));
  chorus_dataset_destroy(&part);
}

TEST_F(CDataset, MemoryIsChecked) {
  const float numbers[] = {1, 2, 3, 4};
  const std::uint64_t shape[] = {2};
  const std::uint32_t labels[] = {0, 7};
  chorus_memory_options options{};
  options.size = sizeof options;
  options.examples = 2;
  options.features = numbers;
  options.feature_shape = shape;
  options.feature_rank = 1;
  options.labels = labels;
  const auto refused = [&](chorus_status status, const std::string& text) {
    EXPECT_REFUSED(chorus_dataset_create(&options, &set_), status, text);
    EXPECT_EQ(set_, nullptr);
  };
  options.classes = 7;
  refused(CHORUS_INVALID_ARGUMENT, "label");
  options.classes = 0;
  options.features = nullptr;
  refused(CHORUS_INVALID_ARGUMENT, "'chorus_memory_options.features' is null");
  options.features = numbers;
  options.feature_rank = 9;
  refused(CHORUS_INVALID_ARGUMENT, "has 9 dimensions; expected at most 8");
  options.feature_rank = 0;
  refused(CHORUS_INVALID_ARGUMENT, "");
  options.feature_rank = 1;
  options.examples = static_cast<std::uint64_t>(-1);
  refused(CHORUS_INVALID_ARGUMENT, "beyond 2^64");
  options.examples = static_cast<std::uint64_t>(1) << 62U;
  refused(CHORUS_INVALID_ARGUMENT, "cannot have");
  options.examples = 2;
  options.target_count = 1;
  refused(CHORUS_INVALID_ARGUMENT, "'chorus_memory_options.targets' is null");
  options.size = 16;
  refused(CHORUS_INVALID_ARGUMENT, "chorus_memory_options.size is 16");
  EXPECT_REFUSED(
      chorus_dataset_create(nullptr, &set_), CHORUS_INVALID_ARGUMENT, "options' is null");
  EXPECT_REFUSED(
      chorus_dataset_create(&options, nullptr), CHORUS_INVALID_ARGUMENT, "'dataset' is null");
}

chorus_source_options counting(Counting& source) {
  static const std::uint64_t kShape[] = {2};
  chorus_source_options options{};
  options.size = sizeof options;
  options.name = "counter";
  options.examples = 1000;
  options.feature_shape = kShape;
  options.feature_rank = 1;
  options.classes = 3;
  options.context = &source;
  options.destroy = [](void* context) { ++static_cast<Counting*>(context)->destroyed; };
  options.read = [](const std::uint32_t* examples,
                    std::uint64_t count,
                    float* x,
                    std::uint32_t* labels,
                    float* targets,
                    void* context) {
    auto& self = *static_cast<Counting*>(context);
    ++self.reads;
    EXPECT_EQ(targets, nullptr);
    if (self.answer != CHORUS_OK) return chorus_fail(self.answer, "the sensor is unplugged");
    for (std::uint64_t i = 0; i < count; ++i) {
      if (x != nullptr) {
        x[2 * i] = static_cast<float>(examples[i]);
        x[2 * i + 1] = static_cast<float>(examples[i]) + 0.5F + self.spoiled;
      }
      if (labels != nullptr) labels[i] = examples[i] % 3;
    }
    return CHORUS_OK;
  };
  return options;
}

TEST_F(CDataset, FromASourceOfTheProgram) {
  Counting& source = source_;
  const auto options = counting(source);
  ASSERT_EQ(chorus_dataset_from_source(&options, &set_), CHORUS_OK) << chorus_last_error();
  EXPECT_EQ(chorus_dataset_size(set_), 1000U);
  EXPECT_EQ(chorus_dataset_classes(set_), 3U);
  EXPECT_THAT(features(set_, 998), ElementsAre(998, 998.5));
  chorus_dataset* train = nullptr;
  chorus_dataset* holdout = nullptr;
  ASSERT_EQ(chorus_dataset_split(set_, 0.25, 7, &train, &holdout), CHORUS_OK);
  EXPECT_EQ(chorus_dataset_size(train), 750U);
  EXPECT_EQ(chorus_dataset_size(holdout), 250U);
  chorus_dataset_destroy(&set_);
  chorus_dataset_destroy(&train);
  EXPECT_EQ(source.destroyed, 0) << "the hold-out still reads";
  chorus_dataset_destroy(&holdout);
  EXPECT_EQ(source.destroyed, 1);
}

TEST_F(CDataset, WhatASourceDoesWrongIsSaid) {
  Counting& source = source_;
  auto options = counting(source);
  ASSERT_EQ(chorus_dataset_from_source(&options, &set_), CHORUS_OK);
  const std::uint32_t example = 5;
  std::array<float, 2> x{};
  source.answer = CHORUS_IO_FAILED;
  EXPECT_REFUSED(chorus_dataset_read(set_, &example, 1, x.data(), nullptr, nullptr),
                 CHORUS_IO_FAILED,
                 "the sensor is unplugged");
  source.answer = CHORUS_OK;
  source.spoiled = std::numeric_limits<float>::infinity();
  EXPECT_REFUSED(chorus_dataset_read(set_, &example, 1, x.data(), nullptr, nullptr),
                 CHORUS_NOT_FINITE,
                 "counter");
  const std::uint32_t beyond = 1000;
  const int reads = source.reads;
  EXPECT_REFUSED(chorus_dataset_read(set_, &beyond, 1, x.data(), nullptr, nullptr),
                 CHORUS_INVALID_ARGUMENT,
                 "1000");
  EXPECT_EQ(source.reads, reads) << "never asked for what is not there";

  Counting other;
  options = counting(other);
  options.feature_rank = 0;
  chorus_dataset* none = nullptr;
  EXPECT_EQ(chorus_dataset_from_source(&options, &none), CHORUS_INVALID_ARGUMENT);
  EXPECT_EQ(none, nullptr);
  EXPECT_EQ(other.destroyed, 0) << "still the program's";
  options.read = nullptr;
  EXPECT_REFUSED(chorus_dataset_from_source(&options, &none),
                 CHORUS_INVALID_ARGUMENT,
                 "'chorus_source_options.read' is null");
}

TEST_F(CDataset, Csv) {
  const std::string path = write("people.csv",
                                 "name;age;sex;ill\n"
                                 "ann;30;f;1\n"
                                 "bob;50;m;0\n"
                                 "ann;;f;1\n");
  const double missing = 40;
  const chorus_category sex{"sex", nullptr, 0};
  chorus_csv_options options{};
  options.size = sizeof options;
  options.path = path.c_str();
  options.separator = ";";
  options.header = true;
  options.label_column = "ill";
  options.key_column = "name";
  options.categories = &sex;
  options.category_count = 1;
  options.missing = &missing;
  options.normalisation = CHORUS_NORMALISE_MIN_MAX;
  ASSERT_EQ(chorus_dataset_load_csv(&options, &set_), CHORUS_OK) << chorus_last_error();
  EXPECT_THAT(features(set_, 0), ElementsAre(0, 1, 0));
  EXPECT_THAT(features(set_, 1), ElementsAre(1, 0, 1));
  EXPECT_THAT(features(set_, 2), ElementsAre(0.5, 1, 0));
  EXPECT_STREQ(chorus_dataset_key(set_, 1), "bob");
  EXPECT_EQ(chorus_dataset_key(set_, 3), nullptr);
  std::size_t count = 0;
  const chorus_scale* scales = chorus_dataset_scales(set_, &count);
  ASSERT_EQ(count, 1U);
  EXPECT_EQ(scales[0].offset, 30);
  EXPECT_EQ(scales[0].scale, 20);
  const chorus_category* categories = chorus_dataset_categories(set_, &count);
  ASSERT_EQ(count, 1U);
  ASSERT_EQ(categories[0].value_count, 2U);
  EXPECT_STREQ(categories[0].values[1], "m");

  // The same from its file.
  options.stream = true;
  chorus_dataset* streamed = nullptr;
  ASSERT_EQ(chorus_dataset_load_csv(&options, &streamed), CHORUS_OK) << chorus_last_error();
  for (std::uint32_t i = 0; i < 3; ++i) EXPECT_EQ(features(streamed, i), features(set_, i));
  EXPECT_STREQ(chorus_dataset_key(streamed, 1), "bob");
  chorus_dataset_destroy(&streamed);
  options.stream = false;

  // Another table treated the same way, and a part that still knows everything.
  const std::string other = write("other.csv", "name;age;sex;ill\neve;60;m;0\n");
  options.path = other.c_str();
  options.scales = scales;
  options.scale_count = 1;
  options.categories = categories;
  chorus_dataset* second = nullptr;
  ASSERT_EQ(chorus_dataset_load_csv(&options, &second), CHORUS_OK) << chorus_last_error();
  EXPECT_THAT(features(second, 0), ElementsAre(1.5, 0, 1));
  chorus_dataset_destroy(&second);
  const std::uint32_t last = 2;
  ASSERT_EQ(chorus_dataset_subset(set_, &last, 1, &second), CHORUS_OK);
  EXPECT_STREQ(chorus_dataset_key(second, 0), "ann");
  EXPECT_STREQ(chorus_dataset_categories(second, &count)[0].column, "sex");
  chorus_dataset_destroy(&second);
}

TEST_F(CDataset, CsvTargetsAndScalesOfSomeRows) {
  const std::string path = write("houses.csv", "10,1,100\n30,0,200\n90,1,300\n");
  const char* const targets[] = {"2", "1"};
  const std::uint32_t rows[] = {0, 1};
  chorus_csv_options options{};
  options.size = sizeof options;
  options.path = path.c_str();
  options.target_columns = targets;
  options.target_column_count = 2;
  options.normalisation = CHORUS_NORMALISE_MIN_MAX;
  options.fit_rows = rows;
  options.fit_row_count = 2;
  ASSERT_EQ(chorus_dataset_load_csv(&options, &set_), CHORUS_OK) << chorus_last_error();
  EXPECT_EQ(chorus_dataset_classes(set_), 0U);
  ASSERT_EQ(chorus_dataset_target_count(set_), 2U);
  EXPECT_THAT(features(set_, 2), ElementsAre(4)) << "(90 - 10) / (30 - 10)";
  const std::uint32_t last = 2;
  std::array<float, 2> aimed{};
  ASSERT_EQ(chorus_dataset_read(set_, &last, 1, nullptr, nullptr, aimed.data()), CHORUS_OK);
  EXPECT_THAT(aimed, ElementsAre(300, 1));
}

TEST_F(CDataset, ScalesOfChannels) {
  const float numbers[] = {0, 10, 4, 30};
  const std::uint64_t shape[] = {2};
  const std::uint32_t labels[] = {0, 1};
  chorus_memory_options options{};
  options.size = sizeof options;
  options.examples = 2;
  options.features = numbers;
  options.feature_shape = shape;
  options.feature_rank = 1;
  options.labels = labels;
  ASSERT_EQ(chorus_dataset_create(&options, &set_), CHORUS_OK);
  EXPECT_STREQ(chorus_dataset_class_name(set_, 1), "");
  EXPECT_EQ(chorus_dataset_class_name(set_, 2), nullptr);
  std::size_t count = 0;
  std::array<chorus_scale, 2> scales{};
  EXPECT_EQ(chorus_dataset_fit_scales(set_, CHORUS_NORMALISE_MIN_MAX, nullptr, 0, &count),
            CHORUS_OK);
  EXPECT_EQ(count, 2U);
  EXPECT_EQ(chorus_dataset_fit_scales(set_, CHORUS_NORMALISE_MIN_MAX, scales.data(), 1, &count),
            CHORUS_SHAPE_MISMATCH);
  EXPECT_EQ(chorus_dataset_fit_scales(set_, CHORUS_NORMALISE_NONE, scales.data(), 2, &count),
            CHORUS_INVALID_ARGUMENT);
  ASSERT_EQ(chorus_dataset_fit_scales(set_, CHORUS_NORMALISE_MIN_MAX, scales.data(), 2, nullptr),
            CHORUS_OK);
  EXPECT_EQ(scales[1].offset, 10);
  EXPECT_EQ(scales[1].scale, 20);
  chorus_dataset* same = nullptr;
  EXPECT_EQ(chorus_dataset_normalised(set_, nullptr, 2, &same), CHORUS_INVALID_ARGUMENT);
  ASSERT_EQ(chorus_dataset_normalised(set_, scales.data(), 2, &same), CHORUS_OK);
  EXPECT_THAT(features(same, 1), ElementsAre(1, 1));
  chorus_dataset_destroy(&same);
}

TEST_F(CDataset, CsvOptionsAreChecked) {
  chorus_csv_options options{};
  options.size = sizeof options;
  EXPECT_REFUSED(chorus_dataset_load_csv(&options, &set_),
                 CHORUS_INVALID_ARGUMENT,
                 "'chorus_csv_options.path' is null");
  options.path = "/nowhere/at/all.csv";
  EXPECT_REFUSED(chorus_dataset_load_csv(&options, &set_), CHORUS_NOT_FOUND, "/nowhere/at/all.csv");
  options.separator = "::";
  EXPECT_REFUSED(chorus_dataset_load_csv(&options, &set_),
                 CHORUS_INVALID_ARGUMENT,
                 "'chorus_csv_options.separator' is '::'; expected one character");
  options.separator = nullptr;
  options.normalisation = static_cast<chorus_normalisation>(3);
  EXPECT_REFUSED(chorus_dataset_load_csv(&options, &set_),
                 CHORUS_INVALID_ARGUMENT,
                 "normalisation is 3; expected a chorus_normalisation");
  options.normalisation = CHORUS_NORMALISE_NONE;
  options.category_count = 1;
  EXPECT_REFUSED(chorus_dataset_load_csv(&options, &set_),
                 CHORUS_INVALID_ARGUMENT,
                 "'chorus_csv_options.categories' is null");
  const std::string path = write("bad.csv", "1,2,0\n1,x,1\n");
  options.category_count = 0;
  options.path = path.c_str();
  EXPECT_REFUSED(chorus_dataset_load_csv(&options, &set_), CHORUS_MALFORMED_FILE, "bad.csv");
}

TEST_F(CDataset, OtherFiles) {
  const auto idx = [](std::initializer_list<unsigned char> bytes) {
    return std::string(bytes.begin(), bytes.end());
  };
  const std::string images =
      write("images", idx({0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 255, 255, 0}));
  const std::string labels = write("labels", idx({0, 0, 8, 1, 0, 0, 0, 2, 4, 1}));
  chorus_idx_options from_idx{};
  from_idx.size = sizeof from_idx;
  from_idx.images = images.c_str();
  from_idx.labels = labels.c_str();
  ASSERT_EQ(chorus_dataset_load_idx(&from_idx, &set_), CHORUS_OK) << chorus_last_error();
  EXPECT_EQ(chorus_dataset_classes(set_), 5U);
  EXPECT_THAT(features(set_, 0), ElementsAre(0, 1));
  chorus_dataset_destroy(&set_);

  const std::string play = write("play.txt", "abcabc");
  chorus_text_options from_text{};
  from_text.size = sizeof from_text;
  from_text.path = play.c_str();
  from_text.window = 2;
  from_text.stride = 2;
  from_text.vocabulary = "cba";
  ASSERT_EQ(chorus_dataset_load_text(&from_text, &set_), CHORUS_OK) << chorus_last_error();
  EXPECT_EQ(chorus_dataset_classes(set_), 3U);
  EXPECT_THAT(features(set_, 0), ElementsAre(2, 1));
  from_text.replacement = "xy";
  chorus_dataset* none = nullptr;
  EXPECT_REFUSED(chorus_dataset_load_text(&from_text, &none),
                 CHORUS_INVALID_ARGUMENT,
                 "'chorus_text_options.replacement' is 'xy'");

  chorus_npy_options from_npy{};
  from_npy.size = sizeof from_npy;
  from_npy.archive = CHORUS_GOLDEN_DIR "/nowhere.npz";
  EXPECT_EQ(chorus_dataset_load_npy(&from_npy, &none), CHORUS_NOT_FOUND);
  chorus_wav_options from_wav{};
  from_wav.size = sizeof from_wav;
  EXPECT_REFUSED(chorus_dataset_load_wav(&from_wav, &none),
                 CHORUS_INVALID_ARGUMENT,
                 "'chorus_wav_options.folder' is null");
  chorus_image_options from_images{};
  from_images.size = sizeof from_images;
  EXPECT_REFUSED(chorus_dataset_load_images(&from_images, &none),
                 CHORUS_INVALID_ARGUMENT,
                 "'chorus_image_options.folder' is null");
  from_images.folder = CHORUS_GOLDEN_DIR "/nowhere";
  EXPECT_NE(chorus_dataset_load_images(&from_images, &none), CHORUS_OK);
  from_wav.folder = CHORUS_GOLDEN_DIR "/nowhere";
  EXPECT_NE(chorus_dataset_load_wav(&from_wav, &none), CHORUS_OK);
  EXPECT_EQ(none, nullptr);
}

TEST_F(CDataset, NullAndWrongHandles) {
  float x = 0;
  const std::uint32_t example = 0;
  EXPECT_EQ(chorus_dataset_size(nullptr), 0U);
  EXPECT_EQ(chorus_dataset_classes(nullptr), 0U);
  EXPECT_EQ(chorus_dataset_target_count(nullptr), 0U);
  EXPECT_EQ(chorus_dataset_feature_count(nullptr), 0U);
  EXPECT_EQ(chorus_dataset_feature_shape(nullptr, nullptr), nullptr);
  EXPECT_EQ(chorus_dataset_key(nullptr, 0), nullptr);
  EXPECT_EQ(chorus_dataset_scales(nullptr, nullptr), nullptr);
  EXPECT_EQ(chorus_dataset_categories(nullptr, nullptr), nullptr);
  EXPECT_REFUSED(chorus_dataset_read(nullptr, &example, 1, &x, nullptr, nullptr),
                 CHORUS_INVALID_ARGUMENT,
                 "the chorus_dataset is null");
  EXPECT_REFUSED(chorus_dataset_subset(nullptr, &example, 1, &set_),
                 CHORUS_INVALID_ARGUMENT,
                 "the chorus_dataset is null");
  EXPECT_REFUSED(chorus_dataset_split(nullptr, 0.5, 1, &set_, nullptr),
                 CHORUS_INVALID_ARGUMENT,
                 "'holdout' is null");
  Counting& source = source_;
  const auto options = counting(source);
  ASSERT_EQ(chorus_dataset_from_source(&options, &set_), CHORUS_OK);
  EXPECT_REFUSED(chorus_client_stop(reinterpret_cast<chorus_client*>(set_)),
                 CHORUS_INVALID_ARGUMENT,
                 "this is no open chorus_client");
  EXPECT_REFUSED(chorus_dataset_read(set_, nullptr, 1, &x, nullptr, nullptr),
                 CHORUS_INVALID_ARGUMENT,
                 "'examples' is null");
  chorus_dataset *train = nullptr, *holdout = nullptr;
  EXPECT_EQ(chorus_dataset_split(set_, 1.0, 1, &train, &holdout), CHORUS_INVALID_ARGUMENT);
  EXPECT_EQ(train, nullptr);
}

}  // namespace
}  // namespace chorus::capi
