// Uniform selection: sorted, without repetition, the same for the same seed, and fair.
#include <algorithm>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "server/selection/selection.hpp"

namespace chorus::server {
namespace {

std::vector<ClientId> devices(std::size_t count) {
  std::vector<ClientId> list;
  for (std::size_t i = 0; i < count; ++i) {
    list.push_back(ClientId{std::string(1, static_cast<char>('a' + i))});
  }
  return list;
}

std::string chosen(std::uint64_t key, std::size_t count, std::size_t wanted) {
  Rng rng(key);
  std::string names;
  const auto selection = all_selections().front().make();
  for (const ClientId& client : selection->choose(devices(count), wanted, rng)) {
    names += client.value;
  }
  return names;
}

TEST(UniformSelection, IsTheFirstOfTheList) {
  ASSERT_FALSE(all_selections().empty());
  EXPECT_EQ(all_selections().front().name, "uniform");
}

TEST(UniformSelection, Golden) {
  EXPECT_EQ(chosen(1, 26, 5), "bqswx");
  EXPECT_EQ(chosen(2, 26, 5), "hkmoz");
}

TEST(UniformSelection, AllOrNone) {
  EXPECT_EQ(chosen(3, 5, 5), "abcde");
  EXPECT_EQ(chosen(3, 5, 0), "");
  EXPECT_EQ(chosen(3, 0, 0), "");
}

TEST(UniformSelection, IsSortedAndWithoutRepetition) {
  for (std::uint64_t key = 0; key < 200; ++key) {
    const std::string names = chosen(key, 20, 7);
    ASSERT_EQ(names.size(), 7U);
    ASSERT_TRUE(std::is_sorted(names.begin(), names.end()));
    ASSERT_EQ(std::set<char>(names.begin(), names.end()).size(), 7U);
  }
}

// Each of C(6, 3) = 20 subsets 1/20 of the time: chi-square with 19 degrees of freedom stays below
// 43.8 with probability 0.999. The seeds are fixed, so the test is not a matter of luck.
TEST(UniformSelection, EverySubsetHasTheSameChance) {
  constexpr int kDraws = 20'000;
  std::map<std::string, int> seen;
  for (std::uint64_t key = 0; key < kDraws; ++key) ++seen[chosen(key * 7919 + 13, 6, 3)];
  ASSERT_EQ(seen.size(), 20U);
  double chi_square = 0.0;
  const double expected = kDraws / 20.0;
  for (const auto& [names, count] : seen) {
    chi_square += (count - expected) * (count - expected) / expected;
  }
  EXPECT_LT(chi_square, 43.8);
}

TEST(UniformSelectionDeath, MoreThanThereAreIsABug) {
  EXPECT_DEATH(chosen(1, 3, 4), "wanted");
}

}  // namespace
}  // namespace chorus::server
