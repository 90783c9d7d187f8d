// Bodies are checked before anything is folded.
#include "server/update/validator.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace chorus::server {
namespace {

using testing::HasSubstr;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(UpdateValidator, AcceptsValuesUpToTheBound) {
  UpdateValidator validator(2.0F);
  EXPECT_TRUE(validator.check(std::vector<float>{2.0F, -2.0F, 0.0F, -0.0F, 1e-45F}));
  EXPECT_TRUE(validator.check({}));
  EXPECT_EQ(validator.elements(), 5U);
  EXPECT_DOUBLE_EQ(validator.norm(), std::sqrt(8.0));
}

TEST(UpdateValidator, OneStepBeyondTheBoundIsOutOfRange) {
  const float beyond = std::nextafter(2.0F, 3.0F);
  for (const float value : {beyond, -beyond, 3e38F}) {
    UpdateValidator validator(2.0F);
    const auto checked = validator.check(std::vector<float>{1.0F, value});
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, errc::value_out_of_range);
    EXPECT_THAT(checked.error().detail, HasSubstr("element 1 of the update"));
    EXPECT_THAT(checked.error().detail, HasSubstr("value_max"));
  }
}

TEST(UpdateValidator, RefusesWhatIsNotANumber) {
  struct Case {
    float value;
    const char* word;
  };
  for (const auto& [value, word] :
       {Case{kNan, "NaN"}, Case{-kNan, "NaN"}, Case{kInf, "infinite"}, Case{-kInf, "infinite"}}) {
    for (std::size_t at = 0; at < 70; ++at) {  // every lane of every vector width
      std::vector<float> values(70, 0.5F);
      values[at] = value;
      UpdateValidator validator(1.0F);
      const auto checked = validator.check(values);
      ASSERT_FALSE(checked) << at;
      EXPECT_EQ(checked.error().code, errc::not_finite);
      EXPECT_THAT(checked.error().detail,
                  HasSubstr("element " + std::to_string(at) + " of the update is " + word));
    }
  }
}

TEST(UpdateValidator, CountsAcrossChunks) {
  UpdateValidator validator(1.0F);
  EXPECT_TRUE(validator.check(std::vector<float>(1000, 1.0F)));
  EXPECT_TRUE(validator.check(std::vector<float>(24, -1.0F)));
  std::vector<float> last(8, 0.0F);
  last[5] = kNan;
  const auto checked = validator.check(last);
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().detail, HasSubstr("element 1029 of the update is NaN"));
  EXPECT_EQ(validator.elements(), 1024U);
  EXPECT_DOUBLE_EQ(validator.norm(), 32.0);
}

TEST(UpdateValidator, NamesTheFirstOffender) {
  UpdateValidator validator(1.0F);
  const auto checked = validator.check(std::vector<float>{0.0F, 5.0F, kNan});
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().detail, HasSubstr("element 1 of the update"));
}

TEST(UpdateValidator, SumsOfHugeValuesDoNotOverflow) {
  UpdateValidator validator(3.4e38F);
  EXPECT_TRUE(validator.check(std::vector<float>(4, 3.4e38F)));
  EXPECT_NEAR(validator.norm(), 6.8e38, 1e33);
}

}  // namespace
}  // namespace chorus::server
