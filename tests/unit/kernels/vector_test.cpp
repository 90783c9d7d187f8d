#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "chorus/kernels/kernels.hpp"
#include "tests/unit/kernels/variants.hpp"

namespace chorus {
namespace {

using test::bits_of;
using test::Placed;
using test::WithVariant;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Calls `body(n, offset)` for each length and alignment under every variant and compares the bits
// that it returns with those of the reference.
template <class T>
void expect_equal_variants(
    const std::function<std::vector<T>(std::size_t n, std::size_t offset)>& body) {
  for (const std::size_t n : test::awkward_lengths()) {
    for (std::size_t offset = 0; offset < (n <= 130 ? 16U : 2U); ++offset) {
      std::vector<std::uint64_t> expected;
      {
        const WithVariant use("ref");
        expected = bits_of(body(n, offset));
      }
      for (const auto variant : kernels::available_variants()) {
        const WithVariant use(variant);
        ASSERT_EQ(bits_of(body(n, offset)), expected)
            << variant << " n=" << n << " offset=" << offset;
      }
    }
  }
}

std::vector<std::int64_t> awkward_integers(std::size_t n, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::int64_t> values(n);
  for (std::int64_t& value : values) {
    value = static_cast<std::int64_t>(random()) >> (random() % 64);
    if (random() % 8 == 0) value = std::numeric_limits<std::int64_t>::min();
    if (random() % 8 == 0) value = std::numeric_limits<std::int64_t>::max();
    if (random() % 8 == 0) value = (std::int64_t{1} << 53) + static_cast<int>(random() % 5) - 2;
  }
  return values;
}

TEST(Merge, AddsAndWrapsAlikeOnEveryVariant) {
  expect_equal_variants<std::int64_t>([](std::size_t n, std::size_t offset) {
    Placed<std::int64_t> other(awkward_integers(n, n + 5), offset + 3);
    Placed<std::int64_t> acc(awkward_integers(n, n), offset);
    kernels::merge_i64(other.span(), acc.span());
    EXPECT_TRUE(acc.guards_intact());
    return acc.values();
  });
  const std::vector<std::int64_t> other = {1, -2, std::int64_t{1} << 61};
  std::vector<std::int64_t> acc = {10, 20, std::int64_t{1} << 60};
  kernels::merge_i64(other, acc);
  EXPECT_EQ(acc, (std::vector<std::int64_t>{11, 18, 3 * (std::int64_t{1} << 60)}));
}

TEST(LaneMean, IsBitwiseEqualOnEveryVariant) {
  for (const double divisor : {1.0, 3.0, 0x1.8p61, 0x1.0p200, 0x1.0p-80, 1e-30}) {
    expect_equal_variants<float>([divisor](std::size_t n, std::size_t offset) {
      Placed<std::int64_t> sum(awkward_integers(n, n + 17), offset);
      Placed<float> mean(n, offset + 5);
      kernels::lane_mean_f32(sum.span(), divisor, mean.span());
      EXPECT_TRUE(mean.guards_intact());
      return mean.values();
    });
  }
}

TEST(LaneMean, DividesInDoubleAndRoundsToFloat) {
  constexpr std::int64_t one = 1;
  const std::vector<std::int64_t> sum = {
      0, 7, -7, 1, (one << 24) + 1, (one << 24) + 3, -(one << 62), (one << 53) + 1};
  const std::vector<float> expected = {
      0.0F, 7.0F, -7.0F, 1.0F, 0x1.0p24F, 0x1.000004p24F, -0x1.0p62F, 0x1.0p53F};
  for (const auto variant : kernels::available_variants()) {
    const WithVariant use(variant);
    std::vector<float> mean(sum.size());
    kernels::lane_mean_f32(sum, 1.0, mean);
    EXPECT_EQ(mean, expected) << variant;
    kernels::lane_mean_f32(sum, 3.0 * 0x1.0p20, mean);
    EXPECT_EQ(mean[1], static_cast<float>(7.0 / (3.0 * 0x1.0p20))) << variant;
  }
}

TEST(AddScaled, IsBitwiseEqualOnEveryVariant) {
  for (const double alpha : {1.0, -0.1, 1e-40, 0x1.0p100}) {
    expect_equal_variants<float>([alpha](std::size_t n, std::size_t offset) {
      Placed<float> base(test::awkward_floats(n, n), offset);
      Placed<float> x(test::awkward_floats(n, n + 1), offset + 7);
      Placed<float> out(n, offset + 2);
      kernels::add_scaled_f32(base.span(), alpha, x.span(), out.span());
      EXPECT_TRUE(out.guards_intact());
      return out.values();
    });
  }
}

TEST(AddScaled, RoundsTheProductBeforeTheSum) {
  for (const auto variant : kernels::available_variants()) {
    const WithVariant use(variant);
    const std::vector<float> x(21, 3.0F);
    std::vector<float> out(21);
    kernels::add_scaled_f32(std::vector<float>(21, 1.0F), 0.1, x, out);
    EXPECT_EQ(out, std::vector<float>(21, 1.3F)) << variant;
    // 3 · 0x1.5555555555555p-2 is 1 - 2^-54, a tie that rounds to 1: a fused operation would
    // leave -2^-54 here instead of nothing.
    kernels::add_scaled_f32(std::vector<float>(21, -1.0F), 0x1.5555555555555p-2, x, out);
    EXPECT_EQ(out, std::vector<float>(21, 0.0F)) << variant;
  }
}

TEST(AddScaled, MayWriteOntoEitherInput) {
  for (const auto variant : kernels::available_variants()) {
    const WithVariant use(variant);
    const auto base = test::awkward_floats(133, 1);
    const auto x = test::awkward_floats(133, 2);
    std::vector<float> expected(133);
    kernels::add_scaled_f32(base, 0.25, x, expected);
    auto onto_base = base;
    kernels::add_scaled_f32(onto_base, 0.25, x, onto_base);
    auto onto_x = x;
    kernels::add_scaled_f32(base, 0.25, onto_x, onto_x);
    EXPECT_EQ(bits_of(onto_base), bits_of(expected)) << variant;
    EXPECT_EQ(bits_of(onto_x), bits_of(expected)) << variant;
  }
}

TEST(Subtract, IsBitwiseEqualOnEveryVariant) {
  expect_equal_variants<float>([](std::size_t n, std::size_t offset) {
    Placed<float> y(test::awkward_floats(n, n + 3), offset + 1);
    Placed<float> x(test::awkward_floats(n, n + 4), offset);
    Placed<float> out(n, offset + 9);
    kernels::subtract_f32(y.span(), x.span(), out.span());
    EXPECT_TRUE(out.guards_intact());
    return out.values();
  });
}

TEST(Subtract, KeepsDenormalsAndSignsOfZero) {
  for (const auto variant : kernels::available_variants()) {
    const WithVariant use(variant);
    const std::vector<float> y(17, 0x1.000002p-126F);
    const std::vector<float> x(17, 0x1.0p-126F);
    std::vector<float> out(17);
    kernels::subtract_f32(y, x, out);
    EXPECT_EQ(out, std::vector<float>(17, 0x1.0p-149F)) << variant;
    kernels::subtract_f32(std::vector<float>(17, -0.0F), std::vector<float>(17, 0.0F), out);
    EXPECT_EQ(bits_of(out), bits_of(std::vector<float>(17, -0.0F))) << variant;
  }
}

std::vector<double> as_numbers(const kernels::VectorStats& stats) {
  return {stats.finite ? 1.0 : 0.0, static_cast<double>(stats.max_abs), stats.sum_squares};
}

TEST(Stats, IsBitwiseEqualOnEveryVariant) {
  expect_equal_variants<double>([](std::size_t n, std::size_t offset) {
    Placed<float> x(test::awkward_floats(n, 7 * n + offset), offset);
    return as_numbers(kernels::stats_f32(x.span()));
  });
}

// The docstring, transcribed.
TEST(Stats, SumsInSixteenInterleavedAccumulators) {
  for (const std::size_t n : {0U, 1U, 15U, 16U, 17U, 100U, 4099U}) {
    const auto x = test::awkward_floats(n, n + 50);
    double a[16] = {};
    float largest = 0.0F;
    for (std::size_t i = 0; i < n; ++i) {
      a[i % 16] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
      largest = std::max(largest, std::fabs(x[i]));
    }
    for (int j = 0; j < 8; ++j) a[j] += a[j + 8];
    for (int j = 0; j < 4; ++j) a[j] += a[j + 4];
    const double expected = (a[0] + a[2]) + (a[1] + a[3]);
    for (const auto variant : kernels::available_variants()) {
      const WithVariant use(variant);
      const auto stats = kernels::stats_f32(x);
      EXPECT_TRUE(stats.finite) << variant;
      EXPECT_EQ(stats.max_abs, largest) << variant << " n=" << n;
      EXPECT_EQ(stats.sum_squares, expected) << variant << " n=" << n;
    }
  }
}

TEST(Stats, KnowsTheExtremes) {
  constexpr float kMax = std::numeric_limits<float>::max();
  for (const auto variant : kernels::available_variants()) {
    const WithVariant use(variant);
    EXPECT_EQ(as_numbers(kernels::stats_f32({})), (std::vector<double>{1.0, 0.0, 0.0}));
    EXPECT_EQ(as_numbers(kernels::stats_f32(std::vector<float>{3.0F, -4.0F})),
              (std::vector<double>{1.0, 4.0, 25.0}));
    const auto zeros = kernels::stats_f32(std::vector<float>(33, -0.0F));
    EXPECT_FALSE(std::signbit(zeros.max_abs)) << variant;
    const auto tiny = kernels::stats_f32(std::vector<float>(1, -0x1.0p-149F));
    EXPECT_EQ(as_numbers(tiny), (std::vector<double>{1.0, 0x1.0p-149, 0x1.0p-298})) << variant;
    const auto huge = kernels::stats_f32(std::vector<float>(40, -kMax));
    EXPECT_TRUE(huge.finite) << variant;
    EXPECT_EQ(huge.max_abs, kMax) << variant;
    EXPECT_DOUBLE_EQ(huge.sum_squares,
                     40.0 * static_cast<double>(kMax) * static_cast<double>(kMax));
  }
}

TEST(Stats, FindsOneBadElementAtAnyPlace) {
  const float signalling = std::bit_cast<float>(0x7F800001U);
  for (const auto variant : kernels::available_variants()) {
    const WithVariant use(variant);
    for (const float bad : {kNan, -kNan, signalling, kInfinity, -kInfinity}) {
      for (std::size_t n = 1; n <= 67; ++n) {
        std::vector<float> x(n, 0.5F);
        for (std::size_t at = 0; at < n; ++at) {
          x[at] = bad;
          ASSERT_EQ(as_numbers(kernels::stats_f32(x)), (std::vector<double>{0.0, 0.0, 0.0}))
              << variant << " n=" << n << " at " << at;
          x[at] = 0.5F;
        }
      }
    }
  }
}

TEST(KernelsDeathTest, RefuseSizesThatDiffer) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  std::vector<float> three(3);
  std::vector<float> four(4);
  std::vector<std::int64_t> sums(3);
  std::vector<std::int64_t> more_sums(4);
  EXPECT_DEATH(kernels::merge_i64(more_sums, sums), "merge_i64: sizes differ");
  EXPECT_DEATH(kernels::lane_mean_f32(sums, 1.0, four), "lane_mean_f32: sizes differ");
  EXPECT_DEATH(kernels::add_scaled_f32(three, 1.0, four, three), "add_scaled_f32: sizes differ");
  EXPECT_DEATH(kernels::add_scaled_f32(four, 1.0, three, three), "add_scaled_f32: sizes differ");
  EXPECT_DEATH(kernels::subtract_f32(three, four, three), "subtract_f32: sizes differ");
  EXPECT_DEATH(kernels::subtract_f32(three, three, four), "subtract_f32: sizes differ");
}

}  // namespace
}  // namespace chorus
