#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chorus/client/dataset.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/unit/client/train/gzip.hpp"

namespace chorus::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string idx(const std::vector<std::uint32_t>& shape,
                const std::string& values,
                char type = 0x08) {
  std::string bytes{'\0', '\0', type, static_cast<char>(shape.size())};
  for (const std::uint32_t side : shape) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(side >> shift & 0xFFU);
  }
  return bytes + values;
}

class Idx : public testing::Test {
 protected:
  Result<Dataset> load(const std::string& images, const std::string& labels) {
    options_.images = folder_.path() / "images";
    options_.labels = folder_.path() / "labels";
    test::write_plain(options_.images, images);
    test::write_plain(options_.labels, labels);
    return load_idx(options_);
  }

  void refused(const std::string& images, const std::string& labels, const std::string& why) {
    const auto data = load(images, labels);
    ASSERT_FALSE(data) << why;
    EXPECT_EQ(data.error().code, errc::malformed_file);
    EXPECT_THAT(data.error().detail, HasSubstr(why));
    EXPECT_THAT(data.error().detail, HasSubstr(folder_.path().string()));
  }

  const test::TempFolder folder_{};
  IdxOptions options_;
  const std::string images_ = idx({2, 1, 3}, std::string("\x00\xff\x33\x01\x02\x03", 6));
  const std::string labels_ = idx({2}, std::string("\x04\x01", 2));
};

TEST_F(Idx, ReadsImagesAndLabels) {
  const auto data = load(images_, labels_);
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_THAT(data->feature_shape(), ElementsAre(1, 1, 3));
  EXPECT_THAT(data->example(0).value().features, ElementsAre(0.0F, 1.0F, 0.2F));
  EXPECT_THAT(data->labels().value(), ElementsAre(4, 1));
  EXPECT_EQ(data->classes(), 5U);
}

TEST_F(Idx, ReadsGzip) {
  options_.images = folder_.path() / "images.gz";
  options_.labels = folder_.path() / "labels.gz";
  test::write_gzip(options_.images, images_);
  test::write_gzip(options_.labels, labels_);
  const auto data = load_idx(options_);
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_THAT(data->example(1).value().features, ElementsAre(1 / 255.0F, 2 / 255.0F, 3 / 255.0F));
}

TEST_F(Idx, RefusesGzipThatIsCutShortOrDamaged) {
  options_.images = folder_.path() / "images.gz";
  options_.labels = folder_.path() / "labels.gz";
  test::write_gzip(options_.images, idx({1, 64, 64}, std::string(4096, 'x')));
  test::write_gzip(options_.labels, idx({1}, "1"));
  ASSERT_TRUE(load_idx(options_));
  std::filesystem::resize_file(options_.images, std::filesystem::file_size(options_.images) - 9);
  EXPECT_EQ(load_idx(options_).error().code, errc::malformed_file);
  test::write_gzip(options_.images, idx({1, 64, 64}, std::string(4096, 'x')));
  std::fstream file(options_.images, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-6, std::ios::end);  // the checksum
  file.put('\x55');
  file.close();
  EXPECT_EQ(load_idx(options_).error().code, errc::malformed_file);
}

TEST_F(Idx, TakesRowsAndColourImages) {
  const auto rows = load(idx({2, 3}, "abcdef"), labels_);
  ASSERT_TRUE(rows);
  EXPECT_THAT(rows->feature_shape(), ElementsAre(3));
  const auto colour = load(idx({2, 3, 1, 1}, "abcdef"), labels_);
  ASSERT_TRUE(colour);
  EXPECT_THAT(colour->feature_shape(), ElementsAre(3, 1, 1));
}

TEST_F(Idx, RefusesOtherFormats) {
  refused("", labels_, "does not begin like an idx file");
  refused("PK\x03\x04 a zip file", labels_, "does not begin like an idx file");
  refused(images_.substr(0, 3), labels_, "does not begin");
  refused(images_.substr(0, 9), labels_, "ends within the header");
  refused(idx({2, 1, 3}, std::string(24, 'x'), 0x0D), labels_, "type 0x0d");
  refused(labels_, labels_, "1 dimensions; expected 2 to 4");
  refused(idx({1, 1, 1, 1, 1}, "x"), labels_, "5 dimensions");
  refused(images_, images_, "3 dimensions; expected 1 to 1");
}

