#include "server/compress/layer_plan.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "common/base/rng.hpp"

namespace chorus::server {
namespace {

using Table = std::vector<std::vector<double>>;
using Plan = std::vector<std::size_t>;

std::vector<LayerChoices> layers_of(const Table& errors,
                                    const Table& bytes,
                                    const Plan& reference) {
  std::vector<LayerChoices> layers;
  for (std::size_t l = 0; l < errors.size(); ++l) {
    LayerChoices layer{.choices = {}, .reference = reference[l]};
    for (std::size_t c = 0; c < errors[l].size(); ++c) {
      layer.choices.push_back(
          {.codec = {}, .bytes = static_cast<std::uint64_t>(bytes[l][c]), .error = errors[l][c]});
    }
    layers.push_back(layer);
  }
  return layers;
}

double error_of(const std::vector<LayerChoices>& layers, const Plan& plan) {
  double error = 0.0;
  for (std::size_t l = 0; l < layers.size(); ++l) error += layers[l].choices[plan[l]].error;
  return error;
}

std::uint64_t bytes_of(const std::vector<LayerChoices>& layers, const Plan& plan) {
  std::uint64_t bytes = 0;
  for (std::size_t l = 0; l < layers.size(); ++l) bytes += layers[l].choices[plan[l]].bytes;
  return bytes;
}

TEST(LayerPlan, FindsTheOptimumOfThreeLayers) {
  const auto layers = layers_of({{9, 5, 2, .5}, {8, 4, 1.5, .4}, {3, 1, .3, .1}},
                                {{1000, 2000, 3000, 4000}, {10, 20, 30, 40}, {50, 100, 150, 200}},
                                {1, 1, 1});
  EXPECT_EQ(cheapest_plan(layers).value(), (Plan{0, 3, 2}));
}

TEST(LayerPlan, NeverTakesMoreThanTheReference) {
  const auto layers = layers_of({{9, 5, 2, .5}, {4, 2.5, 1.2, .4}, {6, 3, 1, .2}},
                                {{100, 200, 300, 400}, {10, 20, 30, 40}, {50, 100, 150, 200}},
                                {1, 1, 1});
  EXPECT_EQ(cheapest_plan(layers).value(), (Plan{0, 3, 2}));
  EXPECT_EQ(cheapest_plan(layers, {.factor = 1.0, .steps = 21}).value(), (Plan{0, 3, 2}));
  // In ten steps rounding up would give 330 bytes, where the reference takes 320.
  EXPECT_EQ(cheapest_plan(layers, {.factor = 1.0, .steps = 10}).value(), (Plan{1, 1, 1}));
}

/// By trying every plan.
std::uint64_t brute_force(const std::vector<LayerChoices>& layers, double budget) {
  Plan plan(layers.size(), 0);
  std::uint64_t best = std::numeric_limits<std::uint64_t>::max();
  for (;;) {
    if (error_of(layers, plan) <= budget) best = std::min(best, bytes_of(layers, plan));
    std::size_t l = 0;
    while (l < plan.size() && ++plan[l] == layers[l].choices.size()) plan[l++] = 0;
    if (l == plan.size()) return best;
  }
}

TEST(LayerPlan, OfRandomTablesItIsNearlyTheOptimum) {
  Rng rng(5);
  for (int r = 0; r < 300; ++r) {
    std::vector<LayerChoices> layers(1 + static_cast<std::size_t>(rng.below(6)));
    for (LayerChoices& layer : layers) {
      const std::uint64_t choices = 1 + rng.below(4);
      for (std::uint64_t c = 0; c < choices; ++c) {
        const std::uint64_t bytes = 1 + rng.below(1000);
        const double error = rng.uniform() * 10.0;
        layer.choices.push_back({.codec = {}, .bytes = bytes, .error = error});
      }
      layer.reference = static_cast<std::size_t>(rng.below(choices));
    }
    Plan reference;
    for (const LayerChoices& layer : layers) reference.push_back(layer.reference);
    const double budget = error_of(layers, reference);
    const Plan plan = cheapest_plan(layers).value();
    ASSERT_LE(bytes_of(layers, plan), bytes_of(layers, reference));
    ASSERT_LE(error_of(layers, plan), budget * (1.0 + 1e-9));
    ASSERT_LE(static_cast<double>(bytes_of(layers, plan)),
              1.02 * static_cast<double>(brute_force(layers, budget * (1.0 - 1e-3))));
  }
}

TEST(LayerPlan, WithoutErrorOnlyWhatHasNoneIsAllowed) {
  const auto layers = layers_of({{0, 1}, {0, 0}}, {{40, 10}, {40, 20}}, {0, 0});
  EXPECT_EQ(cheapest_plan(layers).value(), (Plan{0, 1}));
}

TEST(LayerPlan, AWiderBudgetTakesFewerBytes) {
  const auto layers = layers_of({{4, 2, 1}, {4, 2, 1}}, {{10, 20, 40}, {10, 20, 40}}, {1, 1});
  EXPECT_EQ(cheapest_plan(layers, {.factor = 2.0}).value(), (Plan{0, 0}));
  EXPECT_EQ(cheapest_plan(layers, {.factor = 0.5}).value(), (Plan{2, 2}));
  EXPECT_EQ(cheapest_plan({}, {}).value(), Plan{});
}

TEST(LayerPlan, SaysWhatItCannotDo) {
  const auto layers = layers_of({{2, 1}}, {{10, 20}}, {1});
  const auto code = [](const auto& result) {
    return result ? std::string("a plan") : std::string(to_string(result.error().code));
  };
  EXPECT_EQ(code(cheapest_plan(layers, {.factor = 0.5})), "invalid_argument");
  EXPECT_EQ(code(cheapest_plan(layers, {.factor = 0.0})), "invalid_argument");
  EXPECT_EQ(code(cheapest_plan(layers, {.factor = 1.0, .steps = 0})), "invalid_argument");
  EXPECT_EQ(code(cheapest_plan(layers, {.factor = 1.0, .steps = limits::kPlanStepsMax + 1})),
            "invalid_argument");
  EXPECT_EQ(code(cheapest_plan(layers_of({{2, 1}}, {{10, 20}}, {2}))), "invalid_argument");
  EXPECT_EQ(code(cheapest_plan(layers_of({{2, std::nan("")}}, {{10, 20}}, {0}))),
            "invalid_argument");
  EXPECT_EQ(code(cheapest_plan(layers_of({{2, -1}}, {{10, 20}}, {0}))), "invalid_argument");
}

TEST(LayerPlan, MeasuredChoicesLoseLessWithMoreBits) {
  Rng rng(3);
  std::vector<float> x(10'000);
  for (float& value : x) value = static_cast<float>(rng.normal());
  std::vector<Codec> codecs;
  for (std::uint32_t bits = 1; bits <= 4; ++bits) {
    codecs.push_back({.kind = CodecKind::rotated, .bits = bits, .bucket = 1024});
  }
  const auto choices = measured_choices(codecs, x, 7).value();
  double squares = 0.0;
  for (const float value : x) squares += static_cast<double>(value) * static_cast<double>(value);
  EXPECT_NEAR(choices[3].error / squares, 0.00959, 0.001);
  for (std::size_t c = 0; c + 1 < choices.size(); ++c) {
    EXPECT_LT(choices[c].bytes, choices[c + 1].bytes);
    EXPECT_GT(choices[c].error, choices[c + 1].error);
  }
  EXPECT_FALSE(measured_choices(std::vector<Codec>{{.kind = CodecKind::uniform, .bits = 9}}, x, 7));
}

}  // namespace
}  // namespace chorus::server
