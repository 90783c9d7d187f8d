#include <vector>

#include <gtest/gtest.h>

#include "chorus/kernels/channels.hpp"
#include "chorus/kernels/kernels.hpp"
#include "tests/unit/kernels/variants.hpp"

namespace chorus {
namespace {

using kernels::ChannelLayout;
using kernels::ChannelMap;
using test::awkward_floats;
using test::bits_of;
using test::Placed;
using test::WithVariant;

// The three kinds of layout, around the widths of vectors.
const std::vector<ChannelLayout>& layouts() {
  static const std::vector<ChannelLayout> all = [] {
    std::vector<ChannelLayout> made{{0, 3, 5, 1}, {3, 2, 1, 16}, {2, 3, 7, 16}, {2, 2, 9, 8}};
    for (std::size_t positions = 1; positions < 50; positions += 3) {
      made.push_back({2, 3, positions, 1});
      made.push_back({3, 1, 2, positions});
    }
    return made;
  }();
  return all;
}

std::size_t place(const ChannelLayout& at, std::size_t n, std::size_t c, std::size_t s) {
  return ((n * at.blocks + c / at.lanes) * at.positions + s) * at.lanes + c % at.lanes;
}

struct Numbers {
  explicit Numbers(const ChannelLayout& at)
      : x(awkward_floats(at.values(), 1), 1),
        dy(awkward_floats(at.values(), 2), 3),
        mean(awkward_floats(at.channels(), 3)),
        scale(awkward_floats(at.channels(), 4)),
        shift(awkward_floats(at.channels(), 5)),
        slope(awkward_floats(at.channels(), 6)) {}
  ChannelMap map() const { return {mean, scale, shift}; }
  Placed<float> x, dy;
  std::vector<float> mean, scale, shift, slope;
};

/// Everything the kernels make of some numbers, as bits.
std::vector<std::uint64_t> results(const ChannelLayout& at, std::string_view variant) {
  const WithVariant with(variant);
  Numbers numbers(at);
  std::vector<double> sum(at.channels());
  std::vector<std::uint64_t> bits;
  const auto keep = [&bits](const std::vector<std::uint64_t>& more) {
    bits.insert(bits.end(), more.begin(), more.end());
  };
  kernels::channel_sums_f32(at, numbers.x.span(), sum);
  keep(bits_of(sum));
  kernels::channel_squares_f32(at, numbers.x.span(), numbers.mean, sum);
  keep(bits_of(sum));
  kernels::channel_products_f32(at, numbers.x.span(), numbers.mean, numbers.dy.span(), sum);
  keep(bits_of(sum));
  const auto dy = numbers.dy.span();
  kernels::channel_slopes_f32(at, numbers.map(), {numbers.slope, numbers.x.span(), dy, dy});
  keep(bits_of(numbers.dy.values()));
  kernels::channel_map_f32(at, numbers.map(), numbers.x.span(), numbers.x.span());
  keep(bits_of(numbers.x.values()));
  EXPECT_TRUE(numbers.x.guards_intact() && numbers.dy.guards_intact());
  return bits;
}

TEST(ChannelKernels, EveryVariantGivesTheBitsOfTheReference) {
  for (const ChannelLayout& at : layouts()) {
    const auto expected = results(at, "ref");
    for (const std::string_view variant : kernels::available_variants()) {
      ASSERT_EQ(results(at, variant), expected)
          << variant << ": " << at.examples << " examples, " << at.blocks << " x " << at.lanes
          << " channels, " << at.positions << " positions";
    }
  }
}

// By place, in double; the values are halves, so that sums are exact in any order.
TEST(ChannelKernels, DoWhatTheyPromiseInEveryLayout) {
  for (const ChannelLayout& at : layouts()) {
    std::vector<float> x(at.values());
    std::vector<float> dy(at.values());
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = static_cast<float>(i % 11) * 0.5F - 2.0F;
      dy[i] = static_cast<float>(i % 7) - 3.0F;
    }
    std::vector<float> mean(at.channels());
    std::vector<float> scale(at.channels());
    std::vector<float> slope(at.channels());
    std::vector<float> shift(at.channels());
    for (std::size_t c = 0; c < at.channels(); ++c) {
      mean[c] = static_cast<float>(c % 3) * 0.5F;
      scale[c] = static_cast<float>(c % 4) - 1.0F;
      slope[c] = static_cast<float>(c % 5) * 0.25F;
      shift[c] = static_cast<float>(c % 2);
    }
    std::vector<double> sum(at.channels());
    std::vector<double> squares(at.channels());
    std::vector<double> products(at.channels());
    kernels::channel_sums_f32(at, x, sum);
    kernels::channel_squares_f32(at, x, mean, squares);
    kernels::channel_products_f32(at, x, mean, dy, products);
    std::vector<float> y(at.values());
    std::vector<float> dx(at.values());
    const ChannelMap map{mean, scale, shift};
    kernels::channel_map_f32(at, map, x, y);
    kernels::channel_slopes_f32(at, map, {slope, x, dy, dx});
    for (std::size_t c = 0; c < at.channels(); ++c) {
      double expected_sum = 0.0;
      double expected_squares = 0.0;
      double expected_products = 0.0;
      for (std::size_t n = 0; n < at.examples; ++n) {
        for (std::size_t s = 0; s < at.positions; ++s) {
          const std::size_t i = place(at, n, c, s);
          const double off = double{x[i]} - double{mean[c]};
          expected_sum += double{x[i]};
          expected_squares += off * off;
          expected_products += off * double{dy[i]};
          ASSERT_EQ(double{y[i]}, off * scale[c] + shift[c]);
          ASSERT_EQ(double{dx[i]}, double{dy[i]} * scale[c] - off * slope[c] + shift[c]);
        }
      }
      ASSERT_EQ(sum[c], expected_sum) << c;
      ASSERT_EQ(squares[c], expected_squares) << c;
      ASSERT_EQ(products[c], expected_products) << c;
    }
  }
}

TEST(ChannelKernelsDeathTest, SizesThatDifferAreDefects) {
  const ChannelLayout at{2, 3, 4, 1};
  std::vector<float> values(24);
  std::vector<float> fewer(23);
  std::vector<float> three(3);
  std::vector<double> sum(3);
  std::vector<double> two(2);
  EXPECT_DEATH(kernels::channel_sums_f32(at, fewer, sum), "channel_sums_f32");
  EXPECT_DEATH(kernels::channel_sums_f32(at, values, two), "channel_sums_f32");
  EXPECT_DEATH(kernels::channel_squares_f32(at, values, fewer, sum), "channel_squares_f32");
  EXPECT_DEATH(kernels::channel_map_f32(at, {three, three, {}}, values, values), "per channel");
}

}  // namespace
}  // namespace chorus