TEST_F(Idx, RefusesFilesOfTheWrongLength) {
  refused(images_.substr(0, images_.size() - 1), labels_, "holds 5 values; 2 x 1 x 3 = 6");
  refused(images_ + "x", labels_, "holds more values");
  refused(images_, labels_ + "x", "holds more values");
  refused(idx({3, 1, 2}, "abcdef"), labels_, "holds 3 examples");
  refused(idx({2, 0, 2}, ""), labels_, "impossible");
}

TEST_F(Idx, RefusesAnnouncedSizesBeforeTakingMemory) {
  const std::uint32_t most = 0xFFFFFFFFU;
  refused(idx({2, most, 2}, "abc"), labels_, "at most");
  refused(idx({2, most, most, most}, "abc"), labels_, "impossible");
  refused(images_, idx({most}, "abc"), "at most");
  options_.bytes_max = 23;
  refused(images_, labels_, "6 bytes of memory; at most 5");
  options_.bytes_max = 24;
  EXPECT_TRUE(load(images_, labels_));
}

TEST_F(Idx, ChecksLabelsAgainstTheClasses) {
  options_.classes = 5;
  EXPECT_TRUE(load(images_, labels_));
  options_.classes = 4;
  const auto data = load(images_, labels_);
  ASSERT_FALSE(data);
  EXPECT_THAT(data.error().detail, HasSubstr("label 4; expected 0 to 3"));
}

TEST_F(Idx, NamesTheFileThatIsNotThere) {
  options_.images = folder_.path() / "a";
  options_.labels = folder_.path() / "b";
  EXPECT_EQ(load_idx(options_).error().code, errc::not_found);
  options_.labels = folder_.path();
  EXPECT_EQ(load_idx(options_).error().code, errc::io_failed);
}

TEST_F(Idx, StreamsTheSameExamples) {
  std::string values;
  for (int i = 0; i < 600 * 6; ++i) values += static_cast<char>(i * 37);
  const std::string images = idx({600, 2, 3}, values);
  std::string ids;
  for (int i = 0; i < 600; ++i) ids += static_cast<char>(i % 7);
  const auto held = load(images, idx({600}, ids));
  options_.stream = true;
  const auto streamed = load(images, idx({600}, ids));
  ASSERT_TRUE(held && streamed) << streamed.error().detail;
  EXPECT_TRUE(held->in_memory());
  EXPECT_FALSE(streamed->in_memory());
  EXPECT_EQ(streamed->feature_shape(), held->feature_shape());
  EXPECT_EQ(streamed->classes(), 7U);
  EXPECT_EQ(streamed->labels().value(), held->labels().value());
  // Runs of neighbours, jumps, and the same one again.
  std::vector<std::uint32_t> rows = {599, 3, 4, 5, 5, 0};
  for (std::uint32_t i = 100; i < 500; ++i) rows.push_back(i);
  std::vector<float> ours(rows.size() * 6);
  std::vector<float> theirs(rows.size() * 6);
  ASSERT_TRUE(streamed->read(rows, {ours, {}, {}}));
  ASSERT_TRUE(held->read(rows, {theirs, {}, {}}));
  EXPECT_EQ(ours, theirs);
}

TEST_F(Idx, RefusesToStreamWhatHasNoPlaces) {
  options_.stream = true;
  refused(images_ + "x", labels_, "holds 7 values; 2 x 1 x 3 = 6 were announced");
  refused(images_.substr(0, images_.size() - 1), labels_, "holds 5 values");
  test::write_plain(options_.images, images_);
  options_.classes = 4;
  EXPECT_THAT(load_idx(options_).error().detail,
              HasSubstr("example 0 has label 4; expected 0 to 3"));
  options_.classes = 0;
  test::write_gzip(options_.images, images_);
  EXPECT_THAT(load_idx(options_).error().detail, HasSubstr("is compressed (gzip)"));
  options_.images = folder_.path();
  EXPECT_EQ(load_idx(options_).error().code, errc::io_failed);
}

TEST_F(Idx, AFileThatShrinksWhileItIsStreamedIsNamed) {
  options_.stream = true;
  const auto data = load(images_, labels_);
  ASSERT_TRUE(data);
  std::filesystem::resize_file(options_.images, images_.size() - 1);
  EXPECT_TRUE(data->example(0));
  const auto gone = data->example(1);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, errc::malformed_file);
  EXPECT_THAT(gone.error().detail, HasSubstr("became shorter while it was in use"));
}

}  // namespace
}  // namespace chorus::client
