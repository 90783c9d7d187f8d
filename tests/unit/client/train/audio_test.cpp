#include "chorus/client/audio.hpp"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/train/data/gzip_file.hpp"
#include "client/train/data/npy_array.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/unit/client/train/gzip.hpp"

namespace chorus::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::filesystem::path golden(const std::string& name) {
  return std::filesystem::path(CHORUS_GOLDEN_DIR) / "wav" / name;
}

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Of make_wav_golden.py.
LogMelOptions golden_options() {
  LogMelOptions options;
  options.sample_rate = 8000;
  options.window = 200;
  options.hop = 80;
  options.fft = 256;
  options.mels = 20;
  options.hz_min = 60;
  options.hz_max = 3800;
  return options;
}

class Wav : public testing::Test {
 protected:
  void refused(const std::string& bytes, const std::string& why, errc code = errc::malformed_file) {
    const auto path = folder_.path() / "a.wav";
    test::write_plain(path, bytes);
    const auto sound = load_wav(path, bytes_max_);
    ASSERT_FALSE(sound) << why;
    EXPECT_EQ(sound.error().code, code);
    EXPECT_THAT(sound.error().detail, HasSubstr(why));
    EXPECT_THAT(sound.error().detail, HasSubstr("a.wav'"));
  }

  const test::TempFolder folder_{};
  std::uint64_t bytes_max_ = kDatasetBytesDefault;
};

TEST_F(Wav, ReadsEveryFormatAndMixesChannels) {
  for (const char* name :
       {"u8.wav", "i16.wav", "i24.wav", "f32.wav", "f64.wav", "i32.wav", "extensible.wav"}) {
    const auto sound = load_wav(golden(name));
    ASSERT_TRUE(sound) << sound.error().to_string();
    EXPECT_EQ(sound->sample_rate, 8000U);
    EXPECT_THAT(sound->samples, ElementsAre(0.5F, -0.75F, 0.0F, 0.25F)) << name;
  }
}

TEST_F(Wav, RefusesEveryTruncation) {
  const std::string whole = bytes_of(golden("i24.wav"));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    refused(whole.substr(0, size), size < 12 ? "it is no WAV file" : "it ends ");
  }
  refused(whole.substr(0, whole.size() - 1), "it ends after 3 of 4 samples");
}

TEST_F(Wav, RefusesOtherFormats) {
  refused("RIFF\4\0\0\0AVI ", "it is no WAV file");
  std::string other = bytes_of(golden("i16.wav"));
  other[20] = 2;  // ADPCM
  refused(other, "format 2 and 16 bits; expected PCM (1)");
  other = bytes_of(golden("i16.wav"));
  other[34] = 12;
  refused(other, "format 1 and 12 bits");
  other = bytes_of(golden("i16.wav"));
  other[22] = 0;
  refused(other, "0 channels");
  other = bytes_of(golden("i16.wav"));
  other[32] = 3;
  refused(other, "frames of 3 bytes do not fit together");
  other = bytes_of(golden("i16.wav"));
  other[16] = 15;
  refused(other, "its format takes 15 bytes");
  other = bytes_of(golden("i16.wav"));
  other[12] = 'x';
  refused(other, "its data comes before its format");
  other = bytes_of(golden("i16.wav"));
  const auto data = other.find("data");
  other[data + 4] = 15;
  refused(other, "its data takes 15 bytes; expected a multiple of 4");
  other[data + 4] = 0;
  refused(other, "its data takes 0 bytes");
}

TEST_F(Wav, RefusesSamplesThatAreNotFinite) {
  std::string bytes = bytes_of(golden("f32.wav"));
  bytes.replace(bytes.size() - 4, 4, std::string("\x00\x00\xc0\x7f", 4));
  refused(bytes, "sample 3 is not finite", errc::not_finite);
}

TEST_F(Wav, RefusesAnnouncedSizesBeforeTakingMemory) {
  bytes_max_ = 15;
  refused(bytes_of(golden("i16.wav")), "its 4 samples need more than 15 bytes");
  bytes_max_ = 16;
  EXPECT_TRUE(load_wav(golden("i16.wav"), 16));
  EXPECT_EQ(load_wav(folder_.path() / "none.wav").error().code, errc::not_found);
}

TEST(LogMel, EqualsNumPy) {
  const auto sound = load_wav(golden("tone.wav"));
  ASSERT_TRUE(sound) << sound.error().to_string();
  const auto features = log_mel(sound->samples, golden_options());
  ASSERT_TRUE(features) << features.error().to_string();
  auto file = GzipFile::open(golden("log_mel.npy"));
  ASSERT_TRUE(file);
  const auto header = read_npy_header(*file);
  ASSERT_TRUE(header);
  EXPECT_THAT(header->shape, ElementsAre(20, 11));
  const auto expected = read_npy_floats(*file, *header, 1.0);
  ASSERT_TRUE(expected);
  ASSERT_EQ(features->size(), expected->size());
  for (std::size_t i = 0; i < expected->size(); ++i) {
    EXPECT_NEAR((*features)[i], (*expected)[i], 2e-6 * std::abs((*expected)[i]) + 1e-6) << i;
  }
}

TEST(LogMel, SilenceIsTheLogarithmOfEpsilon) {
  const std::vector<float> silence(400);
  const auto features = log_mel(silence, {});
  ASSERT_TRUE(features);
  EXPECT_EQ(features->size(), 40U);
  EXPECT_THAT(*features, testing::Each(static_cast<float>(std::log(1e-6))));
}

