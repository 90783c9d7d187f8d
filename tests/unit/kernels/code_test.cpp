#include <array>
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "chorus/kernels/codes.hpp"
#include "chorus/kernels/kernels.hpp"
#include "common/base/rng.hpp"
#include "tests/unit/kernels/variants.hpp"

namespace chorus {
namespace {

using kernels::Draws;
using kernels::Grid;
using test::awkward_floats;
using test::awkward_lengths;
using test::bits_of;
using test::Placed;
using test::WithVariant;

/// Inputs of a fold: some of a pass, a whole one, and more.
constexpr std::array<std::size_t, 7> kCounts{1, 2, 3, 7, 8, 9, kernels::kFoldInputsMax};

constexpr std::uint64_t kKey = 0x0123456789ABCDEFULL;

std::uint32_t word_of(std::uint64_t key, std::uint64_t block, std::size_t word) {
  const auto words = philox4x32(
      {static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32U), 0, 0},
      {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32U)});
  return words.at(word);
}

/// The definition of Draws.
float draw(const Draws& draws, std::uint64_t i) {
  const std::uint64_t at = draws.first + i;
  return static_cast<float>(word_of(draws.key, at / 64 * 16 + at % 16, at / 16 % 4) >> 8U) *
         0x1.0p-24F;
}

std::vector<std::uint8_t> some_codes(std::size_t n, unsigned bits) {
  std::vector<std::uint8_t> codes(n);
  for (std::size_t i = 0; i < n; ++i) {
    codes[i] = static_cast<std::uint8_t>((i * 37 + i / 3) & ((1U << bits) - 1U));
  }
  return codes;
}

