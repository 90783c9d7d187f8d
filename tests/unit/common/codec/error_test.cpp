// Measured errors against the formulas, on Gaussian and heavy-tailed vectors: within four standard
// errors, taken over independent buckets or repetitions.
#include <cmath>
#include <functional>
#include <numbers>
#include <vector>

#include <gtest/gtest.h>

#include "chorus/kernels/codes.hpp"
#include "tests/unit/common/codec/samples.hpp"

namespace chorus::codec {
namespace {

using test::gaussian;
using test::heavy_tailed;
using test::squares;

struct Estimate {
  double mean = 0.0;
  double error = 0.0;  ///< standard error of the mean
};

Estimate estimate(const std::vector<double>& samples) {
  const auto n = static_cast<double>(samples.size());
  double sum = 0.0;
  for (const double sample : samples) sum += sample;
  double spread = 0.0;
  for (const double sample : samples) spread += (sample - sum / n) * (sample - sum / n);
  return {sum / n, std::sqrt(spread / (n - 1.0) / n)};
}

std::vector<float> decoded(const Codec& codec, const std::vector<float>& x, const Keys& keys) {
  const auto payload = encode(codec, x, keys).value();
  std::vector<float> back(x.size());
  EXPECT_TRUE(decode(codec, payload, keys, 1e6F, back));
  return back;
}

double squared_distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += d * d;
  }
  return sum;
}

/// ‖C(x) − x‖²/‖x‖² of fresh Gaussian vectors of `n` elements.
Estimate gaussian_error(const Codec& codec, std::size_t n, std::size_t repetitions) {
  std::vector<double> samples;
  for (std::uint64_t r = 0; r < repetitions; ++r) {
    const auto x = gaussian(n, 1000 + r);
    samples.push_back(squared_distance(decoded(codec, x, {.round = r, .device = r}), x) /
                      squares(x));
  }
  return estimate(samples);
}

void expect_error(const Codec& codec,
                  std::size_t n,
                  std::size_t repetitions,
                  double expected,
                  double rounding = 0.0) {
  const Estimate measured = gaussian_error(codec, n, repetitions);
  EXPECT_NEAR(measured.mean, expected, 4.0 * measured.error + rounding * expected)
      << "kind " << static_cast<int>(codec.kind) << ", " << codec.bits << " bits";
}

TEST(CodecError, HalfPrecision) {
  expect_error({.kind = CodecKind::f16}, 4096, 50, 4.3e-8, 0.02);
  expect_error({.kind = CodecKind::bf16}, 4096, 50, 2.8e-6, 0.02);
}

TEST(CodecError, UniformHasTheVarianceOfItsSteps) {
  // E[R²]/(6·(2^bits − 1)²) with the mean square of the range of 512 values, for steps that are
  // small beside the deviation.
  for (const auto& [bits, expected] : {std::pair{4U, 0.02754}, std::pair{8U, 9.55e-5}}) {
    expect_error(
        {.kind = CodecKind::uniform, .bits = bits, .bucket = 512}, 512, 400, expected, 0.01);
  }
}

TEST(CodecError, UniformsIsExactForAnyVector) {
  // The conditional variance Σ Δ²·f·(1 − f), without assumptions on x.
  const auto x = heavy_tailed(512, 4);
  for (const std::uint32_t bits : {1U, 2U, 5U, 8U}) {
    const Codec codec{.kind = CodecKind::uniform, .bits = bits, .bucket = 512};
    const auto [low, high] = std::minmax_element(x.begin(), x.end());
    const double levels = (1U << bits) - 1U;
    const double step = (static_cast<double>(*high) - static_cast<double>(*low)) / levels;
    double expected = 0.0;
    for (const float value : x) {
      const double u = (static_cast<double>(value) - static_cast<double>(*low)) / step;
      const double f = u - std::floor(u);
      expected += step * step * f * (1.0 - f);
    }
    std::vector<double> samples;
    for (std::uint64_t r = 0; r < 300; ++r) {
      samples.push_back(squared_distance(decoded(codec, x, {.device = r}), x));
    }
    const Estimate measured = estimate(samples);
    EXPECT_NEAR(measured.mean, expected, 4.0 * measured.error + 1e-3 * expected) << bits;
  }
}

