#include "chorus/client/images.hpp"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/unit/client/train/gzip.hpp"

namespace chorus::client {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

fs::path golden(const std::string& name) {
  return fs::path(CHORUS_GOLDEN_DIR) / "images" / name;
}

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

Image image_of(const std::string& name) {
  auto image = load_image(golden(name));
  EXPECT_TRUE(image) << image.error().detail;
  return std::move(image).value();
}

// ---- decoding: tests/golden/make_image_golden.py ----

class Decoded : public testing::TestWithParam<const char*> {};

TEST_P(Decoded, HasThePixelsThatPillowGives) {
  const Image image = image_of(GetParam());
  EXPECT_EQ(image.width, 13U);
  EXPECT_EQ(image.height, 9U);
  const std::string expected = bytes_of(golden(std::string(GetParam()) + ".pixels"));
  ASSERT_EQ(image.pixels.size(), expected.size());
  EXPECT_EQ(std::memcmp(image.pixels.data(), expected.data(), expected.size()), 0);
}

INSTANTIATE_TEST_SUITE_P(Images,
                         Decoded,
                         testing::Values("rgb.jpg",
                                         "progressive.jpg",
                                         "grey.jpg",
                                         "rgb.png",
                                         "grey.png",
                                         "rgba.png",
                                         "bit.png",
                                         "palette.png",
                                         "interlaced.png",
                                         "rgb16.png"),
                         [](const auto& param_info) {
                           std::string name = param_info.param;
                           name[name.size() - 4] = '_';
                           return name;
                         });

struct Fit {
  const char* name;
  std::vector<std::uint64_t> shape;
  ImageFit fit;
};

class Fitted : public testing::TestWithParam<Fit> {};

TEST_P(Fitted, HasTheFeaturesThatNumPyGives) {
  const Fit& fit = GetParam();
  const auto features = image_features(image_of(fit.name), {fit.shape, fit.fit});
  ASSERT_TRUE(features) << features.error().detail;
  std::string name = fit.name;
  for (const auto side : fit.shape) name += "." + std::to_string(side);
  name += fit.fit == ImageFit::crop ? ".crop.f32" : ".stretch.f32";
  const std::string bytes = bytes_of(golden(name));
  ASSERT_EQ(bytes.size(), features->size() * sizeof(float));
  for (std::size_t i = 0; i < features->size(); ++i) {
    float expected = 0;
    std::memcpy(&expected, bytes.data() + i * sizeof(float), sizeof(float));
    EXPECT_NEAR((*features)[i], expected, 1e-6) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Images,
                         Fitted,
                         testing::Values(Fit{"rgb.png", {3, 9, 13}, ImageFit::stretch},
                                         Fit{"rgb.png", {3, 4, 4}, ImageFit::crop},
                                         Fit{"rgb.png", {1, 5, 3}, ImageFit::stretch},
                                         Fit{"rgb.png", {3, 20, 30}, ImageFit::stretch},
                                         Fit{"rgb.png", {3, 6, 2}, ImageFit::crop},
                                         Fit{"rgb.png", {1, 1, 1}, ImageFit::crop},
                                         Fit{"grey.png", {3, 7, 5}, ImageFit::crop}));

TEST(ImageFeatures, APictureOfTheWantedSizeKeepsItsValues) {
  const Image image{2, 1, 3, {0, 51, 255, 10, 20, 30}};
  const auto features = image_features(image, {{3, 1, 2}, ImageFit::crop});
  ASSERT_TRUE(features);
  EXPECT_THAT(*features,
              ElementsAre(0.0F, 10 / 255.0F, 51 / 255.0F, 20 / 255.0F, 1.0F, 30 / 255.0F));
}

TEST(ImageFeatures, RefusesShapesAndPicturesThatAreNone) {
  const Image image{1, 1, 1, {7}};
  for (const std::vector<std::uint64_t>& shape : std::vector<std::vector<std::uint64_t>>{
           {}, {4}, {2, 4, 4}, {4, 4, 4}, {3, 0, 4}, {3, 1U << 20U, 1U << 20U}, {1, 1, 1, 1}}) {
    const auto refused = image_features(image, {shape, ImageFit::crop});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, errc::invalid_argument);
    EXPECT_THAT(refused.error().detail, HasSubstr("expected 1 (grey) or 3 (RGB)"));
  }
  const Image empty{0, 0, 1, {}};
  EXPECT_EQ(image_features(empty, {{1, 2, 2}, ImageFit::crop}).error().code,
            errc::invalid_argument);
  const Image torn{2, 2, 3, {1, 2, 3}};
  EXPECT_EQ(image_features(torn, {{1, 2, 2}, ImageFit::crop}).error().code, errc::invalid_argument);
}

// ---- files that are not as they should be ----

class HostileImage : public testing::Test {
 protected:
  void refused(const std::string& bytes, const std::string& why) {
    const auto path = folder_.path() / "x.jpg";
    test::write_plain(path, bytes);
    const auto image = load_image(path, pixels_max_);
    ASSERT_FALSE(image) << why;
    EXPECT_EQ(image.error().code, errc::malformed_file) << image.error().detail;
    EXPECT_THAT(image.error().detail, HasSubstr("x.jpg'"));
    EXPECT_THAT(image.error().detail, HasSubstr(why));
  }