/// Everything the kernels make of a vector, as bits.
std::vector<std::uint64_t> results(std::string_view variant, std::size_t n, std::size_t offset) {
  const WithVariant with(variant);
  Placed<float> x(awkward_floats(n, n + 1), offset);
  std::vector<std::uint64_t> all;
  const auto keep = [&all](const auto& values) {
    const auto bits = bits_of(values);
    all.insert(all.end(), bits.begin(), bits.end());
  };
  const auto keep_codes = [&all](std::span<const std::uint8_t> codes) {
    all.insert(all.end(), codes.begin(), codes.end());
  };

  const kernels::ValueRange range = kernels::range_f32(x.span());
  keep(std::vector<float>{range.low == 0.0F ? 0.0F : range.low,
                          range.high == 0.0F ? 0.0F : range.high});
  keep(std::vector<double>{kernels::sum_magnitudes_f32(x.span())});

  Placed<std::uint8_t> codes(n, offset);
  const float width = range.high - range.low;
  for (const std::uint32_t levels : {1U, 7U, 255U}) {
    const Grid grid{range.low, width > 0 ? static_cast<float>(levels) / width : 0.0F, levels};
    kernels::quantise_f32(x.span(), grid, {kKey, 128}, codes.span());
    keep_codes(codes.span());
  }
  const std::array<float, 3> bounds{-0.5F, 0.0F, 0.75F};
  kernels::bin_f32(x.span(), 0.5F, bounds, codes.span());
  keep_codes(codes.span());
  const std::array<float, 4> table{-1.5F, -0.25F, 0.25F, 1.5F};
  Placed<float> values(n, offset);
  kernels::look_up_f32(codes.span(), table, values.span());
  keep(values.values());

  for (unsigned bits = 1; bits <= 8; ++bits) {
    Placed<std::uint8_t> packed(kernels::packed_bytes(n, bits), offset);
    kernels::pack_codes(some_codes(n, bits), bits, packed.span());
    keep_codes(packed.span());
    kernels::unpack_codes(packed.span(), bits, codes.span());
    keep_codes(codes.span());
    EXPECT_EQ(codes.values(), some_codes(n, bits)) << bits;
    EXPECT_TRUE(packed.guards_intact()) << bits;
  }

  std::vector<std::uint16_t> halves(n);
  kernels::to_half(x.span(), halves);
  kernels::from_half(halves, values.span());
  keep(values.values());
  kernels::to_bfloat(x.span(), halves);
  kernels::from_bfloat(halves, values.span());
  keep(values.values());

  std::vector<std::uint32_t> indices(n);
  std::vector<float> found_values(n);
  const std::size_t found = kernels::elements_above(x.span(), 0.5F, indices, found_values);
  for (std::size_t i = 0; i < found; ++i) all.push_back(indices[i]);
  found_values.resize(found);
  keep(found_values);

  std::vector<std::int64_t> lane(n, -7);
  const std::vector<std::uint8_t> eight = some_codes(n, 8);
  for (const std::size_t count : kCounts) {
    std::vector<kernels::FoldCodes> inputs;
    for (std::size_t k = 0; k < count; ++k) {
      const double unit = 1.0e9 / 3.0 + 0.5 * static_cast<double>(k % 3);  // some of them whole
      inputs.push_back({eight.data(), -0x1.8p40 * static_cast<double>(k), unit});
    }
    kernels::fold_codes(8, inputs, lane);
  }
  // Packed, each in memory of its own, so that a sanitizer sees a read beyond it.
  for (unsigned bits = 1; bits <= 7; ++bits) {
    std::vector<std::vector<std::uint8_t>> packed;
    std::vector<std::vector<float>> levels;
    for (std::size_t k = 0; k < kernels::kFoldInputsMax; ++k) {
      std::vector<std::uint8_t> own = some_codes(n + k, bits);
      own.erase(own.begin(), own.begin() + static_cast<std::ptrdiff_t>(k));
      packed.emplace_back(kernels::packed_bytes(n, bits));
      packed.back().shrink_to_fit();
      kernels::pack_codes(own, bits, packed.back());
      levels.push_back(awkward_floats(std::size_t{1} << bits, 9 + k));
    }
    for (const std::size_t count : kCounts) {
      std::vector<kernels::FoldCodes> lines;
      std::vector<kernels::FoldCodes> looked_up;
      for (std::size_t k = 0; k < count; ++k) {
        const auto number = static_cast<double>(k + 1);
        lines.push_back({packed[k].data(), -0x1.8p40 * number, 1.0e9 / 3.0 * number});
        looked_up.push_back({packed[k].data(), 0.0, 0x1.8p20 / number, levels[k].data()});
      }
      kernels::fold_codes(bits, lines, lane);
      if (bits <= 4) kernels::fold_codes(bits, looked_up, lane);
    }
  }
  for (const std::int64_t sum : lane) all.push_back(static_cast<std::uint64_t>(sum));

  kernels::flip_signs_f32(kKey, x.span());
  keep(x.values());
  EXPECT_TRUE(x.guards_intact() && codes.guards_intact() && values.guards_intact());
  return all;
}

TEST(Codes, EveryVariantGivesTheBitsOfTheReference) {
  for (const std::string_view variant : kernels::available_variants()) {
    for (const std::size_t n : awkward_lengths()) {
      ASSERT_EQ(results(variant, n, n % 16), results("ref", n, 0)) << variant << " " << n;
    }
  }
}

TEST(Codes, WholeNumbersOfUnitsAreAddedExactly) {
  // From one to a whole pass of them and beyond what 52 bits hold, beside one that is not whole.
  const std::vector<double> units{1.0, 0x1.0p16 + 1, 0x1.fffffffffffp43, 0x1.0p44, 0x1.8p45, 2.5};
  for (const std::string_view variant : kernels::available_variants()) {
    ASSERT_TRUE(kernels::select_variant(variant));
    for (const std::size_t n : awkward_lengths()) {
      const std::vector<std::uint8_t> codes = some_codes(n, 8);
      std::vector<std::int64_t> lane(n, 1000);
      std::vector<std::int64_t> expected = lane;
      std::vector<kernels::FoldCodes> inputs;
      for (std::size_t k = 0; k < kernels::kFoldInputsMax; ++k) {
        const double unit = units[k % units.size()];
        const double base = std::nearbyint(-127.0 * unit) - static_cast<double>(k);
        inputs.push_back({codes.data(), base, unit});
        for (std::size_t i = 0; i < n; ++i) {
          const long double addend =
              static_cast<long double>(base) + static_cast<long double>(unit) * codes[i];
          expected[i] += static_cast<std::int64_t>(std::nearbyint(addend));
        }
      }
      kernels::fold_codes(8, inputs, lane);
      ASSERT_EQ(lane, expected) << variant << " " << n;
    }
  }
  ASSERT_TRUE(kernels::select_variant(kernels::available_variants().front()));
}

