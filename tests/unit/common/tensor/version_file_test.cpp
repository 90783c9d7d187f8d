// Version files read whole.
#include "common/tensor/version_file.hpp"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/tensor/model_json.hpp"
#include "common/tensor/safetensors.hpp"
#include "common/tensor/version_metadata.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus::tensor {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

class VersionFileTest : public ::testing::Test {
 protected:
  /// Writes a file with this architecture (empty: none) and the tensors of `layout`.
  void write(const std::string& architecture, const TensorLayout& layout) {
    Metadata metadata;
    if (!architecture.empty()) metadata[std::string(kModelMetadataKey)] = architecture;
    const std::vector<float> data(layout.parameters, 0.5F);
    const auto written = write_safetensors(path_, layout, data, metadata);
    ASSERT_TRUE(written) << written.error().to_string();
  }
  void expect_malformed(const std::string& text) {
    const auto read = read_version(path_);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, errc::malformed_file);
    EXPECT_THAT(read.error().detail, HasSubstr(path_.string()));
    EXPECT_THAT(read.error().detail, HasSubstr(text));
  }

  test::TempFolder folder_;
  std::filesystem::path path_ = folder_.path() / "v.safetensors";
  ModelSpec model_{{2}, {Dense{"out", 2}}};
  TensorLayout layout_ = layout_of(model_).value();
  std::string json_ = model_to_json(model_).value();
};

TEST_F(VersionFileTest, HasModelAndParameters) {
  write(json_, layout_);
  const auto read = read_version(path_);
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->model, model_);
  EXPECT_EQ(read->layout, layout_);
  EXPECT_TRUE(read->normalise.empty());
  EXPECT_EQ(read->parameters.size(), 6U);
  EXPECT_THAT(read->parameters.span(), Each(0.5F));
}

TEST_F(VersionFileTest, WithoutArchitectureSaysHowToGetOne) {
  write("", layout_);
  expect_malformed("'chorus model export' writes files that do");
}

TEST_F(VersionFileTest, SaysHowFeaturesWereNormalised) {
  const std::vector<FeatureScale> scales{{0.1, 0.3}};
  const std::vector<float> data(layout_.parameters, 0.5F);
  const auto metadata = metadata_of(model_, scales).value();
  ASSERT_TRUE(write_safetensors(path_, layout_, data, metadata));
  EXPECT_EQ(read_version(path_)->normalise, scales);
}

TEST_F(VersionFileTest, ArchitectureAndTensorsMustAgree) {
  write("{}", layout_);
  expect_malformed("");
  TensorLayout other = layout_;
  other.tensors[0].shape = {4, 1};
  write(json_, other);
  expect_malformed("its tensors are not those of its architecture");
  other = layout_;
  other.tensors[1].name = "out.offset";
  write(json_, other);
  expect_malformed("its tensors are not those of its architecture");
  other = layout_;
  other.tensors.pop_back();
  other.parameters = 4;
  write(json_, other);
  expect_malformed("its tensors are not those of its architecture");
}

TEST_F(VersionFileTest, AMissingFileIsNotFound) {
  const auto read = read_version(folder_.path() / "none.safetensors");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, errc::not_found);
}

}  // namespace
}  // namespace chorus::tensor
