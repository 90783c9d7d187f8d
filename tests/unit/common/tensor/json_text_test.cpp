#include "common/tensor/json_text.hpp"

#include <string>

#include <gtest/gtest.h>

namespace chorus::tensor {
namespace {

Failure failure_of(std::string_view text, const JsonLimits& limits = {}) {
  const auto parsed = parse_json(text, limits);
  if (parsed) return fail(errc::internal, "parsed");
  return parsed.error();
}

TEST(JsonText, ParsesOrdinaryDocuments) {
  const auto parsed = parse_json(R"({"a":[1,2.5,"x",null,true],"b":{"a":-1}})", {});
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ((*parsed)["a"].size(), 5U);
  EXPECT_EQ((*parsed)["b"]["a"], -1);
}

TEST(JsonText, AllowsTheSameKeyInDifferentObjects) {
  EXPECT_TRUE(parse_json(R"([{"a":1},{"a":2},{"a":{"a":3}}])", {}));
}

TEST(JsonText, RefusesDuplicateKeys) {
  EXPECT_NE(failure_of(R"({"a":1,"b":2,"a":3})").detail.find("'a'"), std::string::npos);
  EXPECT_EQ(failure_of(R"({"a":1,"\u0061":3})").code, errc::malformed_file);
}

TEST(JsonText, RefusesDepthBeyondTheLimit) {
  EXPECT_TRUE(parse_json("[[[1]]]", {.depth_max = 3}));
  EXPECT_EQ(failure_of("[[[[1]]]]", {.depth_max = 3}).code, errc::malformed_file);
  EXPECT_EQ(failure_of(std::string(1U << 20U, '[')).code, errc::malformed_file);
}

TEST(JsonText, RefusesMoreValuesThanTheLimit) {
  EXPECT_TRUE(parse_json("[1,2,3]", {.values_max = 4}));
  EXPECT_EQ(failure_of("[1,2,3,4]", {.values_max = 4}).code, errc::malformed_file);
}

TEST(JsonText, RefusesWhatIsNotJson) {
  for (const char* text : {"",
                           " ",
                           "{",
                           "}",
                           "{\"a\"}",
                           "{\"a\":1,}",
                           "[1 2]",
                           "nul",
                           "{} x",
                           "{'a':1}",
                           "\"\xff\"",
                           "[NaN]",
                           "[01]",
                           "\"\\ud800\"",
                           "[1e999]"}) {
    EXPECT_EQ(failure_of(text).code, errc::malformed_file) << text;
  }
}

}  // namespace
}  // namespace chorus::tensor