  const test::TempFolder folder_{};
  std::uint64_t pixels_max_ = kImagePixelsDefault;
};

TEST_F(HostileImage, CutShortAnywhere) {
  for (const char* name : {"rgb.jpg", "progressive.jpg", "rgb.png", "interlaced.png"}) {
    const std::string whole = bytes_of(golden(name));
    // The last bytes of a JPEG are its end marker, of a PNG the checksum of an empty chunk.
    for (std::size_t length = 0; length + 2 < whole.size(); length += 7) {
      refused(whole.substr(0, length), length < 8 ? "" : "damaged");
    }
  }
  refused("", "begins neither like a JPEG nor like a PNG");
}

TEST_F(HostileImage, Damaged) {
  std::string png = bytes_of(golden("rgb.png"));
  png[60] ^= 1;
  refused(png, "this PNG is damaged");
  std::string jpeg = bytes_of(golden("rgb.jpg"));
  const std::size_t table = jpeg.find("\xFF\xC4");
  ASSERT_NE(table, std::string::npos);
  jpeg[table + 5] = '\xFF';  // so many codes of one bit
  refused(jpeg, "this JPEG is damaged");
}

TEST_F(HostileImage, AHeaderThatAnnouncesTooMuchTakesNoMemory) {
  std::string png = bytes_of(golden("rgb.png"));
  pixels_max_ = 13 * 9;
  EXPECT_TRUE(load_image(golden("rgb.png"), pixels_max_));
  EXPECT_TRUE(load_image(golden("rgb.jpg"), pixels_max_));
  pixels_max_ -= 1;
  refused(png, "it has 13 x 9 pixels; expected 1 to 116");
  std::string jpeg = bytes_of(golden("rgb.jpg"));
  refused(jpeg, "it has 13 x 9 pixels; expected 1 to 116");
  pixels_max_ = kImagePixelsDefault;
  const std::size_t frame = jpeg.find("\xFF\xC0");
  ASSERT_NE(frame, std::string::npos);
  for (std::size_t i = 5; i < 9; ++i) jpeg[frame + i] = '\xFF';
  refused(jpeg, "pixels");  // libjpeg's own limit, 65500, comes first
}

// One beyond kImagePixelsMax, whatever the options say: 2^28 + 2^14 pixels.
TEST_F(HostileImage, NoOptionAllowsMoreThanTheLimit) {
  std::string jpeg = bytes_of(golden("grey.jpg"));
  const std::size_t frame = jpeg.find("\xFF\xC0");
  ASSERT_NE(frame, std::string::npos);
  const std::string sides("\x40\x01\x40\x00", 4);  // 16,385 x 16,384
  jpeg.replace(frame + 5, 4, sides);
  pixels_max_ = ~0ULL;
  refused(jpeg, "it has 16384 x 16385 pixels; expected 1 to 268435456");
  static_assert(limits::kImagePixelsMax == 268'435'456);
}

TEST_F(HostileImage, FilesBeyondTheLimitAreNotRead) {
  const auto path = folder_.path() / "large.png";
  test::write_plain(path, "");
  fs::resize_file(path, limits::kImageFileBytesMax + 1);
  const auto image = load_image(path);
  ASSERT_FALSE(image);
  EXPECT_THAT(image.error().detail, HasSubstr("it has 268435457 bytes"));
}

TEST_F(HostileImage, OtherColoursAndFormats) {
  refused(bytes_of(golden("cmyk.jpg")), "its colours are CMYK, of 4 channels");
  refused("GIF89a", "begins neither like a JPEG nor like a PNG");
  EXPECT_EQ(load_image(folder_.path() / "none.png").error().code, errc::not_found);
}

// ---- folders ----

class ImageFolder : public testing::Test {
 protected:
  ImageFolder() {
    options_.folder = folder_.path() / "pets";
    options_.image = {{3, 4, 6}, ImageFit::stretch};
    for (const char* name : {"dog", "cat"}) {
      fs::create_directories(options_.folder / name);
      fs::copy(golden("rgb.png"), options_.folder / name / "b.PNG");
      fs::copy(golden("grey.jpg"), options_.folder / name / "a.jpeg");
    }
  }

