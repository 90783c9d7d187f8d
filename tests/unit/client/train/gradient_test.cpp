// Gradients against central finite differences of the loss.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "client/train/network.hpp"
#include "tests/unit/client/train/examples.hpp"

namespace chorus::train {
namespace {

using test::make_examples;
using test::rows_up_to;
using test::start_of;

struct Case {
  std::string name;
  ModelSpec model;
};
void PrintTo(const Case& shown, std::ostream* out) {
  *out << shown.name;
}

// Of a tensor's gradient: ‖computed − differences‖ / ‖differences‖. The rounding of the float32
// outputs limits it, not the method.
constexpr double kTolerance = 2e-3;

// d loss / d w by f(w+h) and f(w−h), and the same for 2h, combined so that the error falls with h⁴.
// float32 outputs carry errors near 1e-7, so h must not be small; the combination allows 0.004.
struct Differences {
  double slope;
  double kink;  // ~0 where the loss is smooth within 2h
};

Differences differences(Network& network, const client::Dataset& data, std::size_t index) {
  constexpr float kStep = 0.004F;
  constexpr double kH = kStep;
  const auto rows = rows_up_to(data.size());
  const float before = network.parameters()[index];
  const auto loss_at = [&](float offset) {
    network.parameters()[index] = before + offset;
    const auto result = network.loss_of(data, rows);
    EXPECT_TRUE(result);
    return result->loss / static_cast<double>(data.size());
  };
  const double here = loss_at(0);
  const double up = loss_at(kStep);
  const double down = loss_at(-kStep);
  const double far_up = loss_at(2 * kStep);
  const double far_down = loss_at(-2 * kStep);
  network.parameters()[index] = before;
  const double near = (up - down) / (2 * kH);
  const double far = (far_up - far_down) / (4 * kH);
  // Second differences grow with h² where the loss is smooth, and with h across a kink at w itself.
  const double bend = (up + down - 2 * here) / kH;
  const double far_bend = (far_up + far_down - 2 * here) / (2 * kH);
  return {(4 * near - far) / 3, std::max(std::abs(near - far), std::abs(far_bend - 2 * bend))};
}

class Gradient : public testing::TestWithParam<Case> {};

TEST_P(Gradient, MatchesFiniteDifferences) {
  const ModelSpec& model = GetParam().model;
  auto created = Network::create(model);
  ASSERT_TRUE(created) << created.error().to_string();
  Network& network = **created;
  const auto data = make_examples(model.input_shape, 6, 3);
  auto start = start_of(model);
  Rng rng(17);
  for (float& value : start) value += static_cast<float>(0.1 * rng.normal());  // biases too
  std::copy(start.begin(), start.end(), network.parameters().begin());
  ASSERT_TRUE(network.gradient_of(data, rows_up_to(data.size())));
  const std::vector<float> gradient(network.gradient().begin(), network.gradient().end());
  const double largest =
      std::abs(*std::max_element(gradient.begin(), gradient.end(), [](float a, float b) {
        return std::abs(a) < std::abs(b);
      }));
  std::size_t kinks = 0;
  for (const TensorSpec& tensor : network.layout().tensors) {
    double wrong = 0.0;
    double whole = 0.0;
    for (std::size_t i = tensor.offset; i < tensor.offset + tensor.count; ++i) {
      const Differences expected = differences(network, data, i);
      // A kink of ReLU or max-pooling within reach: the differences are no derivative there.
      if (expected.kink > 0.003 * largest) {
        ++kinks;
        continue;
      }
      wrong += std::pow(double{gradient[i]} - expected.slope, 2);
      whole += expected.slope * expected.slope;
    }
    EXPECT_GT(whole, 0.0) << tensor.name;
    EXPECT_LE(std::sqrt(wrong / whole), kTolerance) << tensor.name;
  }
  EXPECT_LE(kinks, gradient.size() / 4) << "too many to say anything";
}

INSTANTIATE_TEST_SUITE_P(
    Layers,
    Gradient,
    testing::Values(
        Case{"Dense", {{7}, {Dense{"", 3}}}},
        Case{"DenseTwice", {{7}, {Dense{"", 5}, Dense{"", 3}}}},
        Case{"Convolution", {{1, 5, 6}, {Conv2d{"", 3, 3, 1, 0}, Flatten{}, Dense{"", 3}}}},
        Case{"ConvolutionPadded", {{3, 5, 4}, {Conv2d{"", 4, 3, 1, 1}, Flatten{}, Dense{"", 3}}}},
        Case{"ConvolutionStrided", {{2, 7, 8}, {Conv2d{"", 17, 3, 2, 2}, Flatten{}, Dense{"", 3}}}},
        Case{
            "ConvolutionTwice",
            {{2, 6, 6}, {Conv2d{"", 5, 2, 1, 0}, Conv2d{"", 4, 3, 2, 1}, Flatten{}, Dense{"", 3}}}},
        Case{"ConvolutionOfOnePixel",
             {{3, 1, 1}, {Conv2d{"", 4, 1, 1, 0}, Flatten{}, Dense{"", 3}}}},
        Case{"ConvolutionLast", {{2, 3, 3}, {Conv2d{"", 3, 3, 1, 0}, Flatten{}}}},
        Case{"FlattenFirst", {{2, 3, 2}, {Flatten{}, Dense{"", 3}}}},
        Case{"Relu", {{7}, {Dense{"", 9}, Relu{}, Dense{"", 3}}}},
        Case{"ReluFirst", {{7}, {Relu{}, Dense{"", 3}}}},
        Case{"ReluLast", {{7}, {Dense{"", 3}, Relu{}}}},
        Case{"ReluTwice", {{7}, {Dense{"", 9}, Relu{}, Relu{}, Dense{"", 3}}}},
        Case{"ReluAfterFlatten",
             {{1, 4, 4}, {Conv2d{"", 3, 3, 1, 1}, Flatten{}, Relu{}, Dense{"", 3}}}},
        Case{"PoolFirst", {{2, 4, 6}, {MaxPool2d{2, 2}, Flatten{}, Dense{"", 3}}}},
        Case{"Pool",
             {{2, 6, 6}, {Conv2d{"", 4, 3, 1, 1}, MaxPool2d{2, 2}, Flatten{}, Dense{"", 3}}}},
        Case{"PoolOverlapping",
             {{2, 7, 6}, {Conv2d{"", 4, 3, 1, 1}, MaxPool2d{3, 2}, Flatten{}, Dense{"", 3}}}},
        Case{"PoolThenRelu",
             {{2, 6, 6},
              {Conv2d{"", 4, 3, 1, 1}, MaxPool2d{2, 2}, Relu{}, Flatten{}, Dense{"", 3}}}},
        Case{"Composed",
             {{1, 8, 8},
              {Conv2d{"", 4, 3, 1, 1},
               Relu{},
               MaxPool2d{2, 2},
               Conv2d{"", 6, 3, 1, 1},
               Relu{},
               MaxPool2d{2, 2},
               Flatten{},
               Dense{"", 10},
               Relu{},
               Dense{"", 3}}}}),
    [](const testing::TestParamInfo<Case>& instance) { return instance.param.name; });

TEST(Network, GradientDoesNotDependOnThePassBefore) {
  const ModelSpec model{{1, 6, 6},
                        {Conv2d{"", 4, 3, 1, 1}, Relu{}, MaxPool2d{2, 2}, Flatten{}, Dense{"", 3}}};
  const auto data = make_examples({1, 6, 6}, 9, 3);
  auto network = Network::create(model);
  ASSERT_TRUE(network);
  const auto start = start_of(model);
  std::copy(start.begin(), start.end(), (*network)->parameters().begin());
  const std::vector<std::uint32_t> first = {0, 1, 2, 3};
  const std::vector<std::uint32_t> tail = {8};
  ASSERT_TRUE((*network)->gradient_of(data, first));
  const std::vector<float> gradient((*network)->gradient().begin(), (*network)->gradient().end());
  ASSERT_TRUE((*network)->gradient_of(data, tail));
  ASSERT_TRUE((*network)->loss_of(data, rows_up_to(9)));
  ASSERT_TRUE((*network)->gradient_of(data, first));
  EXPECT_TRUE(std::equal(gradient.begin(), gradient.end(), (*network)->gradient().begin()));
}

TEST(Network, ForgetsTapesOfOldBatchSizes) {
  const ModelSpec model{{4}, {Dense{"", 3}}};
  const auto data = make_examples({4}, 40, 3);
  auto network = Network::create(model);
  ASSERT_TRUE(network);
  const auto start = start_of(model);
  std::copy(start.begin(), start.end(), (*network)->parameters().begin());
  double sum = 0.0;
  for (std::uint32_t i = 0; i < 40; ++i) {
    const auto one = (*network)->loss_of(data, std::vector<std::uint32_t>{i});
    ASSERT_TRUE(one);
    sum += one->loss;
  }
  for (std::size_t batch = 1; batch <= 40; ++batch) {
    ASSERT_TRUE((*network)->loss_of(data, rows_up_to(batch)));
  }
  EXPECT_NEAR((*network)->loss_of(data, rows_up_to(40))->loss, sum, 1e-4);
}

TEST(Network, RefusesModelsThatDoNotFitTogether) {
  const auto network = Network::create(ModelSpec{{1, 4, 4}, {Dense{"", 3}}});
  ASSERT_FALSE(network);
  EXPECT_EQ(network.error().code, errc::invalid_argument);
}

}  // namespace
}  // namespace chorus::train
