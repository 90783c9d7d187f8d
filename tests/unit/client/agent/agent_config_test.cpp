#include "client/agent/agent_config.hpp"

#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_folder.hpp"

namespace chorus::agent {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class AgentConfigTest : public ::testing::Test {
 protected:
  Result<void> load(const std::string& text) {
    const auto path = folder_.path() / "agent.toml";
    std::ofstream(path) << text;
    return load_config(path, config_);
  }
  test::TempFolder folder_;
  AgentConfig config_;
};

TEST_F(AgentConfigTest, ReadsEveryKey) {
  const auto loaded = load(R"(
    server = "example.org:7440"
    state = "device"
    jobs = ["digits", "other"]
    tasks_max = 5
    threads = 2
    [data]
    csv = "digits.csv.gz"
    label_column = "label"
    header = true
    scale = 16
    shape = "1x8x8"
    classes = 10
    test_fraction = 0.2
    hold_out = 0.1
    partition = "dirichlet:0.5"
    parts = 10
    part = 3
    seed = 7
    [log]
    level = "debug"
    json = true
  )");
  ASSERT_TRUE(loaded) << loaded.error().detail;
  EXPECT_EQ(config_.server, "example.org:7440");
  EXPECT_EQ(config_.state, folder_.path() / "device");
  EXPECT_THAT(config_.jobs, ElementsAre("digits", "other"));
  EXPECT_EQ(config_.tasks_max, 5U);
  EXPECT_EQ(config_.threads, 2U);
  EXPECT_EQ(config_.data.file, folder_.path() / "digits.csv.gz");
  EXPECT_EQ(config_.data.label_column, "label");
  EXPECT_TRUE(config_.data.header);
  EXPECT_EQ(config_.data.scale, 16.0);
  EXPECT_THAT(config_.data.shape, ElementsAre(1, 8, 8));
  EXPECT_EQ(config_.data.classes, 10U);
  EXPECT_EQ(config_.data.test_fraction, 0.2);
  EXPECT_EQ(config_.data.hold_out, 0.1);
  EXPECT_EQ(config_.data.partition, "dirichlet:0.5");
  EXPECT_EQ(config_.data.parts, 10U);
  EXPECT_EQ(config_.data.part, 3U);
  EXPECT_EQ(config_.data.seed, 7U);
  EXPECT_EQ(config_.log.level, "debug");
  EXPECT_TRUE(config_.log.json);
  EXPECT_TRUE(check_data(config_.data));
}

TEST_F(AgentConfigTest, NamesFileLineKeyAndWhatItExpected) {
  const auto loaded = load("server = \"x:1\"\n[data]\nhold_out = 1.5\nscael = 2\n");
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, errc::malformed_file);
  EXPECT_THAT(loaded.error().detail,
              AllOf(HasSubstr("agent.toml"),
                    HasSubstr("3"),
                    HasSubstr("hold_out"),
                    HasSubstr("1.5"),
                    HasSubstr("scale")));
}

TEST_F(AgentConfigTest, RefusesWhatIsNoFile) {
  EXPECT_EQ(load_config(folder_.path() / "none.toml", config_).error().code, errc::not_found);
  EXPECT_EQ(load("server = ").error().code, errc::malformed_file);
  EXPECT_EQ(load("jobs = [\"Not A Name\"]").error().code, errc::malformed_file);
  EXPECT_EQ(load("[data]\nshape = \"1x\"").error().code, errc::malformed_file);
  EXPECT_EQ(load("threads = 0").error().code, errc::malformed_file);
}

TEST(ParseShape, ReadsNumbersWithXBetween) {
  EXPECT_THAT(parse_shape("64").value(), ElementsAre(64));
  EXPECT_THAT(parse_shape("1x8x8").value(), ElementsAre(1, 8, 8));
  for (const char* bad : {"", "x", "8x", "x8", "8xx8", "0x8", "8 x 8", "-1", "1x1x1x1x1x1x1x1x1"}) {
    EXPECT_FALSE(parse_shape(bad)) << bad;
  }
}