  const test::TempFolder folder_{};
  ImageFolderOptions options_;
};

TEST_F(ImageFolder, GivesFeaturesOfEachPicture) {
  for (const bool stream : {false, true}) {
    options_.stream = stream;
    const auto data = load_image_folder(options_);
    ASSERT_TRUE(data) << data.error().detail;
    EXPECT_EQ(data->dataset.in_memory(), !stream);
    EXPECT_THAT(data->class_names, ElementsAre("cat", "dog"));
    EXPECT_THAT(data->dataset.feature_shape(), ElementsAre(3, 4, 6));
    EXPECT_THAT(data->dataset.labels().value(), ElementsAre(0, 0, 1, 1));
    for (int pass = 0; pass < 2; ++pass) {  // the second one out of the cache
      EXPECT_EQ(data->dataset.example(3).value().features,
                image_features(image_of("rgb.png"), options_.image).value());
      EXPECT_EQ(data->dataset.example(0).value().features,
                image_features(image_of("grey.jpg"), options_.image).value());
    }
  }
}

TEST_F(ImageFolder, ADamagedPictureIsNamed) {
  test::write_plain(options_.folder / "dog" / "c.png", "\x89PNG\r\n\x1A\n");
  const auto all = load_image_folder(options_);
  ASSERT_FALSE(all);
  EXPECT_THAT(all.error().detail, HasSubstr("c.png': this PNG is damaged"));
  options_.stream = true;
  const auto data = load_image_folder(options_);
  ASSERT_TRUE(data);
  EXPECT_TRUE(data->dataset.labels());
  const auto met = data->dataset.example(4);
  ASSERT_FALSE(met);
  EXPECT_THAT(met.error().detail, HasSubstr("c.png': this PNG is damaged"));
}

TEST_F(ImageFolder, RefusesWhatItCannotUse) {
  options_.bytes_max = 4 * (3 * 4 * 6 + 1) * 4;
  EXPECT_TRUE(load_image_folder(options_));
  options_.bytes_max -= 1;
  EXPECT_THAT(load_image_folder(options_).error().detail, HasSubstr("need more than 1167 bytes"));
  options_.image.shape = {9};
  EXPECT_EQ(load_image_folder(options_).error().code, errc::invalid_argument);
  options_.image.shape = {1, 2, 2};
  test::write_plain(options_.folder / "cat" / "notes.txt", "");
  EXPECT_THAT(load_image_folder(options_).error().detail,
              HasSubstr("notes.txt' is not one of .jpg, .jpeg, .png"));
}

}  // namespace
}  // namespace chorus::client
