#include "common/config/suggest.hpp"

#include <array>

#include <gtest/gtest.h>

namespace chorus::config {
namespace {

constexpr std::array<std::string_view, 5> kWords{"cohort", "goal", "deadline", "grace", "lr"};

TEST(Suggest, CountsEdits) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("chohrt", "cohort"), 2U);
  EXPECT_EQ(edit_distance("gaol", "goal"), 1U);  // neighbours swapped
}

TEST(Suggest, FindsTheNearest) {
  EXPECT_EQ(nearest("cohrt", kWords), "cohort");
  EXPECT_EQ(nearest("dead_line", kWords), "deadline");
  EXPECT_EQ(did_you_mean("gaol", kWords), "; did you mean 'goal'?");
}

TEST(Suggest, DoesNotGuessWildly) {
  EXPECT_EQ(nearest("temperature", kWords), "");
  EXPECT_EQ(nearest("", kWords), "");
  EXPECT_EQ(nearest("xy", kWords), "");
  EXPECT_EQ(nearest(std::string(10'000, 'a'), kWords), "");
  EXPECT_EQ(did_you_mean("temperature", kWords), "");
  EXPECT_EQ(did_you_mean("goal", {}), "");
}

}  // namespace
}  // namespace chorus::config
