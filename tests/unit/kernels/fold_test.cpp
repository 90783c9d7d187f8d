#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "chorus/kernels/kernels.hpp"
#include "tests/support/exact_rounding.hpp"
#include "tests/unit/kernels/variants.hpp"

namespace chorus {
namespace {

using kernels::FoldInput;
using test::WithVariant;

// One accumulator, one contribution.
std::int64_t fold_one(float x, double multiplier, std::int64_t acc = 0) {
  const FoldInput input{.x = &x, .multiplier = multiplier};
  kernels::fold_f32({&input, 1}, {&acc, 1});
  return acc;
}

// The same value at every place of a vector and of its tail.
std::vector<std::int64_t> fold_many(float x, double multiplier, std::size_t n) {
  const std::vector<float> xs(n, x);
  std::vector<std::int64_t> acc(n, 0);
  const FoldInput input{.x = xs.data(), .multiplier = multiplier};
  kernels::fold_f32({&input, 1}, acc);
  return acc;
}

struct Case {
  float x;
  double multiplier;
  std::int64_t expected;
};

// Rounded by hand: ties go to the even integer, and nothing is lost below 2^62.
const std::vector<Case>& known_cases() {
  constexpr std::int64_t one = 1;
  static const std::vector<Case> cases = {
      {0.0F, 1.0, 0},
      {-0.0F, 1.0, 0},
      {0.5F, 1.0, 0},
      {-0.5F, 1.0, 0},
      {1.5F, 1.0, 2},
      {-1.5F, 1.0, -2},
      {2.5F, 1.0, 2},
      {-2.5F, 1.0, -2},
      {0.49999997F, 1.0, 0},
      {0.50000006F, 1.0, 1},
      {1.0F, 0x1.0p31, one << 31},
      {1.0F, 0x1.0p31 + 0.5, one << 31},
      {1.0F, 0x1.0p31 + 1.5, (one << 31) + 2},
      {-1.0F, 0x1.0p31 + 0.5, -(one << 31)},
      {3.0F, 0x1.0p31, 3 * (one << 31)},
      {-3.0F, 0x1.0p31, -3 * (one << 31)},
      {5.0F, 0x1.0p31, 5 * (one << 31)},
      {1.0F, 0x1.0p32 - 0.5, one << 32},
      {1.0F, 0x1.0p32 - 1.5, (one << 32) - 2},
      {1.0F, 0x1.0p51 - 0.5, one << 51},
      {1.0F, 0x1.0p51 + 0.5, one << 51},
      {1.0F, 0x1.0p51 + 1.5, (one << 51) + 2},
      {-1.0F, 0x1.0p51 + 1.5, -(one << 51) - 2},
      {1.0F, 0x1.0p52 + 1.0, (one << 52) + 1},
      {1.0F, 0x1.0p53 - 1.0, (one << 53) - 1},
      {1.0F, 0x1.0p61, one << 61},
      {-1.0F, 0x1.0p61, -(one << 61)},
      {1.0F, 0x1.fffffffffffffp61, (one << 62) - (one << 9)},
      {-1.0F, 0x1.fffffffffffffp61, -(one << 62) + (one << 9)},
      {0x1.0p-149F, 0x1.0p210, one << 61},
      {0x1.0p-149F, 1.0, 0},
      {0x1.fffffep127F, 0x1.0p-70, 0x1FFFFFE * (one << 33)},
  };
  return cases;
}

TEST(Fold, RoundsTiesToEvenAndKeepsEveryBitBelowTwoToThe62) {
  for (const auto variant : kernels::available_variants()) {
    const WithVariant use(variant);
    for (const Case& c : known_cases()) {
      SCOPED_TRACE(testing::Message() << variant << ": " << c.x << " * " << c.multiplier);
      EXPECT_EQ(fold_one(c.x, c.multiplier), c.expected);
      EXPECT_EQ(fold_many(c.x, c.multiplier, 19), std::vector<std::int64_t>(19, c.expected));
    }
  }
}

// Float significands of 24 bits times multipliers of 29 bits are exact doubles, so integers can say
// what the sum must be without any floating-point arithmetic.
TEST(Fold, AgreesWithIntegerArithmetic) {
  constexpr std::size_t n = 1000;
  std::mt19937_64 random(7);
  for (int trial = 0; trial < 60; ++trial) {
    std::array<std::vector<float>, kernels::kFoldInputsMax> xs;
    std::array<FoldInput, kernels::kFoldInputsMax> inputs;
    std::vector<std::int64_t> expected(n, trial);
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      const auto factor = static_cast<std::int64_t>(random() % (1U << 29U) + 1);
      const int shift = static_cast<int>(random() % 65) - 60;  // products of 53 bits reach 2^57
      const int float_exponent = -static_cast<int>(random() % 60);
      for (std::size_t i = 0; i < n; ++i) {
        const auto significand = static_cast<std::int64_t>(random() % (1U << 25U)) - (1 << 24);
        xs[k].push_back(std::ldexp(static_cast<float>(significand), float_exponent));
        expected[i] += test::rounded(test::Wide{significand} * factor, shift);
      }
      inputs[k] = {.x = xs[k].data(),
                   .multiplier = std::ldexp(static_cast<double>(factor), shift - float_exponent)};
    }
    for (const auto variant : kernels::available_variants()) {
      const WithVariant use(variant);
      std::vector<std::int64_t> acc(n, trial);
      kernels::fold_f32(inputs, acc);
      EXPECT_EQ(acc, expected) << variant << ", trial " << trial;
    }
  }
}

// Multipliers from "everything rounds to zero" to "products just below 2^62".
double multiplier_for(std::span<const float> xs, std::uint64_t seed) {
  float largest = 0x1.0p-149F;
  for (const float x : xs) largest = std::max(largest, std::fabs(x));
  std::mt19937_64 random(seed);
  const double mantissa = 0.5 + static_cast<double>(random() >> 11U) * 0x1.0p-54;
  return std::ldexp(mantissa, static_cast<int>(random() % 66) - 4) / static_cast<double>(largest);
}

TEST(Fold, IsBitwiseEqualOnEveryVariantLengthCountAndAlignment) {
  for (const std::size_t n : test::awkward_lengths()) {
    for (std::size_t offset = 0; offset < (n <= 130 ? 16U : 2U); ++offset) {
      const std::size_t count = (n + offset) % kernels::kFoldInputsMax + 1;
      std::vector<test::Placed<float>> xs;
      std::vector<FoldInput> inputs;
      for (std::size_t k = 0; k < count; ++k) {
        const auto values = test::awkward_floats(n, 1000 * n + 10 * offset + k);
        xs.emplace_back(values, offset + k);
        inputs.push_back({.x = nullptr, .multiplier = multiplier_for(values, 31 * n + k)});
      }
      for (std::size_t k = 0; k < count; ++k) inputs[k].x = xs[k].span().data();
      std::vector<std::int64_t> expected;
      for (const std::string_view variant : {"ref", "avx2", "avx512", "neon"}) {
        if (!std::ranges::count(kernels::available_variants(), variant)) continue;
        const WithVariant use(variant);
        test::Placed<std::int64_t> acc(std::vector<std::int64_t>(n, 123456789), offset);
        kernels::fold_f32(inputs, acc.span());
        EXPECT_TRUE(acc.guards_intact()) << variant << " n=" << n << " offset=" << offset;
        if (variant == "ref") expected = acc.values();
        ASSERT_EQ(acc.values(), expected) << variant << " n=" << n << " offset=" << offset;
      }
    }
  }
}

TEST(Fold, GivesTheSameSumInAnyOrderAndGrouping) {
  constexpr std::size_t n = 517;
  constexpr std::size_t updates = 24;
  std::vector<std::vector<float>> xs;
  std::vector<FoldInput> inputs;
  for (std::size_t k = 0; k < updates; ++k) xs.push_back(test::awkward_floats(n, 90 + k));
  for (const auto& x : xs) inputs.push_back({.x = x.data(), .multiplier = 0x1.8p30});
  std::vector<std::int64_t> one_by_one(n, 0);
  for (const FoldInput& input : inputs) kernels::fold_f32({&input, 1}, one_by_one);

  std::mt19937_64 random(3);
  for (int trial = 0; trial < 20; ++trial) {
    std::shuffle(inputs.begin(), inputs.end(), random);
    std::vector<std::int64_t> left(n, 0);
    std::vector<std::int64_t> right(n, 0);
    for (std::size_t k = 0; k < updates;) {
      const std::size_t group =
          std::min<std::size_t>(updates - k, random() % kernels::kFoldInputsMax + 1);
      kernels::fold_f32(std::span(inputs).subspan(k, group), random() % 2 == 0 ? left : right);
      k += group;
    }
    kernels::merge_i64(left, right);
    EXPECT_EQ(right, one_by_one) << "trial " << trial;
  }
}

TEST(FoldDeathTest, RefusesNoInputAndOneMoreThanItsLimit) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const float x = 1.0F;
  const std::vector<FoldInput> too_many(kernels::kFoldInputsMax + 1, {.x = &x, .multiplier = 1.0});
  std::int64_t acc = 0;
  EXPECT_DEATH(kernels::fold_f32({}, {&acc, 1}), "1 to 32 inputs");
  EXPECT_DEATH(kernels::fold_f32(too_many, {&acc, 1}), "1 to 32 inputs");
}

}  // namespace
}  // namespace chorus
