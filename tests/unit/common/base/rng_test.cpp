#include "common/base/rng.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace chorus {
namespace {

using Block = std::array<std::uint32_t, 4>;
using Parts = std::vector<std::string_view>;

// Random123 1.14, tests/kat_vectors, "philox4x32 10".
TEST(Philox, GivesThePublishedVectors) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Block{0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U}));
  EXPECT_EQ(
      philox4x32({0xffffffffU, 0xffffffffU, 0xffffffffU, 0xffffffffU}, {0xffffffffU, 0xffffffffU}),
      (Block{0x408f276dU, 0x41c83b0eU, 0xa20bc7c6U, 0x6d5451fdU}));
  EXPECT_EQ(
      philox4x32({0x243f6a88U, 0x85a308d3U, 0x13198a2eU, 0x03707344U}, {0xa4093822U, 0x299f31d0U}),
      (Block{0xd16cfe09U, 0x94fdccebU, 0x5001e420U, 0x24126ea1U}));
}

// Golden numbers of rng_golden.py: an independent implementation in Python.
TEST(Rng, CountsBlocksFromZero) {
  Rng rng(0);
  for (const std::uint32_t word :
       {0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U, 0xf8e4cca4U, 0x5cb200dbU}) {
    EXPECT_EQ(rng.next_u32(), word);
  }
}

TEST(Rng, PutsTheFirstWordInTheLowHalf) {
  Rng rng(0x123456789abcdef0U);
  EXPECT_EQ(rng.next_u64(), 0x78384bc0092c9b44U);
  EXPECT_EQ(rng.next_u64(), 0x2b3be4ddc9fb80beU);
  EXPECT_EQ(rng.next_u64(), 0x609cf517389d999aU);
}

TEST(Rng, DrawsTheGoldenNumbers) {
  Rng uniform(42);
  EXPECT_EQ(uniform.uniform(), 0x1.dfd524ee73abcp-2);
  EXPECT_EQ(uniform.uniform(), 0x1.5d0acf5c4afd4p-2);
  EXPECT_EQ(uniform.uniform(), 0x1.4ee9b3f7f36c8p-2);
  Rng below(42);
  for (const std::uint64_t draw : {468U, 340U, 327U, 454U, 658U})
    EXPECT_EQ(below.below(1000), draw);
  EXPECT_EQ(below.below(std::uint64_t{3} << 62U), 10702589023919673906U);
}

TEST(Rng, ShufflesAlikeEverywhere) {
  std::vector<int> items(10);
  std::iota(items.begin(), items.end(), 0);
  Rng rng(42);
  rng.shuffle(std::span(items));
  EXPECT_EQ(items, (std::vector<int>{0, 9, 1, 7, 5, 6, 8, 2, 3, 4}));
}

TEST(Rng, ShufflesNothingAndOne) {
  Rng rng(1);
  std::vector<int> items;
  rng.shuffle(std::span(items));
  EXPECT_TRUE(items.empty());
  items = {5};
  rng.shuffle(std::span(items));
  EXPECT_EQ(items, std::vector<int>{5});
}

TEST(Rng, GivesEveryPermutationItsShare) {
  constexpr int draws = 24'000;
  std::map<std::vector<int>, int> seen;
  Rng rng(5);
  for (int i = 0; i < draws; ++i) {
    std::vector<int> items = {0, 1, 2, 3};
    rng.shuffle(std::span(items));
    ++seen[items];
  }
  ASSERT_EQ(seen.size(), 24U);
  double chi_squared = 0.0;
  for (const auto& [items, count] : seen) chi_squared += (count - 1000.0) * (count - 1000.0) / 1000;
  EXPECT_LT(chi_squared, 49.7);  // 23 degrees of freedom, p = 0.001
}

TEST(Rng, CopiesContinueAlike) {
  Rng a(9);
  a.next_u32();
  Rng b = a;
  for (int i = 0; i < 9; ++i) EXPECT_EQ(a.next_u32(), b.next_u32());
}

TEST(Rng, DrawsBelowItsBound) {
  Rng rng(11);
  constexpr std::uint64_t most = ~std::uint64_t{0};
  for (const std::uint64_t bound : {std::uint64_t{1},
                                    std::uint64_t{2},
                                    std::uint64_t{3},
                                    std::uint64_t{1} << 32U,
                                    (std::uint64_t{1} << 63U) + 1,
                                    most}) {
    for (int i = 0; i < 200; ++i) ASSERT_LT(rng.below(bound), bound);
  }
  EXPECT_EQ(rng.below(1), 0U);
}