TEST(CodecError, Qsgd) {
  // s = 2^(bits − 1) − 1: 1, 3, 7, 127; buckets of 512.
  for (const auto& [bits, l2, maximum] : {std::tuple{2U, 17.07, 1.589},
                                          std::tuple{3U, 5.022, 0.1964},
                                          std::tuple{4U, 1.583, 0.0361},
                                          std::tuple{8U, 0.00529, 1.1e-4}}) {
    const Codec of_l2{.kind = CodecKind::qsgd, .bits = bits, .bucket = 512, .norm = CodecNorm::l2};
    expect_error(of_l2, 512, 400, l2, 0.01);
    expect_error({.kind = CodecKind::qsgd, .bits = bits, .bucket = 512}, 512, 400, maximum, 0.02);
  }
}

TEST(CodecError, Sign) {
  expect_error(
      {.kind = CodecKind::sign, .bucket = 4096}, 4096, 100, 1.0 - 2.0 / std::numbers::pi, 1e-3);
}

TEST(CodecError, RotatedIsThatOfTheLevels) {
  const std::vector<double> distortion{0.363380, 0.117482, 0.034548, 0.009501};
  for (std::uint32_t bits = 1; bits <= 4; ++bits) {
    const double d = distortion[bits - 1];
    Codec codec{.kind = CodecKind::rotated, .bits = bits, .bucket = 4096};
    expect_error(codec, 4096, 60, 1.0 / (1.0 - d) - 1.0, 2e-3);
    codec.least_error = true;
    expect_error(codec, 4096, 60, d, 2e-3);
  }
}

TEST(CodecError, RotatedDoesNotMindHeavyTails) {
  std::vector<double> samples;
  for (std::uint64_t r = 0; r < 40; ++r) {
    const auto x = heavy_tailed(8192, r);
    const Codec codec{.kind = CodecKind::rotated, .bits = 4, .bucket = 8192};
    samples.push_back(squared_distance(decoded(codec, x, {.round = r}), x) / squares(x));
  }
  EXPECT_LT(estimate(samples).mean, 0.011);
}

TEST(CodecError, TheLargestElementsOfAGaussian) {
  for (const auto& [density, top, ternary] : {std::tuple{0.1, 0.560714, 0.574522},
                                              std::tuple{0.01, 0.915508, 0.916366},
                                              std::tuple{0.0025, 0.972521, 0.972696}}) {
    expect_error({.kind = CodecKind::top_k, .density = density}, 100'000, 10, top, 1e-4);
    expect_error({.kind = CodecKind::ternary, .density = density}, 100'000, 10, ternary, 1e-4);
  }
}

TEST(CodecError, RandomK) {
  expect_error({.kind = CodecKind::random_k, .density = 0.1}, 2000, 200, 9.0);
}

/// The mean of many decodes of the same vector has the error of one, divided by their number:
/// something that is biased fails this.
void expect_unbiased(const Codec& codec, const std::vector<float>& x) {
  constexpr std::size_t kTogether = 16;
  std::vector<double> alone;
  std::vector<double> together;
  for (std::uint64_t r = 0; r < 60; ++r) {
    std::vector<double> sum(x.size());
    for (std::uint64_t k = 0; k < kTogether; ++k) {
      const std::uint64_t key = r * kTogether + k;
      const auto back = decoded(codec, x, {.round = key, .device = key});
      alone.push_back(squared_distance(back, x) / squares(x));
      for (std::size_t i = 0; i < x.size(); ++i) sum[i] += static_cast<double>(back[i]);
    }
    std::vector<float> mean(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      mean[i] = static_cast<float>(sum[i] / static_cast<double>(kTogether));
    }
    together.push_back(squared_distance(mean, x) / squares(x));
  }
  const Estimate one = estimate(alone);
  const Estimate all = estimate(together);
  EXPECT_NEAR(all.mean,
              one.mean / static_cast<double>(kTogether),
              4.0 * (all.error + one.error / static_cast<double>(kTogether)))
      << "kind " << static_cast<int>(codec.kind) << ", " << codec.bits << " bits";
}

TEST(CodecError, UnbiasedOnesAre) {
  for (const auto& x : {gaussian(1024, 77), heavy_tailed(1024, 78)}) {
    for (const std::uint32_t bits : {1U, 2U, 4U, 7U}) {
      expect_unbiased({.kind = CodecKind::uniform, .bits = bits, .bucket = 256}, x);
    }
    for (const CodecNorm norm : {CodecNorm::l2, CodecNorm::maximum}) {
      expect_unbiased({.kind = CodecKind::qsgd, .bits = 3, .bucket = 256, .norm = norm}, x);
    }
    expect_unbiased({.kind = CodecKind::random_k, .density = 0.25}, x);
    for (const std::uint32_t bits : {1U, 2U, 3U, 4U}) {
      expect_unbiased({.kind = CodecKind::rotated, .bits = bits, .bucket = 1024}, x);
    }
  }
}

}  // namespace
}  // namespace chorus::codec
