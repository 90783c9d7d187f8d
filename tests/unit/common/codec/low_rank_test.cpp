// Factors of matrices whose singular values are known.
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "common/codec/bytes.hpp"
#include "common/codec/feedback.hpp"
#include "tests/unit/common/codec/matrices.hpp"
#include "tests/unit/common/codec/samples.hpp"

namespace chorus::codec {
namespace {

using test::gaussian;
using test::squares;

constexpr std::size_t kRows = 40;
constexpr std::size_t kColumns = 64;
constexpr Keys kKeys{.round = 5};

Codec of_rank(std::uint32_t rank) {
  return {.kind = CodecKind::low_rank, .rank = rank, .columns = kColumns};
}

std::vector<float> with_values(const std::vector<double>& sigma) {
  return test::with_values(kRows, kColumns, sigma);
}

std::vector<float> decoded(const Codec& codec, const std::vector<float>& x, const Keys& keys) {
  const auto payload = encode(codec, x, keys).value();
  std::vector<float> back(x.size());
  EXPECT_TRUE(decode(codec, payload, keys, 1e6F, back));
  return back;
}

/// ‖x − C(x)‖²
double error_of(const Codec& codec, const std::vector<float>& x, std::uint64_t round = 5) {
  std::vector<float> rest = decoded(codec, x, {.round = round});
  for (std::size_t i = 0; i < x.size(); ++i) rest[i] -= x[i];
  return squares(rest);
}

TEST(LowRank, AMatrixOfThatRankComesBack) {
  const std::vector<float> x = with_values({9.0, 3.0, 0.5});
  for (const std::uint32_t rank : {3U, 4U, 8U}) {
    EXPECT_LT(error_of(of_rank(rank), x), 1e-10 * squares(x)) << rank;
  }
}

TEST(LowRank, LeavesOutTheSmallerSingularValues) {
  const std::vector<float> x = with_values({8.0, 4.0, 2.0, 1.0, 0.5, 0.25});
  double left = squares(x);
  double sigma = 8.0;
  for (std::uint32_t rank = 1; rank <= 5; ++rank) {
    left -= sigma * sigma;
    sigma /= 2.0;
    for (const std::uint64_t round : {1U, 2U, 3U}) {
      EXPECT_NEAR(error_of(of_rank(rank), x, round), left, 0.02 * left) << rank;
    }
  }
}

TEST(LowRank, TheFirstFactorIsOrthonormalAndTheErrorIsWhatTheSecondLacks) {
  const std::vector<float> x = gaussian(kRows * kColumns, 3);
  const auto payload = encode(of_rank(4), x, kKeys).value();
  ASSERT_EQ(payload.size(), 4 * 4 * (kRows + kColumns));
  std::vector<float> p(kRows * 4);
  std::vector<float> r(4 * kColumns);
  load_all(payload, std::span(p));
  load_all(std::span(payload).subspan(4 * p.size()), std::span(r));
  for (std::size_t a = 0; a < 4; ++a) {
    for (std::size_t b = 0; b < 4; ++b) {
      double product = 0.0;
      for (std::size_t i = 0; i < kRows; ++i) {
        product += static_cast<double>(p[i * 4 + a]) * static_cast<double>(p[i * 4 + b]);
      }
      EXPECT_NEAR(product, a == b ? 1.0 : 0.0, 1e-6);
    }
  }
  EXPECT_NEAR(error_of(of_rank(4), x), squares(x) - squares(r), 1e-4 * squares(x));
}

// Of independent elements nothing is of low rank. The best are .788 and .916 of the whole (the mean
// of singular value decompositions), one step alone is .878 and .955 off.
TEST(LowRank, OfNoiseIsCloseToTheBest) {
  const auto mean = [](std::size_t rows, std::uint32_t columns) {
    double sum = 0.0;
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      const std::vector<float> x = gaussian(rows * columns, seed);
      const Codec codec{.kind = CodecKind::low_rank, .rank = 4, .columns = columns};
      sum += error_of(codec, x, seed) / squares(x) / 10.0;
    }
    return sum;
  };
  EXPECT_NEAR(mean(64, 64), 0.798, 0.01);
  EXPECT_NEAR(mean(256, 128), 0.9215, 0.005);
}

TEST(LowRank, IsAFunctionOfTheRoundsKey) {
  const std::vector<float> x = gaussian(kRows * kColumns, 4);
  const auto payload = encode(of_rank(2), x, {.round = 1, .device = 1}).value();
  EXPECT_EQ(encode(of_rank(2), x, {.round = 1, .device = 2}).value(), payload);
  EXPECT_NE(encode(of_rank(2), x, {.round = 2, .device = 1}).value(), payload);
}

TEST(LowRank, WhatFactorsDoNotMakeSmallerGoesAsItIs) {
  const std::vector<float> x = gaussian(kRows * kColumns, 6);
  const Method& method = method_of(of_rank(1));
  EXPECT_EQ(method.bytes_max(of_rank(24), x.size()), 4 * 24 * (kRows + kColumns));
  EXPECT_EQ(method.bytes_max(of_rank(25), x.size()), 4 * x.size());
  EXPECT_EQ(decoded(of_rank(25), x, kKeys), x);
  Codec other = of_rank(1);
  for (const std::uint32_t columns : {0U, 1U, 63U, 2560U}) {
    other.columns = columns;
    EXPECT_EQ(decoded(other, x, kKeys), x) << columns;
  }
}

TEST(LowRank, NoElementBecomesLargerThanTheLargest) {
  // One direction, in which all but one element agree: the product has more than is there.
  std::vector<float> x(kRows * kColumns, 1.0F);
  for (std::size_t j = 0; j < kColumns; ++j) x[j] = j % 2 == 0 ? 1.0F : -1.0F;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    if (seed > 0) {
      for (float& value : x) value = value > 0.0F ? 1.0F : -1.0F;
      Rng rng(seed);
      x[static_cast<std::size_t>(rng.below(x.size()))] = -1.0F;
    }
    for (const float value : decoded(of_rank(2), x, {.round = seed})) {
      ASSERT_LE(std::fabs(value), 1.0F) << seed;
    }
  }
}

TEST(LowRank, WithFeedbackAConstantArrives) {
  const std::vector<float> x = gaussian(kRows * kColumns, 7);
  std::vector<float> memory;
  std::vector<float> sum(x.size());
  constexpr std::uint64_t kRounds = 60;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    const Keys keys{.round = round};
    const auto made = encode_with_error(of_rank(4), x, memory, keys).value();
    std::vector<float> sent(x.size());
    ASSERT_TRUE(decode(of_rank(4), made.payload, keys, 1e6F, sent));
    for (std::size_t i = 0; i < x.size(); ++i) sum[i] += sent[i];
    memory = made.memory;
  }
  for (std::size_t i = 0; i < x.size(); ++i) sum[i] = sum[i] / kRounds - x[i];
  EXPECT_LT(squares(sum), 0.02 * squares(x));
}

}  // namespace
}  // namespace chorus::codec
