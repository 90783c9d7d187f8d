// Codecs on what a device really sends: the update of a convolutional network that was trained on
// digits. Errors are those of the formulas, which know the vector, within four standard errors over
// repetitions.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "chorus/client/builtin_trainer.hpp"
#include "chorus/client/dataset.hpp"
#include "common/codec/method.hpp"
#include "tests/unit/client/train/examples.hpp"

namespace chorus::client {
namespace {

using Vector = std::vector<float>;
using codec::Keys;

double square(double x) {
  return x * x;
}

double squares(std::span<const float> x) {
  double sum = 0.0;
  for (const float value : x) sum += square(static_cast<double>(value));
  return sum;
}

/// y − x after an epoch: about 70,000 parameters, no two layers of one scale.
const Vector& update() {
  static const Vector made = [] {
    CsvOptions options;
    options.path = std::filesystem::path(CHORUS_ROOT_DIR) / "examples" / "digits" / "digits.csv.gz";
    options.divide_by = 16;
    options.feature_shape = {1, 8, 8};
    const ModelSpec model{{1, 8, 8},
                          {Conv2d{"", 32, 3, 1, 1},
                           Relu{},
                           MaxPool2d{2, 2},
                           Flatten{},
                           Dense{"", 128},
                           Relu{},
                           Dense{"", 10}}};
    const auto trainer = make_builtin_trainer({load_csv(options).value().dataset, {}, 1});
    const CancelToken never{};
    TrainTask task;
    task.model = &model;
    task.cancel = &never;
    task.plan.optimiser = {0.05, 0.9, 0.0};
    const Vector before = test::start_of(model);
    Vector after = before;
    EXPECT_TRUE(trainer->train(task, after));
    for (std::size_t i = 0; i < after.size(); ++i) after[i] -= before[i];
    return after;
  }();
  return made;
}

Vector decoded(const Codec& codec, const Vector& x, std::uint64_t key) {
  const Keys keys{.round = key, .device = key};
  const auto payload = codec::encode(codec, x, keys).value();
  Vector back(x.size());
  EXPECT_TRUE(codec::decode(codec, payload, keys, 1e6F, back));
  return back;
}

double squared_distance(const Vector& a, const Vector& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += square(static_cast<double>(a[i]) - static_cast<double>(b[i]));
  }
  return sum;
}

/// Σ Δ²·f·(1 − f): the variance of rounding to the neighbours on a line of steps Δ.
double of_rounding(std::span<const float> x, double low, double step) {
  double sum = 0.0;
  for (const float value : x) {
    const double u = step > 0.0 ? (static_cast<double>(value) - low) / step : 0.0;
    const double f = u - std::floor(u);
    sum += step * step * f * (1.0 - f);
  }
  return sum;
}

/// What `error_of` says of each bucket, all together.
double over_buckets(const Vector& x,
                    std::size_t bucket,
                    const std::function<double(std::span<const float>)>& error_of) {
  double sum = 0.0;
  for (std::size_t at = 0; at < x.size(); at += bucket) {
    sum += error_of(std::span(x).subspan(at, std::min(bucket, x.size() - at)));
  }
  return sum;
}

/// The mean of 16 decodes has a sixteenth of the error of one, if they are unbiased.
void expect_unbiased_with(const Codec& codec, double expected, const std::string& name) {
  constexpr std::size_t kTogether = 16;
  constexpr std::size_t kRepetitions = 12;
  const Vector& x = update();
  std::vector<double> alone;
  std::vector<double> together;
  for (std::size_t r = 0; r < kRepetitions; ++r) {
    std::vector<double> sum(x.size());
    for (std::size_t k = 0; k < kTogether; ++k) {
      const Vector back = decoded(codec, x, 1 + r * kTogether + k);
      alone.push_back(squared_distance(back, x));
      for (std::size_t i = 0; i < x.size(); ++i) sum[i] += static_cast<double>(back[i]);
    }
    Vector mean(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) mean[i] = static_cast<float>(sum[i] / kTogether);
    together.push_back(squared_distance(mean, x));
  }
  const auto estimate = [](const std::vector<double>& samples) {
    const auto n = static_cast<double>(samples.size());
    const double mean = std::accumulate(samples.begin(), samples.end(), 0.0) / n;
    double spread = 0.0;
    for (const double sample : samples) spread += square(sample - mean);
    return std::pair(mean, std::sqrt(spread / (n - 1.0) / n));
  };
  const auto [error, of_error] = estimate(alone);
  EXPECT_NEAR(error, expected, 4.0 * of_error + 2e-3 * expected) << name;
  const auto [left, of_left] = estimate(together);
  EXPECT_NEAR(left, error / kTogether, 4.0 * (of_left + of_error / kTogether)) << name;
}

TEST(RealUpdate, IsOneOfManyScales) {
  EXPECT_GT(update().size(), 60'000U);
  const auto part = [](std::size_t first, std::size_t count) {
    return squares(std::span(update()).subspan(first, count)) / static_cast<double>(count);
  };
  EXPECT_GT(part(0, 288), 10.0 * part(320, 65'536)) << "kernels move farther than dense weights";
}

TEST(RealUpdate, UniformAndQsgdHaveTheVarianceOfTheirSteps) {
  for (const std::uint32_t bits : {2U, 4U, 8U}) {
    const std::string name = std::to_string(bits) + " bits";
    const auto of_range = [bits](std::span<const float> x) {
      const auto [low, high] = std::minmax_element(x.begin(), x.end());
      const double width = static_cast<double>(*high) - static_cast<double>(*low);
      return of_rounding(x, static_cast<double>(*low), width / ((1U << bits) - 1U));
    };
    expect_unbiased_with({.kind = CodecKind::uniform, .bits = bits, .bucket = 512},
                         over_buckets(update(), 512, of_range),
                         "uniform, " + name);
    const auto of_norm = [bits](std::span<const float> x) {
      double norm = 0.0;
      for (const float v : x) norm = std::max(norm, std::fabs(static_cast<double>(v)));
      return of_rounding(x, -norm, norm / ((1U << (bits - 1U)) - 1U));
    };
    expect_unbiased_with({.kind = CodecKind::qsgd, .bits = bits, .bucket = 512},
                         over_buckets(update(), 512, of_norm),
                         "qsgd, " + name);
  }
}

TEST(RealUpdate, RandomElements) {
  const Codec codec{.kind = CodecKind::random_k, .density = 0.1};
  const auto n = static_cast<double>(update().size());
  const double kept = std::ceil(0.1 * n);
  expect_unbiased_with(codec, (n / kept - 1.0) * squares(update()), "random_k");
}

TEST(RealUpdate, RotatedIsThatOfTheLevels) {
  const std::vector<double> distortion{0.363380, 0.117482, 0.034548, 0.009501};
  for (std::uint32_t bits = 1; bits <= 4; ++bits) {
    const double d = distortion[bits - 1];
    Codec codec{.kind = CodecKind::rotated, .bits = bits, .bucket = 8192};
    std::vector<double> unbiased;
    std::vector<double> least;
    for (std::uint64_t key = 1; key <= 20; ++key) {
      codec.least_error = false;
      unbiased.push_back(squared_distance(decoded(codec, update(), key), update()));
      codec.least_error = true;
      least.push_back(squared_distance(decoded(codec, update(), key), update()));
    }
    const auto mean = [](const std::vector<double>& all) {
      return std::accumulate(all.begin(), all.end(), 0.0) / static_cast<double>(all.size()) /
             squares(update());
    };
    // The levels are those of Gaussian coordinates. Rotated ones nearly are; a bucket that is
    // mostly zeros (what a ReLU kept off) makes them a little narrower.
    const double of_unbiased = 1.0 / (1.0 - d) - 1.0;
    EXPECT_LT(mean(unbiased), 1.01 * of_unbiased) << bits;
    EXPECT_GT(mean(unbiased), 0.95 * of_unbiased) << bits;
    EXPECT_LT(mean(least), 1.01 * d) << bits;
    EXPECT_GT(mean(least), 0.95 * d) << bits;
    if (bits == 4) {
      EXPECT_LE(mean(unbiased), 0.011);
    }
  }
}

TEST(RealUpdate, WhatTheOthersLeaveOut) {
  const Vector& x = update();
  const double all = squares(x);
  std::vector<double> magnitudes(x.size());
  std::transform(x.begin(), x.end(), magnitudes.begin(), [](float v) {
    return std::fabs(static_cast<double>(v));
  });
  std::sort(magnitudes.begin(), magnitudes.end(), std::greater<>());
  for (const double density : {0.01, 0.1}) {
    const auto kept = static_cast<std::size_t>(std::ceil(density * static_cast<double>(x.size())));
    double squares_of = 0.0;
    double sum = 0.0;
    for (std::size_t i = 0; i < kept; ++i) {
      squares_of += square(magnitudes[i]);
      sum += magnitudes[i];
    }
    const Codec top{.kind = CodecKind::top_k, .density = density};
    EXPECT_NEAR(squared_distance(decoded(top, x, 1), x), all - squares_of, 1e-6 * all) << density;
    const Codec ternary{.kind = CodecKind::ternary, .density = density};
    const double of_one = all - square(sum) / static_cast<double>(kept);
    EXPECT_NEAR(squared_distance(decoded(ternary, x, 1), x), of_one, 1e-6 * all) << density;
  }
  const double of_signs = over_buckets(x, 4096, [](std::span<const float> part) {
    double sum = 0.0;
    for (const float v : part) sum += std::fabs(static_cast<double>(v));
    return squares(part) - square(sum) / static_cast<double>(part.size());
  });
  const Codec sign{.kind = CodecKind::sign, .bucket = 4096};
  EXPECT_NEAR(squared_distance(decoded(sign, x, 1), x), of_signs, 1e-5 * all);
  EXPECT_LT(squared_distance(decoded({.kind = CodecKind::bf16}, x, 1), x), 5.1e-6 * all);
  EXPECT_LT(squared_distance(decoded({.kind = CodecKind::f16}, x, 1), x), 1e-7 * all);
}

}  // namespace
}  // namespace chorus::client
