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

}  // namespace
}  // namespace chorus::agent
