// Vectors computed by hand or taken from the papers' definitions.
#include <array>
#include <cmath>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "chorus/kernels/codes.hpp"
#include "common/codec/bytes.hpp"
#include "common/codec/sparse.hpp"
#include "tests/unit/common/codec/samples.hpp"

namespace chorus::codec {
namespace {

constexpr Keys kKeys{.round = 1, .device = 2};

std::vector<float> round_trip(const Codec& codec, const std::vector<float>& x, const Keys& keys) {
  const auto payload = encode(codec, x, keys).value();
  std::vector<float> decoded(x.size());
  const auto done = decode(codec, payload, keys, 1000.0F, decoded);
  EXPECT_TRUE(done) << done.error().detail;
  return decoded;
}

TEST(CodecVectors, UniformOfFourBits) {
  const std::vector<float> x{0.3F, -0.4F, 1.2F, 0.0F};
  const Codec codec{.kind = CodecKind::uniform, .bits = 4, .bucket = 64};
  const auto payload = encode(codec, x, kKeys).value();
  ASSERT_EQ(payload.size(), 8U + 2U);
  EXPECT_EQ(load<float>(payload, 0), -0.4F);
  EXPECT_EQ(load<float>(payload, 4), 1.2F);
  // u = 6.5625, 0, 15, 3.75 for steps of 0.1066667
  const auto first = static_cast<unsigned>(payload[8]);
  const auto second = static_cast<unsigned>(payload[9]);
  EXPECT_TRUE((first & 15U) == 6 || (first & 15U) == 7);
  EXPECT_EQ(first >> 4U, 0U);
  EXPECT_EQ(second & 15U, 15U);
  EXPECT_TRUE(second >> 4U == 3 || second >> 4U == 4);
}

TEST(CodecVectors, QsgdRoundsToNeighbouringLevels) {
  const std::vector<float> x{0.3F, -0.4F, 1.2F, 0.0F};
  const Codec codec{
      .kind = CodecKind::qsgd, .bits = 4, .bucket = 64, .norm = CodecNorm::l2};  // s = 7
  for (std::uint64_t device = 0; device < 50; ++device) {
    const auto decoded = round_trip(codec, x, {.round = 1, .device = device});
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double level = static_cast<double>(decoded[i]) * 7.0 / 1.3;
      EXPECT_NEAR(level, std::round(level), 1e-5);
      EXPECT_LT(std::fabs(level - static_cast<double>(x[i]) * 7.0 / 1.3), 1.0);
    }
    EXPECT_EQ(decoded[3], 0.0F);
  }
}

TEST(CodecVectors, SignsTimesTheMeanMagnitude) {
  const Codec codec{.kind = CodecKind::sign, .bucket = 64};
  EXPECT_EQ(round_trip(codec, {1.0F, -2.0F, 0.0F, 3.0F}, kKeys),
            (std::vector<float>{1.5F, -1.5F, 1.5F, 1.5F}));
  EXPECT_EQ(round_trip(codec, {-0.0F, -4.0F}, kKeys), (std::vector<float>{2.0F, -2.0F}));
}

TEST(CodecVectors, TernaryKeepsTheTwoLargest) {
  const Codec codec{.kind = CodecKind::ternary, .density = 0.25};
  EXPECT_EQ(round_trip(codec, {0.1F, -2.0F, 0.3F, 1.5F, -0.05F, 0.7F, -0.2F, 0.4F}, kKeys),
            (std::vector<float>{0.0F, -1.75F, 0.0F, 1.75F, 0.0F, 0.0F, 0.0F, 0.0F}));
}

TEST(CodecVectors, TernaryTakesTheBitsOfItsFormula) {
  const Codec codec{.kind = CodecKind::ternary, .density = 0.01};
  const std::size_t n = 1'000'000;
  const auto payload = encode(codec, test::gaussian(n, 7), kKeys).value();
  // b̄ = 8.1079 bits a position and one of sign; a deviation of about 1.4 bits a position.
  const double bits = static_cast<double>(payload.size() - 12) * 8.0 / 10'000.0;
  EXPECT_NEAR(bits, 9.1079, 4 * 1.5 / 100.0);
}

TEST(CodecVectors, OfEqualMagnitudesTheFirstAreKept) {
  const Codec codec{.kind = CodecKind::top_k, .density = 0.5};
  EXPECT_EQ(round_trip(codec, {1.0F, -1.0F, 1.0F, 1.0F}, kKeys),
            (std::vector<float>{1.0F, -1.0F, 0.0F, 0.0F}));
  EXPECT_EQ(round_trip(codec, {1.0F, -3.0F, 0.5F, 2.0F, 2.0F}, kKeys),
            (std::vector<float>{0.0F, -3.0F, 0.0F, 2.0F, 2.0F}));
}

TEST(CodecVectors, TheLargestAreThoseOfASort) {
  for (const std::size_t n : {1UL, 10UL, 5000UL, 70'000UL}) {
    for (const auto& x : {test::gaussian(n, n), test::heavy_tailed(n, n), std::vector<float>(n)}) {
      for (const std::size_t k : {std::size_t{1}, (n + 99) / 100, n / 2, n}) {
        std::vector<std::uint32_t> expected(n);
        for (std::uint32_t i = 0; i < n; ++i) expected[i] = i;
        std::stable_sort(expected.begin(), expected.end(), [&x](auto a, auto b) {
          return std::fabs(x[a]) > std::fabs(x[b]);
        });
        expected.resize(k);
        std::sort(expected.begin(), expected.end());
        ASSERT_EQ(largest(x, k).indices, expected) << n << " " << k;
      }
    }
  }
}

TEST(CodecVectors, RandomKNeedsNoIndicesAndScales) {
  const Codec codec{.kind = CodecKind::random_k, .density = 0.25};
  const std::vector<float> x(100, 2.0F);
  EXPECT_EQ(encode(codec, x, kKeys).value().size(), 25U * 4U);
  const auto decoded = round_trip(codec, x, kKeys);
  EXPECT_EQ(std::count(decoded.begin(), decoded.end(), 8.0F), 25);
  EXPECT_EQ(std::count(decoded.begin(), decoded.end(), 0.0F), 75);
  EXPECT_NE(round_trip(codec, x, {.round = 9}), decoded);
}

TEST(CodecVectors, EntropyOfCodesThatAreMostlyZero) {
  // QSGD with one level and the norm of 512: 3.5 % are not 0, which is .26 bits of entropy an
  // element (and as many signs), and .0625 for the norms.
  const Codec codec{
      .kind = CodecKind::qsgd, .bits = 2, .bucket = 512, .norm = CodecNorm::l2, .entropy = true};
  const std::size_t n = 512 * 200;
  const auto x = test::gaussian(n, 3);
  const double bits = 8.0 * static_cast<double>(encode(codec, x, kKeys).value().size()) / n;
  EXPECT_NEAR(bits, 0.32, 0.01);
}

TEST(CodecVectors, FloatsWithEntropyAreLossless) {
  const Codec codec{.kind = CodecKind::f32, .entropy = true};
  const auto x = test::gaussian(10'000, 3, 1e-3);
  EXPECT_EQ(round_trip(codec, x, kKeys), x);
  EXPECT_LT(encode(codec, x, kKeys).value().size(), 10'000U * 4U * 95U / 100U);
}

/// A round whose signs for the first bucket begin as wanted.
Keys round_with_signs(const std::vector<float>& signs) {
  for (std::uint64_t round = 0;; ++round) {
    constexpr std::array<std::string_view, 2> kParts{"rotation", "0"};
    std::vector<float> drawn(signs.size(), 1.0F);
    kernels::flip_signs_f32(stream_key(round, kParts), drawn);
    if (drawn == signs) return {.round = round};
  }
}

TEST(CodecVectors, DriveOfFourElements) {
  const std::vector<float> x{1.0F, 2.0F, -1.0F, 0.5F};
  const Keys keys = round_with_signs({1.0F, -1.0F, 1.0F, 1.0F});
  Codec codec{.kind = CodecKind::rotated, .bits = 1, .bucket = 64};
  const std::vector<float> unbiased = round_trip(codec, x, keys);
  codec.least_error = true;
  const std::vector<float> least = round_trip(codec, x, keys);
  const std::vector<float> expected{0.0F, 3.125F, 0.0F, 0.0F};
  const std::vector<float> expected_least{0.0F, 2.0F, 0.0F, 0.0F};
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(unbiased[i], expected[i], 1e-5);
    EXPECT_NEAR(least[i], expected_least[i], 1e-5);
  }
}

}  // namespace
}  // namespace chorus::codec
