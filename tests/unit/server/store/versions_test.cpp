#include "server/store/versions.hpp"

#include <fstream>
#include <iterator>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/crypto/digest.hpp"
#include "common/tensor/safetensors.hpp"
#include "common/tensor/version_file.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

/// (inputs + 1) × units parameters.
ModelSpec dense_model(std::uint64_t inputs, std::uint64_t units) {
  ModelSpec model;
  model.input_shape = {inputs};
  model.layers = {Dense{.name = "out", .units = units}};
  return model;
}

std::vector<float> some_parameters(std::size_t count) {
  std::vector<float> parameters(count);
  std::iota(parameters.begin(), parameters.end(), -3.5F);
  return parameters;
}

class VersionsTest : public ::testing::Test {
 protected:
  VersionsTest() { reopen(); }

  std::filesystem::path folder() const { return temp_.path() / "versions"; }
  void reopen() {
    auto opened = VersionStore::open(folder());
    EXPECT_TRUE(opened) << opened.error().to_string();
    store_ = std::move(opened).value();
  }

  VersionInfo write(const ModelSpec& model, const std::vector<float>& parameters) {
    auto writer = store_->begin(model, {});
    EXPECT_TRUE(writer) << writer.error().to_string();
    EXPECT_TRUE((*writer)->append(parameters));
    auto info = (*writer)->commit();
    EXPECT_TRUE(info) << info.error().to_string();
    return info.value();
  }

  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder())) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

  std::string contents(const Sha256& name) const {
    std::ifstream file(store_->path_of(name), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  void overwrite(const Sha256& name, const std::string& contents) const {
    std::filesystem::remove(store_->path_of(name));
    std::ofstream(store_->path_of(name), std::ios::binary | std::ios::trunc) << contents;
  }

  const ModelSpec model_ = dense_model(4, 3);
  const std::vector<float> parameters_ = some_parameters(15);
  test::TempFolder temp_;
  std::unique_ptr<VersionStore> store_;
};

TEST_F(VersionsTest, ComesBackAsItWasWritten) {
  const VersionInfo info = write(model_, parameters_);
  reopen();
  const auto reader = store_->open_version(info.sha256);
  ASSERT_TRUE(reader) << reader.error().to_string();
  EXPECT_EQ((*reader)->info(), info);
  EXPECT_EQ((*reader)->model(), model_);
  EXPECT_EQ((*reader)->layout(), layout_of(model_).value());
  std::vector<float> read(15);
  ASSERT_TRUE((*reader)->read_parameters(0, read));
  EXPECT_EQ(read, parameters_);
  std::vector<float> some(4);
  ASSERT_TRUE((*reader)->read_parameters(11, some));
  EXPECT_THAT(some, ElementsAre(7.5F, 8.5F, 9.5F, 10.5F));
}

TEST_F(VersionsTest, TheNameIsTheDigestOfTheFile) {
  const VersionInfo info = write(model_, parameters_);
  const std::string bytes = contents(info.sha256);
  EXPECT_EQ(sha256(bytes), info.sha256);
  EXPECT_EQ(bytes.size(), info.bytes);
  EXPECT_EQ(store_->path_of(info.sha256), folder() / (hex(info.sha256) + ".safetensors"));
  EXPECT_TRUE(store_->verify(info.sha256));
  const auto reader = store_->open_version(info.sha256).value();
  std::string raw(bytes.size(), '\0');
  ASSERT_TRUE(reader->read_bytes(0, std::as_writable_bytes(std::span(raw))));
  EXPECT_EQ(raw, bytes);
}

TEST_F(VersionsTest, IsAnOrdinarySafetensorsFile) {
  const VersionInfo info = write(model_, parameters_);
  const auto file = tensor::read_safetensors(store_->path_of(info.sha256));
  ASSERT_TRUE(file) << file.error().to_string();
  EXPECT_EQ(file->layout.tensors[0].name, "out.weight");
  EXPECT_TRUE(std::equal(parameters_.begin(), parameters_.end(), file->data.begin()));
}

TEST_F(VersionsTest, SaysHowItsJobNormalisesFeatures) {
  const VersionInfo plain = write(model_, parameters_);
  const std::vector<FeatureScale> scales{{0.1307, 0.3081}};
  auto writer = store_->begin(model_, scales).value();
  ASSERT_TRUE(writer->append(parameters_));
  const VersionInfo info = writer->commit().value();
  EXPECT_NE(info.sha256, plain.sha256);
  const auto reader = store_->open_version(info.sha256);
  ASSERT_TRUE(reader) << reader.error().to_string();
  EXPECT_EQ((*reader)->model(), model_);
  const auto file = tensor::read_version(store_->path_of(info.sha256));
  ASSERT_TRUE(file) << file.error().to_string();
  EXPECT_EQ(file->normalise, scales);
  const std::vector<FeatureScale> misfit(3);
  EXPECT_EQ(store_->begin(model_, misfit).error().code, errc::invalid_argument);
}

TEST_F(VersionsTest, HowItIsCutIntoPiecesDoesNotMatter) {
  const ModelSpec model = dense_model(999, 700);  // 2.8 MB: several buffers
  const auto parameters = some_parameters(700'000);
  const VersionInfo whole = write(model, parameters);
  for (const std::size_t piece : {1000U, 262'144U, 300'001U}) {
    auto writer = store_->begin(model, {}).value();
    for (std::size_t at = 0; at < parameters.size(); at += piece) {
      const auto rest = std::span(parameters).subspan(at);
      ASSERT_TRUE(writer->append(rest.first(std::min(piece, rest.size()))));
    }
    EXPECT_EQ(writer->commit().value(), whole);
  }
  EXPECT_TRUE(store_->verify(whole.sha256));
  EXPECT_THAT(store_->list().value(), ElementsAre(whole.sha256)) << "equal versions are one";
}

TEST_F(VersionsTest, RefusesTheWrongNumberOfParameters) {
  auto writer = store_->begin(model_, {}).value();
  ASSERT_TRUE(writer->append(std::span(parameters_).first(10)));
  EXPECT_EQ(writer->commit().error().code, errc::invalid_argument);
  EXPECT_EQ(writer->append(std::span(parameters_).first(6)).error().code, errc::invalid_argument);
  ASSERT_TRUE(writer->append(std::span(parameters_).first(5)));
  ASSERT_TRUE(writer->commit());
  EXPECT_EQ(writer->commit().error().code, errc::wrong_state);
  EXPECT_EQ(writer->append({}).error().code, errc::wrong_state);
}

TEST_F(VersionsTest, RefusesAModelThatDoesNotFitTogether) {
  ModelSpec model = model_;
  model.layers.clear();
  EXPECT_EQ(store_->begin(model, {}).error().code, errc::invalid_argument);
  EXPECT_THAT(files(), IsEmpty());
}

TEST_F(VersionsTest, AnUnfinishedVersionLeavesNothing) {
  {
    auto writer = store_->begin(model_, {}).value();
    ASSERT_TRUE(writer->append(parameters_));
    EXPECT_EQ(files().size(), 1U);
    EXPECT_THAT(store_->list().value(), IsEmpty());
  }
  EXPECT_THAT(files(), IsEmpty());
}

TEST_F(VersionsTest, OpeningRemovesWhatACrashLeft) {
  const VersionInfo info = write(model_, parameters_);
  { std::ofstream(folder() / "writing-123-0") << "half a version"; }
  { std::ofstream(folder() / "notes.txt") << "keep"; }
  reopen();
  EXPECT_THAT(files(), UnorderedElementsAre(hex(info.sha256) + ".safetensors", "notes.txt"));
  EXPECT_THAT(store_->list().value(), ElementsAre(info.sha256));
}

TEST_F(VersionsTest, ReadsBeyondTheEndAreRefused) {
  const VersionInfo info = write(model_, parameters_);
  const auto reader = store_->open_version(info.sha256).value();
  std::array<float, 2> floats{};
  std::array<std::byte, 2> bytes{};
  EXPECT_EQ(reader->read_parameters(14, floats).error().code, errc::invalid_argument);
  EXPECT_EQ(reader->read_parameters(~0ULL, floats).error().code, errc::invalid_argument);
  EXPECT_EQ(reader->read_bytes(info.bytes - 1, bytes).error().code, errc::invalid_argument);
  EXPECT_EQ(reader->read_bytes(~0ULL, bytes).error().code, errc::invalid_argument);
  EXPECT_TRUE(reader->read_bytes(info.bytes, {}));
}

TEST_F(VersionsTest, UnknownVersionsAreNotFound) {
  const Sha256 name = sha256("nothing");
  EXPECT_EQ(store_->open_version(name).error().code, errc::not_found);
  EXPECT_EQ(store_->verify(name).error().code, errc::not_found);
  EXPECT_EQ(store_->remove(name).error().code, errc::not_found);
}

TEST_F(VersionsTest, EveryTruncationIsCorruptData) {
  const VersionInfo info = write(model_, parameters_);
  const std::string good = contents(info.sha256);
  for (std::size_t size = 0; size < good.size(); ++size) {
    overwrite(info.sha256, good.substr(0, size));
    const auto opened = store_->open_version(info.sha256);
    ASSERT_FALSE(opened) << size;
    ASSERT_EQ(opened.error().code, errc::corrupt_data) << size;
    ASSERT_THAT(opened.error().detail, HasSubstr(hex(info.sha256)));
    ASSERT_EQ(store_->verify(info.sha256).error().code, errc::corrupt_data);
  }
  overwrite(info.sha256, good + "x");
  EXPECT_EQ(store_->open_version(info.sha256).error().code, errc::corrupt_data);
}

TEST_F(VersionsTest, VerifyNoticesEveryFlippedByte) {
  const VersionInfo info = write(model_, parameters_);
  const std::string good = contents(info.sha256);
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    overwrite(info.sha256, bad);
    ASSERT_EQ(store_->verify(info.sha256).error().code, errc::corrupt_data) << at;
    if (const auto opened = store_->open_version(info.sha256); !opened) {
      ASSERT_EQ(opened.error().code, errc::corrupt_data) << at;
    }
  }
  write(model_, parameters_);
  EXPECT_TRUE(store_->verify(info.sha256)) << "writing it again repairs it";
}

TEST_F(VersionsTest, AFileWithoutAModelIsCorruptData) {
  const auto path = temp_.path() / "plain.safetensors";
  ASSERT_TRUE(tensor::write_safetensors(path, layout_of(model_).value(), parameters_, {}));
  const Sha256 name = sha256("plain");
  std::filesystem::rename(path, store_->path_of(name));
  const auto opened = store_->open_version(name);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, errc::corrupt_data);
  EXPECT_THAT(opened.error().detail, HasSubstr("chorus.model"));
}

TEST_F(VersionsTest, ARemovedVersionStaysReadableWhileItIsOpen) {
  const VersionInfo info = write(model_, parameters_);
  const auto reader = store_->open_version(info.sha256).value();
  ASSERT_TRUE(store_->remove(info.sha256));
  std::vector<float> read(15);
  ASSERT_TRUE(reader->read_parameters(0, read));
  EXPECT_EQ(read, parameters_);
  EXPECT_THAT(store_->list().value(), IsEmpty());
}

}  // namespace
}  // namespace chorus::server