TEST(Codes, QuantiseIsTheFormula) {
  const std::vector<float> x = awkward_floats(1000, 3);
  const kernels::ValueRange range = kernels::range_f32(x);
  const Grid grid{range.low, 15.0F / (range.high - range.low), 15};
  const Draws draws{kKey, 640};
  std::vector<std::uint8_t> codes(x.size());
  kernels::quantise_f32(x, grid, draws, codes);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float u = (x[i] - grid.low) * grid.per_step;
    const float up = draw(draws, i) < u - std::floor(u) ? 1.0F : 0.0F;
    EXPECT_EQ(static_cast<float>(codes[i]), std::min(std::floor(u) + up, 15.0F)) << i;
  }
  EXPECT_EQ(*std::max_element(codes.begin(), codes.end()), 15);
}

TEST(Codes, APartOfAStreamIsThatPart) {
  const std::vector<float> x(4096, 0.5F);
  std::vector<std::uint8_t> whole(x.size());
  kernels::quantise_f32(x, {0.0F, 1.0F, 1}, {kKey, 0}, whole);
  std::vector<std::uint8_t> part(1000);
  kernels::quantise_f32(std::span(x).first(1000), {0.0F, 1.0F, 1}, {kKey, 1024}, part);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + 1024));
  const auto ones = std::count(whole.begin(), whole.end(), std::uint8_t{1});
  EXPECT_NEAR(static_cast<double>(ones), 2048.0, 4 * 32.0);
}

TEST(Codes, AValueOnTheEdgeOfTheGridStaysOnIt) {
  const std::vector<float> x{1.0F, -0x1.0p-30F, 1.0F + 0x1.0p-20F};
  std::vector<std::uint8_t> codes(3);
  kernels::quantise_f32(x, {0.0F, 255.0F, 255}, {kKey, 0}, codes);
  EXPECT_EQ(codes, (std::vector<std::uint8_t>{255, 0, 255}));
}

TEST(Codes, PacksFromTheLowestBit) {
  const auto packed = [](const std::vector<std::uint8_t>& codes, unsigned bits) {
    std::vector<std::uint8_t> bytes(kernels::packed_bytes(codes.size(), bits));
    kernels::pack_codes(codes, bits, bytes);
    return bytes;
  };
  EXPECT_EQ(packed({7, 0, 15, 4}, 4), (std::vector<std::uint8_t>{0x07, 0x4F}));
  EXPECT_EQ(packed({1, 2, 3, 4, 5}, 3), (std::vector<std::uint8_t>{0xD1, 0x58}));
  EXPECT_EQ(packed({1, 1, 0, 1, 1}, 1), (std::vector<std::uint8_t>{0x1B}));
  EXPECT_EQ(packed({}, 5), std::vector<std::uint8_t>{});
}

/// What a half means, from its definition.
double half_value(std::uint16_t half) {
  const int exponent = (half >> 10U) & 0x1F;
  const double mantissa = static_cast<double>(half & 0x3FFU);
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024.0 + mantissa, exponent - 25);
  return (half & 0x8000U) != 0 ? -magnitude : magnitude;
}

