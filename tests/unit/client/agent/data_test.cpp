#include "client/agent/data.hpp"

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_folder.hpp"

namespace chorus::agent {
namespace {

using ::testing::HasSubstr;

class AgentDataTest : public ::testing::Test {
 protected:
  // Row i: features i and 2i, writer i % 7, label i % 3.
  void SetUp() override {
    data_.file = folder_.path() / "table.csv";
    std::ofstream file(data_.file);
    file << "a,b,writer,label\n";
    for (int i = 0; i < 210; ++i) {
      file << i << "," << 2 * i << ",w" << i % 7 << "," << i % 3 << "\n";
    }
    data_.header = true;
  }
  // Feature `a` names the row; the file with the writer column needs it as key.
  static std::multiset<float> rows(const client::Dataset& dataset) {
    std::multiset<float> all;
    for (std::size_t i = 0; i < dataset.size(); ++i)
      all.insert(dataset.example(i).value().features[0]);
    return all;
  }

  test::TempFolder folder_;
  DataConfig data_;
};

TEST_F(AgentDataTest, DevicesShareEverythingButTheTestSet) {
  data_.parts = 5;
  data_.seed = 9;
  data_.test_fraction = 0.2;
  data_.hold_out = 0.25;
  data_.partition = "column:writer";
  std::multiset<float> together;
  std::multiset<float> test;
  for (data_.part = 0; data_.part < data_.parts; ++data_.part) {
    const auto data = load_data(data_);
    ASSERT_TRUE(data) << data.error().detail;
    EXPECT_FALSE(data->holdout.empty());
    EXPECT_GT(data->train.size(), data->holdout.size());
    together.merge(rows(data->train));
    together.merge(rows(data->holdout));
    EXPECT_TRUE(test.empty() || test == rows(data->test)) << "the test set differs";
    test = rows(data->test);
  }
  EXPECT_EQ(test.size(), 42U);
  data_.part = 0;
  EXPECT_EQ(rows(load_test_data(data_).value()), test);
  together.merge(test);
  EXPECT_EQ(together.size(), 210U);
  EXPECT_EQ(std::set<float>(together.begin(), together.end()).size(), 210U);
}

TEST_F(AgentDataTest, TheSameConfigurationGivesTheSameExamples) {
  data_.partition = "column:writer";
  data_.parts = 3;
  const auto first = load_data(data_).value();
  const auto second = load_data(data_).value();
  EXPECT_EQ(rows(first.train), rows(second.train));
  EXPECT_EQ(rows(first.holdout), rows(second.holdout));
}

TEST_F(AgentDataTest, EveryKindOfPartitionWorks) {
  std::ofstream(data_.file) << [] {
    std::string text = "a,b,label\n";
    for (int i = 0; i < 210; ++i) {
      text += std::to_string(i) + ",1," + std::to_string(i % 3) + "\n";
    }
    return text;
  }();
  data_.parts = 3;
  for (const char* kind : {"iid", "dirichlet:0.5", "shards:2"}) {
    data_.partition = kind;
    std::size_t total = 0;
    for (data_.part = 0; data_.part < 3; ++data_.part) {
      const auto data = load_data(data_);
      ASSERT_TRUE(data) << kind << ": " << data.error().detail;
      total += data->train.size() + data->holdout.size();
    }
    EXPECT_EQ(total, 210U) << kind;
  }
  data_.partition = "none";
  data_.part = 0;
  data_.parts = 1;
  data_.hold_out = 0.0;
  EXPECT_EQ(load_data(data_).value().train.size(), 210U);
}

TEST_F(AgentDataTest, RefusesPartitionsItDoesNotKnow) {
  data_.parts = 2;
  for (const char* bad : {"",
                          "iid:3",
                          "dirichlet",
                          "dirichlet:",
                          "dirichlet:0",
                          "dirichlet:x",
                          "dirichlet:-1",
                          "shards",
                          "shards:0",
                          "shards:1.5",
                          "column",
                          "column:",
                          "other"}) {
    data_.partition = bad;
    const auto data = load_data(data_);
    ASSERT_FALSE(data) << bad;
    EXPECT_EQ(data.error().code, errc::invalid_argument);
    EXPECT_THAT(data.error().detail, HasSubstr("dirichlet:ALPHA")) << bad;
  }
}

TEST_F(AgentDataTest, ReadsColumnsOfWords) {
  data_.categorical = {"writer=w6|w5|w4|w3|w2|w1|w0"};
  data_.normalise = "min-max";
  data_.hold_out = 0.0;
  const auto data = load_data(data_);
  ASSERT_TRUE(data) << data.error().detail;
  ASSERT_EQ(data->train.feature_count(), 9U);
  for (std::size_t i = 0; i < data->train.size(); ++i) {
    const auto row = data->train.example(i).value().features;
    const auto number = static_cast<int>(row[0] * 209 + 0.5F);
    EXPECT_EQ(row[1], row[0]);
    for (int writer = 0; writer < 7; ++writer) {
      EXPECT_EQ(row[8 - static_cast<std::size_t>(writer)], number % 7 == writer ? 1.0F : 0.0F);
    }
  }
  data_.categorical = {"writer"};
  EXPECT_EQ(load_data(data_).value().train.feature_count(), 9U);
  data_.categorical = {"writer=w1"};
  const auto refused = load_data(data_);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, HasSubstr("'w0' is not a category of this column (w1)"));
}

TEST_F(AgentDataTest, ReadsNumPyFilesByKey) {
  const auto golden = std::filesystem::path(CHORUS_ROOT_DIR) / "tests" / "golden" / "npy";
  DataConfig archive;
  archive.npz = golden / "stored.npz";
  archive.partition = "column:who";  // 7, 7, 300
  archive.parts = 2;
  archive.hold_out = 0.0;
  archive.shape = {1, 2, 4};
  std::multiset<std::size_t> sizes;
  for (archive.part = 0; archive.part < 2; ++archive.part) {
    const auto data = load_data(archive);
    ASSERT_TRUE(data) << data.error().detail;
    EXPECT_EQ(data->train.feature_shape().size(), 3U);
    sizes.insert(data->train.size());
  }
  EXPECT_EQ(sizes, (std::multiset<std::size_t>{1, 2}));
  DataConfig files;
  files.npy = golden / "x_f4_v1.npy";
  files.labels = golden / "y_u1.npy";
  files.hold_out = 0.0;
  files.scale = 2.0;
  EXPECT_EQ(load_data(files).value().train.example(0).value().features[0], -10.0F);
}

TEST_F(AgentDataTest, ReadsFoldersOfSounds) {
  const auto tone =
      std::filesystem::path(CHORUS_ROOT_DIR) / "tests" / "golden" / "wav" / "tone.wav";
  DataConfig sounds;
  sounds.wav = folder_.path() / "clips";
  for (const char* name : {"no", "yes"}) {
    std::filesystem::create_directories(sounds.wav / name);
    std::filesystem::copy(tone, sounds.wav / name / "a.wav");
  }
  sounds.log_mel.sample_rate = 8000;
  sounds.clip_samples = 560;
  sounds.hold_out = 0.0;
  const auto data = load_data(sounds);
  ASSERT_TRUE(data) << data.error().detail;
  EXPECT_THAT(data->train.feature_shape(), ::testing::ElementsAre(1, 40, 2));
  EXPECT_EQ(data->train.classes(), 2U);
  sounds.partition = "column:who";
  EXPECT_THAT(load_data(sounds).error().detail, HasSubstr("needs keys"));
}

TEST_F(AgentDataTest, ReadsTextByRole) {
  DataConfig play;
  play.text = folder_.path() / "play.txt";
  std::ofstream(play.text) << "ANN:\nhello\n\nBOB:\nhi\n\nANN:\nbye\n";
  play.text_window = 1;
  play.hold_out = 0.0;
  EXPECT_EQ(load_data(play).value().train.size(), 29U);  // all but the last of 30 characters
  play.partition = "column:role";
  play.parts = 2;
  std::multiset<std::size_t> sizes;
  for (play.part = 0; play.part < 2; ++play.part) {
    sizes.insert(load_data(play).value().train.size());
  }
  EXPECT_EQ(sizes, (std::multiset<std::size_t>{1, 8}));  // "hi", "hello\nbye"
  play.part = 0;
  play.partition = "column:who";
  EXPECT_THAT(load_data(play).error().detail, HasSubstr("the one key of --text is role"));
}

TEST_F(AgentDataTest, SaysWhichFileIsMissing) {
  data_.file = folder_.path() / "none.csv";
  const auto data = load_data(data_);
  ASSERT_FALSE(data);
  EXPECT_THAT(data.error().detail, HasSubstr("none.csv"));
}

// Row i has the feature i: what was fitted shows which rows were looked at.
TEST_F(AgentDataTest, ScalesAreFittedToTheTrainingExamplesOfThisDevice) {
  data_.label_column = "label";
  data_.partition = "column:writer";
  data_.parts = 2;
  data_.seed = 3;
  data_.test_fraction = 0.2;
  data_.hold_out = 0.25;
  const auto plain = load_data(data_);
  data_.normalise = "min-max";
  const auto scaled = load_data(data_);
  ASSERT_TRUE(plain && scaled) << scaled.error().detail;
  const auto training = rows(plain->train);
  const float least = *training.begin();
  const float most = *training.rbegin();
  EXPECT_EQ(*rows(scaled->train).begin(), 0.0F);
  EXPECT_EQ(*rows(scaled->train).rbegin(), 1.0F);
  for (const auto side : {&DeviceData::train, &DeviceData::holdout, &DeviceData::test}) {
    ASSERT_EQ(((*scaled).*side).size(), ((*plain).*side).size());
    for (std::size_t i = 0; i < ((*plain).*side).size(); ++i) {
      const float before = ((*plain).*side).example(i)->features[0];
      const auto wanted = static_cast<float>((double{before} - least) / (double{most} - least));
      EXPECT_EQ(((*scaled).*side).example(i)->features[0], wanted);
    }
  }
}

TEST_F(AgentDataTest, EvaluationFitsScalesToWhatIsNotTheTestSet) {
  data_.label_column = "label";
  data_.categorical = {"writer"};
  data_.normalise = "min-max";
  EXPECT_THAT(load_test_data(data_).error().detail, HasSubstr("put a test set aside"));
  data_.test_fraction = 0.2;
  data_.hold_out = 0.0;
  const auto alone = load_data(data_);
  const auto test = load_test_data(data_);
  ASSERT_TRUE(alone && test) << test.error().detail;
  EXPECT_EQ(rows(*test), rows(alone->test));
  data_.test_fraction = 0.0;
  data_.normalise = "none";
  data_.mean = {10, 0};
  data_.deviation = {2, 1};
  EXPECT_EQ(load_test_data(data_)->example(0)->features[0], -5.0F);
}

TEST_F(AgentDataTest, OtherFormatsAreScaledByChannel) {
  const auto golden = std::filesystem::path(CHORUS_ROOT_DIR) / "tests" / "golden" / "npy";
  DataConfig config;
  config.npy = golden / "x_f4_v1.npy";
  config.labels = golden / "y_u1.npy";
  config.hold_out = 0.0;
  const auto plain = load_data(config);
  config.mean = {1, 2};
  config.deviation = {4, 8};
  for (const bool stream : {false, true}) {
    config.stream = stream;
    const auto scaled = load_data(config);
    ASSERT_TRUE(scaled) << scaled.error().detail;
    const auto before = plain->train.example(1)->features;
    const auto after = scaled->train.example(1)->features;
    EXPECT_EQ(after[0], (before[0] - 1) / 4);
    EXPECT_EQ(after[7], (before[7] - 2) / 8);
  }
  config.mean = {1, 2, 3};
  config.deviation = {1, 1, 1};
  EXPECT_THAT(load_data(config).error().detail, HasSubstr("there are 3 scales"));
}

TEST_F(AgentDataTest, ColumnsAreTargets) {
  data_.label_column.clear();
  data_.target_columns = {"b", "label"};
  data_.categorical = {"writer"};
  data_.hold_out = 0.0;
  const auto data = load_data(data_);
  ASSERT_TRUE(data) << data.error().detail;
  EXPECT_EQ(data->train.classes(), 0U);
  const auto example = data->train.example(5).value();
  EXPECT_EQ(example.targets[0], 2 * example.features[0]);
}

TEST_F(AgentDataTest, ReadsFoldersOfPictures) {
  const auto golden = std::filesystem::path(CHORUS_ROOT_DIR) / "tests" / "golden" / "images";
  for (const char* name : {"cat", "dog"}) {
    std::filesystem::create_directories(folder_.path() / "pets" / name);
    for (const char* file : {"rgb.jpg", "grey.png"}) {
      std::filesystem::copy(golden / file, folder_.path() / "pets" / name / file);
    }
  }
  DataConfig config;
  config.pictures = folder_.path() / "pets";
  config.shape = {3, 8, 8};
  config.hold_out = 0.0;
  const auto data = load_data(config);
  ASSERT_TRUE(data) << data.error().detail;
  EXPECT_TRUE(data->train.in_memory());
  EXPECT_EQ(data->train.classes(), 2U);
  config.stream = true;
  config.normalise = "standard";
  const auto streamed = load_data(config);
  ASSERT_TRUE(streamed) << streamed.error().detail;
  EXPECT_FALSE(streamed->train.in_memory());
  EXPECT_NE(streamed->train.example(0)->features, data->train.example(0)->features);
}

}  // namespace
}  // namespace chorus::agent