// Without the rejection a bound of 3·2^62 would favour every third number two to one.
TEST(Rng, DrawsBelowWithoutBias) {
  constexpr int draws = 30'000;
  Rng rng(12);
  std::array<int, 3> remainders{};
  std::array<int, 6> dice{};
  for (int i = 0; i < draws; ++i) {
    ++remainders[rng.below(std::uint64_t{3} << 62U) % 3];
    ++dice[rng.below(6)];
  }
  for (const int count : remainders) EXPECT_NEAR(count, draws / 3, 400);  // 5 sigma
  for (const int count : dice) EXPECT_NEAR(count, draws / 6, 325);
}

TEST(RngDeathTest, RefusesAnEmptyRangeAndAShapeOfZero) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  Rng rng(1);
  EXPECT_DEATH(rng.below(0), "bound > 0");
  EXPECT_DEATH(rng.gamma(0.0), "shape > 0");
  EXPECT_DEATH(rng.gamma(std::nan("")), "shape > 0");
}

struct Moments {
  double mean = 0.0;
  double variance = 0.0;
  double least = INFINITY;
  double most = -INFINITY;
};

template <class Draw>
Moments moments_of(Draw draw) {
  constexpr int draws = 100'000;
  Moments m;
  double squares = 0.0;
  for (int i = 0; i < draws; ++i) {
    const double x = draw();
    m.mean += x / draws;
    squares += x * x / draws;
    m.least = std::min(m.least, x);
    m.most = std::max(m.most, x);
  }
  m.variance = squares - m.mean * m.mean;
  return m;
}

TEST(Rng, DrawsUniformly) {
  Rng rng(21);
  const Moments m = moments_of([&] { return rng.uniform(); });
  EXPECT_GE(m.least, 0.0);
  EXPECT_LT(m.most, 1.0);
  EXPECT_NEAR(m.mean, 0.5, 0.005);
  EXPECT_NEAR(m.variance, 1.0 / 12.0, 0.002);
}

TEST(Rng, DrawsNormally) {
  Rng rng(22);
  const Moments m = moments_of([&] { return rng.normal(); });
  EXPECT_NEAR(m.mean, 0.0, 0.015);
  EXPECT_NEAR(m.variance, 1.0, 0.02);
  EXPECT_LT(m.least, -3.5);
  EXPECT_GT(m.most, 3.5);
}

TEST(Rng, DrawsGammaOfAnyShape) {
  for (const double shape : {0.1, 0.5, 1.0, 2.5, 40.0}) {
    Rng rng(23);
    const Moments m = moments_of([&] { return rng.gamma(shape); });
    const double sigma = std::sqrt(shape / 100'000);
    EXPECT_NEAR(m.mean, shape, 5.0 * sigma) << shape;
    EXPECT_NEAR(m.variance, shape, 0.06 * shape + 0.01) << shape;
    EXPECT_GE(m.least, 0.0) << shape;
  }
}

TEST(StreamKey, SeparatesStreamsByEveryPartAndTheSeed) {
  const auto key = [](std::uint64_t seed, const Parts& parts) { return stream_key(seed, parts); };
  const std::vector<std::uint64_t> keys = {
      key(1, {"cohort", "job", "1"}),
      key(2, {"cohort", "job", "1"}),
      key(1, {"cohort", "job", "2"}),
      key(1, {"shuffle", "job", "1"}),
      key(1, {"cohort", "jo", "b1"}),
      key(1, {"cohort", "job1"}),
      key(1, {"cohortjob1"}),
      key(1, {"job", "cohort", "1"}),
      key(1, {"cohort", "job", "1", ""}),
  };
  for (std::size_t a = 0; a < keys.size(); ++a) {
    for (std::size_t b = a + 1; b < keys.size(); ++b) EXPECT_NE(keys[a], keys[b]) << a << " " << b;
  }
  EXPECT_EQ(key(1, {"cohort", "job", "1"}), keys[0]);
  EXPECT_EQ(key(77, {}), 77U);
  EXPECT_EQ(key(0, {""}),
            0x2d06800538d394c2U);  // XXH3-64 of nothing, from the xxHash specification
}

}  // namespace
}  // namespace chorus
