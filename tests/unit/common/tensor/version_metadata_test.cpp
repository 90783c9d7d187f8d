// What a version says of itself.
#include "common/tensor/version_metadata.hpp"

#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "common/tensor/model_json.hpp"

namespace chorus::tensor {
namespace {

using ::testing::HasSubstr;

const std::string kKey(kNormaliseMetadataKey);

class VersionMetadataTest : public ::testing::Test {
 protected:
  Failure refused(const std::string& text) const {
    Metadata metadata = metadata_of(model_, {}).value();
    metadata[kKey] = text;
    const auto read = version_metadata(metadata);
    EXPECT_FALSE(read) << text;
    return read ? Failure{} : read.error();
  }

  const ModelSpec model_{{3, 2, 2}, {Flatten{}, Dense{"out", 2}}};
};

TEST_F(VersionMetadataTest, IsAModelAlone) {
  const auto metadata = metadata_of(model_, {});
  ASSERT_TRUE(metadata);
  EXPECT_EQ(*metadata, (Metadata{{std::string(kModelMetadataKey), model_to_json(model_).value()}}));
  const auto read = version_metadata(*metadata);
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->model, model_);
  EXPECT_TRUE(read->normalise.empty());
}

TEST_F(VersionMetadataTest, KeepsEveryBitOfTheScales) {
  const std::vector<FeatureScale> scales{
      {0.4914, 0.2470}, {-1.0 / 3.0, 1e-300}, {0.0, std::numeric_limits<double>::max()}};
  auto metadata = metadata_of(model_, scales);
  ASSERT_TRUE(metadata) << metadata.error().to_string();
  EXPECT_EQ(metadata->at(kKey),
            "{\"mean\":[0.4914,-0.3333333333333333,0.0],"
            "\"deviation\":[0.247,1e-300,1.7976931348623157e+308]}");
  metadata->emplace("another", "key");
  const auto read = version_metadata(*metadata);
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->normalise, scales);
}

TEST_F(VersionMetadataTest, AsManyScalesAsAPlanMayHave) {
  const ModelSpec wide{{limits::kPlanScalesMax}, {Dense{"out", 2}}};
  const std::vector<FeatureScale> most(limits::kPlanScalesMax, {0.5, 2.0});
  EXPECT_EQ(version_metadata(metadata_of(wide, most).value())->normalise, most);
  const ModelSpec wider{{limits::kPlanScalesMax + 1}, {Dense{"out", 2}}};
  const std::vector<FeatureScale> many(limits::kPlanScalesMax + 1, {0.5, 2.0});
  EXPECT_EQ(metadata_of(wider, many).error().code, errc::invalid_argument);
  Metadata metadata = metadata_of(wider, {}).value();
  metadata[kKey] = normalise_to_json(many);
  EXPECT_FALSE(version_metadata(metadata));
}

TEST_F(VersionMetadataTest, OnlyWhatAPlanMaySayIsWritten) {
  const std::vector<FeatureScale> two{{0.0, 1.0}, {0.0, 1.0}};
  const auto misfit = metadata_of(model_, two);
  EXPECT_EQ(misfit.error().code, errc::invalid_argument);
  EXPECT_THAT(misfit.error().detail, HasSubstr("expected 1, 3 (one per channel) or 12"));
  const auto flat = metadata_of(model_, std::vector<FeatureScale>{{0.0, 0.0}});
  EXPECT_EQ(flat.error().code, errc::invalid_argument);
  EXPECT_THAT(flat.error().detail, HasSubstr("normalise.deviation is 0; expected finite numbers"));
}

TEST_F(VersionMetadataTest, TextsFromOutsideAreChecked) {
  for (const char* text : {"",
                           "[]",
                           "{}",
                           "{\"mean\":[0]}",
                           "{\"mean\":[0],\"deviation\":[1],\"more\":[]}",
                           "{\"mean\":0,\"deviation\":[1]}",
                           "{\"mean\":[\"0\"],\"deviation\":[1]}",
                           "{\"mean\":[[0]],\"deviation\":[1]}",
                           "{\"mean\":[0],\"deviation\":[1,1]}",
                           "{\"mean\":[],\"deviation\":[]}",
                           "{\"mean\":[0],\"deviation\":[1e999]}",
                           "{\"mean\":[0],\"mean\":[0],\"deviation\":[1]}"}) {
    const Failure why = refused(text);
    EXPECT_EQ(why.code, errc::malformed_file) << text;
    EXPECT_THAT(why.detail, HasSubstr(kKey)) << text;
  }
  EXPECT_EQ(refused("{\"mean\":[0],\"deviation\":[-1]}").code, errc::invalid_argument);
  EXPECT_EQ(refused("{\"mean\":[0,0],\"deviation\":[1,1]}").code, errc::invalid_argument);
}

TEST_F(VersionMetadataTest, WithoutAnArchitectureItIsNoVersion) {
  const auto read = version_metadata({{kKey, "{\"mean\":[0],\"deviation\":[1]}"}});
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, errc::malformed_file);
  EXPECT_THAT(read.error().detail, HasSubstr("lacks 'chorus.model'"));
}

}  // namespace
}  // namespace chorus::tensor