TEST(CheckData, RefusesWhatDoesNotGoTogether) {
  DataConfig good;
  good.file = "x.csv";
  EXPECT_TRUE(check_data(good));
  const auto refuses = [&](auto change) {
    DataConfig data = good;
    change(data);
    const auto checked = check_data(data);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, errc::invalid_argument);
    EXPECT_THAT(checked.error().detail, HasSubstr("--"));
  };
  refuses([](DataConfig& d) { d.file.clear(); });
  refuses([](DataConfig& d) { d.images = "i"; });
  refuses([](DataConfig& d) {
    d.file.clear();
    d.images = "i";
  });
  refuses([](DataConfig& d) { d.labels = "l"; });
  refuses([](DataConfig& d) { d.npz = "a.npz"; });
  refuses([](DataConfig& d) {
    d.file.clear();
    d.npy = "x.npy";
  });
  refuses([](DataConfig& d) {
    d.file.clear();
    d.npz = "a.npz";
    d.labels = "y.npy";
  });
  refuses([](DataConfig& d) { d.normalise = "z-score"; });
  refuses([](DataConfig& d) { d.replacement = "ab"; });
  refuses([](DataConfig& d) { d.mean = {0.5}; });
  refuses([](DataConfig& d) { d.deviation = {0.5}; });
  refuses([](DataConfig& d) {
    d.mean = {0.5};
    d.deviation = {0.0};
  });
  refuses([](DataConfig& d) {
    d.mean = {0.5};
    d.deviation = {0.5};
    d.normalise = "standard";
  });
  refuses([](DataConfig& d) {
    d.file.clear();
    d.text = "t";
    d.normalise = "standard";
  });
  refuses([](DataConfig& d) {
    d.file.clear();
    d.text = "t";
    d.mean = d.deviation = {1.0};
  });
  refuses([](DataConfig& d) {
    d.file.clear();
    d.text = "t";
    d.stream = true;
  });
  refuses([](DataConfig& d) { d.memory_mib = 0; });
  refuses([](DataConfig& d) { d.memory_mib = (1U << 20U) + 1; });
  refuses([](DataConfig& d) { d.augmentation.noise = -1.0; });
  refuses([](DataConfig& d) { d.picture_fit = "fill"; });
  refuses([](DataConfig& d) {
    d.file.clear();
    d.pictures = "p";
  });
  refuses([](DataConfig& d) {
    d.file.clear();
    d.npz = "a.npz";
    d.target_columns = {"time"};
  });
  refuses([](DataConfig& d) {
    d.file.clear();
    d.npz = "a.npz";
    d.missing = 0.0;
  });
  refuses([](DataConfig& d) { d.scale = 0; });
  refuses([](DataConfig& d) { d.parts = 2; });
  refuses([](DataConfig& d) { d.part = 1; });
  refuses([](DataConfig& d) { d.parts = 0; });
  refuses([](DataConfig& d) { d.hold_out = 1.0; });
  refuses([](DataConfig& d) { d.test_fraction = -0.1; });
}

TEST_F(AgentConfigTest, ReadsTheOtherKindsOfFiles) {
  const auto loaded = load(R"(
    [data]
    npy = "x.npy"
    npz = "all.npz"
    features_array = "features"
    labels_array = "labels"
    categorical = ["sex", "cp=1|2"]
    missing = -1
    normalise = "min-max"
    wav = "clips"
    sample_rate = 8000
    window = 200
    hop = 80
    fft = 256
    mels = 20
    hz_min = 60
    hz_max = 3800
    log_epsilon = 1e-5
    clip_samples = 1000
    text = "play.txt"
    text_window = 40
    text_stride = 3
    vocabulary = "ab"
    replacement = "b"
  )");
  ASSERT_TRUE(loaded) << loaded.error().detail;
  EXPECT_EQ(config_.data.npy, folder_.path() / "x.npy");
  EXPECT_EQ(config_.data.npz, folder_.path() / "all.npz");
  EXPECT_EQ(config_.data.features_array, "features");
  EXPECT_EQ(config_.data.labels_array, "labels");
  EXPECT_THAT(config_.data.categorical, ElementsAre("sex", "cp=1|2"));
  EXPECT_EQ(config_.data.missing, -1.0);
  EXPECT_EQ(config_.data.normalise, "min-max");
  EXPECT_EQ(config_.data.wav, folder_.path() / "clips");
  EXPECT_EQ(config_.data.log_mel.sample_rate, 8000U);
  EXPECT_EQ(config_.data.log_mel.window, 200U);
  EXPECT_EQ(config_.data.log_mel.hop, 80U);
  EXPECT_EQ(config_.data.log_mel.fft, 256U);
  EXPECT_EQ(config_.data.log_mel.mels, 20U);
  EXPECT_EQ(config_.data.log_mel.hz_min, 60.0);
  EXPECT_EQ(config_.data.log_mel.hz_max, 3800.0);
  EXPECT_EQ(config_.data.log_mel.epsilon, 1e-5);
  EXPECT_EQ(config_.data.clip_samples, 1000U);
  EXPECT_EQ(config_.data.text, folder_.path() / "play.txt");
  EXPECT_EQ(config_.data.text_window, 40U);
  EXPECT_EQ(config_.data.text_stride, 3U);
  EXPECT_EQ(config_.data.vocabulary, "ab");
  EXPECT_EQ(config_.data.replacement, "b");
}

TEST_F(AgentConfigTest, ReadsPicturesAugmentationAndScales) {
  const auto loaded = load(R"(
    [data]
    pictures = "pets"
    picture_fit = "stretch"
    shape = "3x32x32"
    stream = true
    memory_mib = 256
    mean = [0.5, 0.25, 1700000001]
    deviation = [1, 2, 3]
    augment_crop = 4
    augment_flip = true
    augment_noise = 0.125
    target_columns = ["time", "event"]
  )");
  ASSERT_TRUE(loaded) << loaded.error().detail;
  EXPECT_EQ(config_.data.pictures, folder_.path() / "pets");
  EXPECT_EQ(config_.data.picture_fit, "stretch");
  EXPECT_TRUE(config_.data.stream);
  EXPECT_EQ(config_.data.memory_mib, 256U);
  EXPECT_THAT(config_.data.mean, ElementsAre(0.5, 0.25, 1700000001.0));
  EXPECT_THAT(config_.data.deviation, ElementsAre(1.0, 2.0, 3.0));
  EXPECT_EQ(config_.data.augmentation, (client::Augmentation{4, true, 0.125}));
  EXPECT_THAT(config_.data.target_columns, ElementsAre("time", "event"));
}

}  // namespace
}  // namespace chorus::agent