TEST(Codes, EveryHalfAndEveryTieBetweenHalves) {
  for (std::uint32_t bits = 0; bits < 0x7C00U; ++bits) {
    for (const std::uint32_t sign : {0U, 0x8000U}) {
      const std::vector<std::uint16_t> half{static_cast<std::uint16_t>(bits | sign)};
      std::vector<float> x(1);
      kernels::from_half(half, x);
      ASSERT_EQ(static_cast<double>(x[0]), half_value(half[0])) << bits;
      const double next = bits + 1 == 0x7C00U
                              ? std::copysign(65536.0, static_cast<double>(x[0]))
                              : half_value(static_cast<std::uint16_t>((bits + 1) | sign));
      const float tie = static_cast<float>((static_cast<double>(x[0]) + next) / 2);
      const std::vector<float> around{
          x[0], std::nextafterf(tie, 0.0F), tie, std::nextafterf(tie, tie * 2.0F)};
      std::vector<std::uint16_t> made(around.size());
      kernels::to_half(around, made);
      const auto upper = static_cast<std::uint16_t>(half[0] + 1);
      const std::uint16_t even = bits % 2 == 0 ? half[0] : upper;
      ASSERT_EQ(made, (std::vector<std::uint16_t>{half[0], half[0], even, upper})) << bits;
    }
  }
  std::vector<std::uint16_t> made(3);
  kernels::to_half(std::vector<float>{65536.0F, -3.0e38F, INFINITY}, made);
  EXPECT_EQ(made, (std::vector<std::uint16_t>{0x7C00, 0xFC00, 0x7C00}));
  std::vector<float> back(1);
  kernels::from_half(std::vector<std::uint16_t>{0xFC00}, back);
  EXPECT_EQ(back[0], -INFINITY);
}

TEST(Codes, BfloatRoundsToEven) {
  const std::vector<float> x{1.0F, 1.0F + 0x1.0p-8F, 1.0F + 0x1.8p-7F, -1.0F - 0x1.02p-8F, 3.4e38F};
  std::vector<std::uint16_t> made(x.size());
  kernels::to_bfloat(x, made);
  EXPECT_EQ(made, (std::vector<std::uint16_t>{0x3F80, 0x3F80, 0x3F82, 0xBF81, 0x7F80}));
}

TEST(Codes, HadamardIsTheMatrix) {
  for (std::size_t n = 1; n <= 1024; n *= 2) {
    std::vector<float> x(n);
    for (std::size_t i = 0; i < n; ++i)
      x[i] = static_cast<float>(static_cast<int>(i * 29 % 61) - 30);
    const std::vector<float> before = x;
    kernels::hadamard_f32(x);
    for (std::size_t row = 0; row < n; ++row) {
      float sum = 0.0F;  // whole numbers: exact
      for (std::size_t i = 0; i < n; ++i) {
        sum += std::popcount(row & i) % 2 == 0 ? before[i] : -before[i];
      }
      ASSERT_EQ(x[row], sum) << n << " " << row;
    }
  }
}

TEST(Codes, HadamardHasTheSameBitsEverywhereAndTwiceIsNTimes) {
  for (const std::size_t n : {8UL, 16UL, 2048UL, 4096UL, 8192UL, 65536UL, 1UL << 18U}) {
    std::vector<float> x(n);
    for (std::size_t i = 0; i < n; ++i) x[i] = std::sin(static_cast<float>(i) * 0.37F);
    std::vector<std::uint64_t> expected;
    for (const std::string_view variant : kernels::available_variants()) {
      const WithVariant with(variant);
      std::vector<float> once = x;
      kernels::hadamard_f32(once);
      if (expected.empty()) expected = bits_of(once);
      ASSERT_EQ(bits_of(once), expected) << variant << " " << n;
      kernels::hadamard_f32(once);
      for (std::size_t i = 0; i < n; i += 97) {
        ASSERT_NEAR(once[i] / static_cast<float>(n), x[i], 1e-5) << variant << " " << n;
      }
    }
  }
}

TEST(Codes, SignsAreTheBitsOfTheStream) {
  std::vector<float> x(3000, 1.0F);
  kernels::flip_signs_f32(kKey, x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const bool kept = (word_of(kKey, i / 128, i % 128 / 32) >> (i % 32) & 1U) != 0;
    ASSERT_EQ(x[i], kept ? 1.0F : -1.0F) << i;
  }
}

TEST(Codes, ElementsAboveCountsWhatFindsNoRoom) {
  const std::vector<float> x{0.5F, -2.0F, 0.0F, 2.0F, -0.5F, 3.0F};
  std::vector<std::uint32_t> indices(2);
  std::vector<float> values(2);
  EXPECT_EQ(kernels::elements_above(x, 2.0F, indices, values), 3U);
  EXPECT_EQ(indices, (std::vector<std::uint32_t>{1, 3}));
  EXPECT_EQ(values, (std::vector<float>{-2.0F, 2.0F}));
}

}  // namespace
}  // namespace chorus