TEST(LogMel, RefusesOptionsThatCannotWork) {
  const std::vector<float> samples(65'536);
  const auto refused = [&](auto change, const std::string& why) {
    LogMelOptions options;
    change(options);
    const auto features = log_mel(samples, options);
    ASSERT_FALSE(features) << why;
    EXPECT_EQ(features.error().code, errc::invalid_argument);
    EXPECT_THAT(features.error().detail, HasSubstr("log-mel: " + why));
  };
  using O = LogMelOptions;
  refused([](O& o) { o.sample_rate = 0; }, "sample_rate is 0");
  refused([](O& o) { o.fft = 500; }, "fft is 500; expected a power of two");
  refused([](O& o) { o.fft = 1U << 17U; }, "fft is 131072");
  refused([](O& o) { o.fft = 0; }, "fft is 0");
  refused([](O& o) { o.window = 513; }, "window is 513; expected 2 to fft = 512");
  refused([](O& o) { o.window = 1; }, "window is 1");
  refused([](O& o) { o.hop = 0; }, "hop is 0");
  refused([](O& o) { o.mels = 0; }, "mels is 0");
  refused([](O& o) { o.mels = 257; }, "mels is 257; expected 1 to fft / 2 = 256");
  refused([](O& o) { o.hz_min = -1; }, "the range of frequencies is -1 to 8000 Hz");
  refused([](O& o) { o.hz_max = 8001; }, "the range of frequencies is 20 to 8001 Hz");
  refused([](O& o) { o.hz_max = 20; }, "the range of frequencies");
  refused([](O& o) { o.hz_min = std::numeric_limits<double>::quiet_NaN(); }, "the range of");
  refused([](O& o) { o.epsilon = 0; }, "epsilon is 0");
  const auto few = log_mel(std::span(samples).first(399), {});
  ASSERT_FALSE(few);
  EXPECT_THAT(few.error().detail, HasSubstr("there are 399 samples"));
}

class WavFolder : public testing::Test {
 protected:
  void SetUp() override {
    options_.folder = folder_.path() / "clips";
    options_.features = golden_options();
    for (const char* name : {"yes", "no"}) {
      std::filesystem::create_directories(options_.folder / name);
      std::filesystem::copy(golden("tone.wav"), options_.folder / name / "b.WAV");
      std::filesystem::copy(golden("tone.wav"), options_.folder / name / "a.wav");
    }
    test::write_plain(options_.folder / "README", "beside the classes");
    test::write_plain(options_.folder / "yes" / ".hidden", "");
  }

  void refused(const std::string& why, errc code = errc::malformed_file) {
    const auto data = load_wav_folder(options_);
    ASSERT_FALSE(data) << why;
    EXPECT_EQ(data.error().code, code) << data.error().detail;
    EXPECT_THAT(data.error().detail, HasSubstr(why));
  }

  const test::TempFolder folder_{};
  WavFolderOptions options_;
};

TEST_F(WavFolder, GivesFeaturesOfEachClip) {
  const auto data = load_wav_folder(options_);
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_THAT(data->class_names, ElementsAre("no", "yes"));
  EXPECT_THAT(data->dataset.feature_shape(), ElementsAre(1, 20, 11));
  EXPECT_THAT(data->dataset.labels().value(), ElementsAre(0, 0, 1, 1));
  const auto expected =
      log_mel(load_wav(golden("tone.wav")).value().samples, golden_options()).value();
  EXPECT_THAT(data->dataset.example(3).value().features, testing::ElementsAreArray(expected));
}

TEST_F(WavFolder, CutsAndFillsClipsWhenToldSo) {
  options_.samples = 360;
  std::filesystem::copy(golden("i16.wav"), options_.folder / "no" / "short.wav");
  const auto data = load_wav_folder(options_);
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_EQ(data->dataset.size(), 5U);
  EXPECT_THAT(data->dataset.feature_shape(), ElementsAre(1, 20, 3));
}

TEST_F(WavFolder, NamesClipsThatDiffer) {
  std::filesystem::copy(golden("i16.wav"), options_.folder / "no" / "short.wav");
  refused("short.wav' has 4 samples; expected 1000 as '");
  refused("a.wav' has; set samples");
  std::filesystem::copy(golden("i16.wav"),
                        options_.folder / "no" / "a",
                        std::filesystem::copy_options::overwrite_existing);
  options_.features.sample_rate = 16'000;
  refused("a' is not one of .wav; move it");
  std::filesystem::remove(options_.folder / "no" / "a");
  refused("a.wav' has 8000 Hz; expected 16000 Hz (sample_rate)");
}

TEST_F(WavFolder, RefusesFoldersWithoutClasses) {
  std::filesystem::create_directory(options_.folder / "empty");
  refused("empty' holds no files");
  options_.folder = options_.folder / "yes";
  refused("yes' has no sub-folders; expected one per class");
  options_.folder = folder_.path() / "none";
  refused("none", errc::not_found);
}

TEST_F(WavFolder, KeepsWithinLimits) {
  std::filesystem::copy(golden("tone.wav"), options_.folder / "yes" / "c.wav");
  options_.bytes_max = 4 * 5 * (220 + 1);
  EXPECT_TRUE(load_wav_folder(options_));
  options_.bytes_max -= 1;
  refused("need more than 4419 bytes");
  options_.samples = 1U << 20U;
  refused("clips of 1048576 samples need more", errc::invalid_argument);
  options_.samples = 199;
  options_.bytes_max = kDatasetBytesDefault;
  refused("expected at least one window of 200");
}

}  // namespace
}  // namespace chorus::client
