// Trimmed means and medians of columns, and inner products of all pairs of rows.
#include "chorus/kernels/robust.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "common/tensor/aligned_buffer.hpp"
#include "tests/unit/kernels/variants.hpp"

namespace chorus {
namespace {

using kernels::ColumnOrder;
using kernels::Rows;
using tensor::AlignedBuffer;
using tensor::Fill;
using test::WithVariant;

std::vector<float> trimmed(const Rows& x, std::size_t trim) {
  const ColumnOrder order(x.rows, trim);
  AlignedBuffer<float> scratch(order.scratch_floats());
  std::vector<float> mean(x.columns);
  kernels::trimmed_mean_f32(x, order, scratch.span(), mean);
  return mean;
}

std::vector<float> trimmed(const std::vector<float>& x, std::size_t rows, std::size_t trim) {
  const std::size_t columns = x.size() / rows;
  return trimmed(Rows{x.data(), rows, columns, columns}, trim);
}

std::vector<float> median(const std::vector<float>& x, std::size_t rows) {
  return trimmed(x, rows, kernels::median_trim(rows));
}

// x[5][3]; numpy.median, scipy.stats.trim_mean(0.2) and numpy.mean along axis 0.
TEST(Robust, AgreesWithNumbersFromElsewhere) {
  const std::vector<float> x{4, -1, 2.5F, 1, 0, 2.5F, 3, -8, 2, 100, 5, -2.5F, 2, 3, 0};
  for (const auto variant : kernels::available_variants()) {
    const WithVariant use(variant);
    EXPECT_EQ(median(x, 5), (std::vector<float>{3, 0, 2})) << variant;
    EXPECT_EQ(trimmed(x, 5, 1), (std::vector<float>{3, 2.0F / 3.0F, 1.5F})) << variant;
    EXPECT_EQ(trimmed(x, 5, 0), (std::vector<float>{22, -0.2F, 0.9F})) << variant;
    const std::vector<float> four(x.begin(), x.begin() + 12);
    EXPECT_EQ(median(four, 4), (std::vector<float>{3.5F, -0.5F, 2.25F})) << variant;
    EXPECT_EQ(median({7, -0.0F}, 1), (std::vector<float>{7, 0})) << variant;
  }
}

TEST(Robust, ZerosOfBothSignsAreOneValue) {
  for (const auto variant : kernels::available_variants()) {
    const WithVariant use(variant);
    for (const auto& x : {std::vector<float>{-0.0F, 0.0F, -0.0F},
                          std::vector<float>{0.0F, -0.0F, 0.0F},
                          std::vector<float>{-0.0F, -0.0F, -0.0F}}) {
      EXPECT_EQ(test::bits_of(median(x, 3)), test::bits_of(std::vector<float>{0.0F})) << variant;
    }
  }
}

// The reference sorts; the others go through the network.
TEST(Robust, IsBitwiseEqualOnEveryVariantForAllCountsOfRows) {
  for (const std::size_t rows :
       {1U, 2U, 3U, 4U, 5U, 7U, 8U, 9U, 15U, 16U, 17U, 31U, 33U, 50U, 64U, 100U, 257U}) {
    for (const std::size_t columns : {0U, 1U, 31U, 32U, 33U, 77U}) {
      const std::size_t stride = columns + rows % 3;
      const auto x = test::awkward_floats(rows * stride, 100 * rows + columns);
      for (const std::size_t trim : {std::size_t{0}, rows / 10, kernels::median_trim(rows)}) {
        std::vector<std::uint64_t> expected;
        for (const std::string_view variant : {"ref", "avx2", "avx512", "neon"}) {
          if (!std::ranges::count(kernels::available_variants(), variant)) continue;
          const WithVariant use(variant);
          const auto bits = test::bits_of(trimmed(Rows{x.data(), rows, columns, stride}, trim));
          if (variant == "ref") expected = bits;
          ASSERT_EQ(bits, expected) << variant << " " << rows << "x" << columns << " trim " << trim;
        }
      }
    }
  }
}

TEST(Robust, TheOrderOfRowsDoesNotMatter) {
  constexpr std::size_t kRows = 23;
  constexpr std::size_t kColumns = 70;
  const auto x = test::awkward_floats(kRows * kColumns, 5);
  std::vector<std::size_t> order(kRows);
  std::iota(order.begin(), order.end(), 0U);
  std::mt19937_64 random(6);
  for (int trial = 0; trial < 10; ++trial) {
    std::shuffle(order.begin(), order.end(), random);
    std::vector<float> shuffled;
    for (const std::size_t row : order) {
      shuffled.insert(shuffled.end(),
                      x.begin() + static_cast<long>(row * kColumns),
                      x.begin() + static_cast<long>((row + 1) * kColumns));
    }
    for (const std::size_t trim : {0U, 3U, 11U}) {
      EXPECT_EQ(test::bits_of(trimmed(shuffled, kRows, trim)),
                test::bits_of(trimmed(x, kRows, trim)));
    }
  }
}

// Every network of comparators that sorts all columns of zeros and ones sorts everything.
TEST(ColumnOrder, SortsAllColumnsOfZerosAndOnes) {
  constexpr std::size_t kRows = 13;
  for (const std::size_t trim : {0U, 1U, 4U, 6U}) {
    const ColumnOrder order(kRows, trim);
    for (std::uint32_t ones = 0; ones < (1U << kRows); ++ones) {
      std::uint32_t column = ones;
      for (const kernels::Exchange& step : order.exchanges()) {
        ASSERT_LT(step.low, step.high);
        const bool wrong = (column >> step.low & 1U) > (column >> step.high & 1U);
        if (wrong) column ^= (1U << step.low) | (1U << step.high);
      }
      const auto zeros = kRows - static_cast<std::size_t>(std::popcount(ones));
      for (std::size_t row = trim; row < kRows - trim; ++row) {
        ASSERT_EQ(column >> row & 1U, row >= zeros ? 1U : 0U) << ones << " trim " << trim;
      }
    }
  }
}

TEST(ColumnOrder, TakesUpToTheLimitOfRows) {
  EXPECT_EQ(ColumnOrder(1, 0).exchanges().size(), 0U);
  EXPECT_EQ(ColumnOrder(50, 24).exchanges().size(), 141U);
  constexpr std::size_t kMost = kernels::kRowsMax;
  std::vector<float> x(kMost);
  std::iota(x.rbegin(), x.rend(), 1.0F);
  EXPECT_EQ(median(x, kMost), std::vector<float>{0.5F * (kMost + 1)});
}

std::vector<double> gram(const Rows& x, std::size_t cut) {
  AlignedBuffer<double> sums(kernels::gram_doubles(x.rows), Fill::zero);
  AlignedBuffer<double> scratch(x.rows * kernels::kGramScratch);
  for (std::size_t first = 0; first < x.columns; first += cut) {
    const Rows part{x.x + first, x.rows, std::min(cut, x.columns - first), x.stride};
    kernels::gram_add_f32(part, scratch.span(), sums.span());
  }
  std::vector<double> all(x.rows * x.rows);
  kernels::gram_finish(x.rows, sums.span(), all);
  for (const double sum : sums) EXPECT_EQ(sum, 0.0);
  return all;
}

// Small whole numbers: every sum is exact, whatever its order.
TEST(Gram, IsTheProductOfAllPairs) {
  constexpr std::size_t kRows = 7;
  constexpr std::size_t kColumns = 601;
  std::mt19937_64 random(8);
  std::vector<float> x(kRows * kColumns);
  for (float& value : x) value = static_cast<float>(static_cast<int>(random() % 2001) - 1000);
  for (const auto variant : kernels::available_variants()) {
    const WithVariant use(variant);
    const auto all = gram(Rows{x.data(), kRows, kColumns, kColumns}, kColumns);
    for (std::size_t a = 0; a < kRows; ++a) {
      for (std::size_t b = 0; b < kRows; ++b) {
        double expected = 0.0;
        for (std::size_t i = 0; i < kColumns; ++i) {
          expected += static_cast<double>(x[a * kColumns + i] * x[b * kColumns + i]);
        }
        EXPECT_EQ(all[a * kRows + b], expected) << variant;
      }
    }
  }
}

TEST(Gram, IsBitwiseEqualOnEveryVariantWhereverItIsCut) {
  for (const std::size_t rows : {1U, 2U, 3U, 4U, 5U, 6U, 8U, 11U, 13U, 50U}) {
    for (const std::size_t columns : {1U, 8U, 255U, 256U, 257U, 1003U}) {
      const auto x = test::awkward_floats(rows * (columns + 1), rows + columns);
      const Rows all{x.data(), rows, columns, columns + 1};
      std::vector<std::uint64_t> expected;
      for (const std::string_view variant : {"ref", "avx2", "avx512", "neon"}) {
        if (!std::ranges::count(kernels::available_variants(), variant)) continue;
        const WithVariant use(variant);
        for (const std::size_t cut : {std::size_t{1024}, std::size_t{8}, std::size_t{264}}) {
          const auto bits = test::bits_of(gram(all, cut));
          if (expected.empty()) expected = bits;
          ASSERT_EQ(bits, expected) << variant << " " << rows << "x" << columns << " cut " << cut;
        }
      }
    }
  }
}

TEST(RobustDeathTest, RefusesWhatDoesNotFit) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_DEATH(ColumnOrder(kernels::kRowsMax + 1, 0), "kRowsMax");
  EXPECT_DEATH(ColumnOrder(0, 0), "kRowsMax");
  EXPECT_DEATH(ColumnOrder(4, 2), "nothing is left");
  const std::vector<float> x(6);
  EXPECT_DEATH(trimmed(Rows{x.data(), 2, 3, 2}, 0), "rows overlap");
}

}  // namespace
}  // namespace chorus
