// Gradients against central finite differences of the loss.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
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
constexpr double kNoise = 2e-5;  // of one difference

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
    // In training: dropout and batch norm do something else in evaluation.
    const auto result = network.gradient_of(data, {rows});
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

// Learnable examples; whole numbers for an embedding, targets for losses without classes.
client::Dataset examples_for(const ModelSpec& model) {
  auto data = make_examples(model.input_shape, 6, 3);
  const auto* embedding = std::get_if<Embedding>(&model.layers.front());
  const bool classes = model.loss == Loss::softmax_cross_entropy;
  if (embedding == nullptr && classes) return data;
  client::Dataset::Parts parts;
  parts.feature_shape = model.input_shape;
  parts.labels = data.labels().value();
  Rng rng(5);
  for (std::size_t i = 0; i < data.size(); ++i) {
    const client::Example example = data.example(i).value();
    for (const float feature : example.features) {
      const auto index = static_cast<float>(embedding ? rng.below(embedding->vocabulary) : 0);
      parts.features.push_back(embedding ? index : feature);
    }
    if (classes) continue;
    parts.target_count = 3;
    for (int j = 0; j < 3; ++j) parts.targets.push_back(static_cast<float>(rng.uniform()));
  }
  auto made = client::Dataset::create(std::move(parts));
  EXPECT_TRUE(made) << made.error().to_string();
  return std::move(made).value();
}

class Gradient : public testing::TestWithParam<Case> {};

TEST_P(Gradient, MatchesFiniteDifferences) {
  const ModelSpec& model = GetParam().model;
  auto created = Network::create(model);
  ASSERT_TRUE(created) << created.error().to_string();
  Network& network = **created;
  const auto data = examples_for(model);
  auto start = start_of(model);
  network.set_randomness(7, 3);
  Rng rng(17);
  for (float& value : start) value += static_cast<float>(0.1 * rng.normal());  // biases too
  std::copy(start.begin(), start.end(), network.parameters().begin());
  const auto result = network.gradient_of(data, {rows_up_to(data.size())});
  ASSERT_TRUE(result) << result.error().to_string();
  const std::vector<float> gradient(network.gradient().begin(), network.gradient().end());
  const double largest =
      std::abs(*std::max_element(gradient.begin(), gradient.end(), [](float a, float b) {
        return std::abs(a) < std::abs(b);
      }));
  std::size_t kinks = 0;
  for (const TensorSpec& tensor : network.layout().tensors) {
    if (tensor.buffer) continue;
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
    // There is no state before the only step.
    const bool idle = GetParam().name == "LstmOfOneStep" && tensor.name == "lstm1.weight_hh_l0";
    EXPECT_EQ(whole > 0.0, !idle) << tensor.name;
    const double noise = kNoise * std::sqrt(static_cast<double>(tensor.count));
    EXPECT_LE(std::sqrt(wrong), kTolerance * std::sqrt(whole) + noise) << tensor.name;
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

Case with_loss(std::string name, Loss loss, LossOptions options) {
  return {std::move(name), {{5}, {Dense{"", 4}, Tanh{}, Dense{"", 3}}, loss, std::move(options)}};
}

const std::vector<Layer> kToScores = {Flatten{}, Dense{"", 3}};

Case with_head(std::string name, std::vector<std::uint64_t> input, std::vector<Layer> layers) {
  layers.insert(layers.end(), kToScores.begin(), kToScores.end());
  return {std::move(name), {std::move(input), std::move(layers)}};
}

INSTANTIATE_TEST_SUITE_P(
    MoreLayers,
    Gradient,
    testing::Values(
        with_head("DenseWithoutBias", {7}, {Dense{"", 5, false}}),
        with_head("DenseAdapted", {7}, {Dense{"", 5, true, 2, 3.0}, Tanh{}}),
        with_head("DenseOfStepsAdapted", {4, 6}, {Dense{"", 5}, Tanh{}, Dense{"", 2, false, 3}}),
        with_head("ConvolutionAdapted",
                  {2, 6, 7},
                  {Conv2d{"", 3, 3, 2, 1, 1, 1, true, 2, 1.0}, Tanh{}, Conv2d{"", 2, 2}}),
        with_head("ConvolutionAdaptedLater",
                  {3, 7},
                  {Conv1d{"", 4, 2}, Tanh{}, Conv1d{"", 5, 3, 1, 2, 2, 1, false, 3}}),
        with_head("DenseOfSteps", {4, 6}, {Dense{"", 5}, Tanh{}, Dense{"", 2}}),
        with_head("ConvolutionGrouped", {4, 5, 5}, {Conv2d{"", 6, 3, 1, 1, 1, 2}}),
        with_head("ConvolutionDepthwise",
                  {4, 6, 6},
                  {Conv2d{"", 4, 1}, Conv2d{"", 4, 3, 1, 1, 1, 4}, Conv2d{"", 3, 1}}),
        with_head("ConvolutionDilated",
                  {2, 9, 8},
                  {Conv2d{"", 3, 3, 1, 2, 2}, Conv2d{"", 2, 3, 2, 0, 2, 1, false}}),
        with_head(
            "Convolution1d",
            {3, 12},
            {Conv1d{"", 5, 5, 2, 2}, Conv1d{"", 4, 3, 1, 2, 2}, Conv1d{"", 4, 3, 1, 1, 1, 2}}),
        with_head("PoolPadded", {1, 5, 6}, {Conv2d{"", 3, 3, 1, 1}, MaxPool2d{2, 2, 1}}),
        with_head("Pool1d", {2, 9}, {Conv1d{"", 4, 3, 1, 1}, MaxPool1d{3, 2}, AvgPool1d{2, 2, 1}}),
        with_head("AveragePool", {2, 7, 6}, {Conv2d{"", 4, 3, 1, 1}, AvgPool2d{3, 2, 1}}),
        with_head("GlobalAveragePool", {2, 7, 6}, {Conv2d{"", 5, 3}, GlobalAvgPool{}}),
        with_head("GlobalMaxPool", {2, 7, 6}, {Conv2d{"", 5, 3}, GlobalMaxPool{}}),
        with_head("GlobalMaxPool1d", {2, 7}, {Conv1d{"", 5, 3}, GlobalMaxPool{}}),
        with_head("GlobalAveragePool1d", {2, 7}, {Conv1d{"", 5, 3}, GlobalAvgPool{}}),
        with_head("LeakyRelu", {7}, {Dense{"", 6}, LeakyRelu{0.2}}),
        with_head("Gelu", {7}, {Dense{"", 6}, Gelu{}}),
        with_head("Silu", {2, 6, 5}, {Conv2d{"", 17, 3}, Silu{}}),
        with_head("Tanh", {7}, {Dense{"", 6}, Tanh{}, Tanh{}}),
        with_head("Sigmoid", {7}, {Dense{"", 6}, Sigmoid{}, Relu{}}),
        with_head("Softmax", {3, 4}, {Dense{"", 6}, Softmax{}}),
        with_head("Dropout", {12}, {Dense{"", 9}, Dropout{0.4}, Dense{"", 5}}),
        with_head("BatchNorm", {7}, {Dense{"", 6}, BatchNorm{}}),
        with_head("BatchNorm1d", {3, 7}, {Conv1d{"", 4, 3}, BatchNorm{}, Tanh{}}),
        with_head("BatchNorm2d", {2, 6, 5}, {Conv2d{"", 17, 3}, BatchNorm{"", 1e-3, 0.5}, Tanh{}}),
        with_head("LayerNorm", {3, 7}, {Dense{"", 6}, LayerNorm{}, Dense{"", 4}, LayerNorm{}}),
        with_head("GroupNorm", {2, 6, 5}, {Conv2d{"", 6, 3}, GroupNorm{"", 3}, Tanh{}}),
        with_head("GroupNormOfOne", {6}, {Dense{"", 8}, GroupNorm{"", 2}}),
        with_head("ScaleShift", {2, 4, 5}, {Conv2d{"", 3, 3}, ScaleShift{}, Tanh{}, ScaleShift{}}),
        with_head("Embedding", {5}, {Embedding{"", 7, 4}, PositionEmbedding{}, Dense{"", 3}}),
        with_head("Reshape", {12}, {Dense{"", 12}, Reshape{{3, 2, 2}}, Conv2d{"", 2, 2}}),
        with_head("Transpose", {3, 5}, {Dense{"", 4}, Transpose{}, Dense{"", 2}})),
    [](const testing::TestParamInfo<Case>& instance) { return instance.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Sequences,
    Gradient,
    testing::Values(with_head("Lstm", {5, 3}, {Lstm{"", 4}}),
                    with_head("LstmOfOneStep", {1, 3}, {Lstm{"", 4}}),
                    with_head("LstmSequence", {4, 3}, {Lstm{"", 3, 1, false, true}}),
                    with_head("LstmStacked", {4, 3}, {Dense{"", 3}, Lstm{"", 3, 2, false, true}}),
                    with_head("LstmBidirectional", {4, 3}, {Lstm{"", 3, 2, true, true}}),
                    with_head("LstmBidirectionalLast", {4, 3}, {Lstm{"", 3, 2, true, false}}),
                    with_head("Gru", {5, 3}, {Gru{"", 4}}),
                    with_head("GruSequence", {4, 3}, {Dense{"", 3}, Gru{"", 3, 2, true, true}}),
                    with_head("SelfAttention", {4, 6}, {Dense{"", 6}, SelfAttention{"", 2}}),
                    with_head("SelfAttentionAdapted",
                              {4, 6},
                              {Dense{"", 6}, SelfAttention{"", 2, false, 2, 3.0}}),
                    with_head("SelfAttentionCausal", {4, 6}, {SelfAttention{"", 3, true}})),
    [](const testing::TestParamInfo<Case>& instance) { return instance.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Branches,
    Gradient,
    testing::Values(
        with_head(
            "Residual",
            {2, 5, 5},
            {Conv2d{"", 4, 3, 1, 1}, Mark{"a"}, Tanh{}, Conv2d{"", 4, 3, 1, 1}, Add{"a"}, Tanh{}}),
        with_head("ResidualOfTheInput", {2, 5, 5}, {Mark{"a"}, Conv2d{"", 2, 3, 1, 1}, Add{"a"}}),
        with_head("Twice", {6}, {Dense{"", 4}, Mark{"a"}, Add{"a"}}),
        with_head("Shortcut",
                  {2, 6, 6},
                  {Conv2d{"", 3, 3, 1, 1},
                   Mark{"in"},
                   Conv2d{"", 4, 3, 2, 1},
                   Tanh{},
                   Mark{"main"},
                   Branch{"in"},
                   Conv2d{"", 4, 1, 2},
                   Add{"main"},
                   Tanh{}}),
        with_head("Concatenated",
                  {2, 5, 5},
                  {Conv2d{"", 4, 3, 1, 1},
                   Mark{"a"},
                   Tanh{},
                   Mark{"b"},
                   Conv2d{"", 3, 3, 1, 1},
                   Concat{"a"},
                   Concat{"b"},
                   Conv2d{"", 2, 1}}),
        with_head("TwoBlocks",
                  {5},
                  {Dense{"", 5},
                   Mark{"a"},
                   Dense{"", 5},
                   Relu{},
                   Add{"a"},
                   Mark{"b"},
                   Relu{},
                   Dense{"", 5},
                   Add{"b"},
                   Add{"a"}})),
    [](const testing::TestParamInfo<Case>& instance) { return instance.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Losses,
    Gradient,
    testing::Values(
        with_loss("Smoothed", Loss::softmax_cross_entropy, {0.2, {}, 1.0}),
        with_loss("Weighted", Loss::softmax_cross_entropy, {0.1, {0.5F, 2.0F, 1.0F}, 1.0}),
        with_loss("BinaryCrossEntropy", Loss::binary_cross_entropy, {}),
        with_loss("MeanSquaredError", Loss::mean_squared_error, {}),
        with_loss("MeanAbsoluteError", Loss::mean_absolute_error, {}),
        with_loss("Huber", Loss::huber, {0.0, {}, 0.4})),
    [](const testing::TestParamInfo<Case>& instance) { return instance.param.name; });

TEST(Network, ASmallBatchOnALargeTapeGivesItsOwnGradient) {
  const ModelSpec model{{2, 6, 6},
                        {Conv2d{"", 4, 3, 1, 1},
                         GroupNorm{"", 2},
                         Relu{},
                         MaxPool2d{2, 2},
                         Reshape{{4, 9}},
                         Gru{"", 5},
                         Dense{"", 3}}};
  const auto data = make_examples({2, 6, 6}, 9, 3);
  auto own = Network::create(model);
  auto padded = Network::create(model);
  ASSERT_TRUE(own && padded);
  const auto start = start_of(model);
  std::copy(start.begin(), start.end(), (*own)->parameters().begin());
  std::copy(start.begin(), start.end(), (*padded)->parameters().begin());
  const auto exact = (*own)->gradient_of(data, {rows_up_to(3)});
  const auto same = (*padded)->gradient_of(data, {rows_up_to(3), 8});
  ASSERT_TRUE(exact && same);
  EXPECT_NEAR(exact->loss, same->loss, 1e-5);
  EXPECT_EQ(exact->correct, same->correct);
  for (std::size_t i = 0; i < start.size(); ++i) {
    EXPECT_NEAR((*own)->gradient()[i], (*padded)->gradient()[i], 1e-6) << i;
  }
  EXPECT_GT((*padded)->arena_bytes(), (*own)->arena_bytes());
}

// A class at each of three steps is the same as three examples.
class Sequences : public testing::Test {
 protected:
  static constexpr std::size_t kExamples = 4;
  static constexpr std::size_t kSteps = 3;

  static client::Dataset data(std::vector<std::uint64_t> shape, float third_target = 2.0F) {
    client::Dataset::Parts parts;
    parts.feature_shape = std::move(shape);
    const bool sequence = parts.feature_shape.size() == 2;
    for (std::size_t i = 0; i < kExamples * kSteps * 2; ++i) {
      parts.features.push_back(static_cast<float>(i % 7) * 0.3F - 1.0F);
    }
    std::vector<float> classes;
    for (std::size_t i = 0; i < kExamples * kSteps; ++i) {
      classes.push_back(i == 2 ? third_target : static_cast<float>((i * i) % 4));
    }
    if (sequence) {
      parts.targets = classes;
      parts.target_count = kSteps;
      parts.labels.assign(kExamples, 0);
    } else {
      for (const float target : classes) parts.labels.push_back(static_cast<std::uint32_t>(target));
    }
    return client::Dataset::create(std::move(parts)).value();
  }

  static std::unique_ptr<Network> network(std::vector<std::uint64_t> shape) {
    auto made = Network::create({std::move(shape), {Dense{"", 5}, Tanh{}, Dense{"", 4}}});
    EXPECT_TRUE(made) << made.error().to_string();
    const auto start = start_of((*made)->model());
    std::copy(start.begin(), start.end(), (*made)->parameters().begin());
    return std::move(*made);
  }
};

TEST_F(Sequences, LearnFromEveryStep) {
  const auto whole = network({kSteps, 2});
  const auto single = network({2});
  const auto sequences = data({kSteps, 2});
  const auto examples = data({2});
  ASSERT_TRUE(whole->accepts(sequences));
  const auto of_whole = whole->gradient_of(sequences, {rows_up_to(kExamples), 6});
  const auto of_single = single->gradient_of(examples, {rows_up_to(kExamples * kSteps)});
  ASSERT_TRUE(of_whole && of_single);
  EXPECT_NEAR(of_whole->loss / kExamples, of_single->loss / (kExamples * kSteps), 1e-6);
  EXPECT_NEAR(of_whole->correct / kExamples, of_single->correct / (kExamples * kSteps), 1e-12);
  for (std::size_t i = 0; i < whole->gradient().size(); ++i) {
    EXPECT_NEAR(whole->gradient()[i], single->gradient()[i], 1e-6) << i;
  }
}

TEST_F(Sequences, NeedAClassForEachStep) {
  const auto model = network({kSteps, 2});
  for (const float wrong : {-1.0F, 4.0F, 0.5F}) {
    const auto refused = model->loss_of(data({kSteps, 2}, wrong), {rows_up_to(1)});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, errc::unsupported_feature);
    EXPECT_THAT(refused.error().detail,
                testing::AllOf(testing::HasSubstr("example 0"),
                               testing::HasSubstr("at step 2"),
                               testing::HasSubstr("0 to 3")));
  }
  const auto without = model->accepts(make_examples({kSteps, 2}, 4, 3));
  ASSERT_FALSE(without);
  EXPECT_THAT(without.error().detail,
              testing::HasSubstr("0 targets each; the model gives scores at 3"));
}

TEST(Network, BatchNormMovesItsRunningValuesOnlyInTraining) {
  const ModelSpec model{{4}, {BatchNorm{"bn", 1e-5, 0.25}, Dense{"", 3}}};
  const auto data = make_examples({4}, 5, 3);
  auto network = Network::create(model);
  ASSERT_TRUE(network);
  const auto start = start_of(model);
  std::copy(start.begin(), start.end(), (*network)->parameters().begin());
  ASSERT_TRUE((*network)->loss_of(data, {rows_up_to(5)}));
  EXPECT_TRUE(std::equal(start.begin(), start.end(), (*network)->parameters().begin()));
  ASSERT_TRUE((*network)->gradient_of(data, {rows_up_to(5)}));
  for (std::size_t f = 0; f < 4; ++f) {
    double sum = 0.0;
    double squares = 0.0;
    for (std::size_t i = 0; i < 5; ++i) sum += data.example(i).value().features[f] / 5;
    for (std::size_t i = 0; i < 5; ++i)
      squares += std::pow(data.example(i).value().features[f] - sum, 2) / 4;
    EXPECT_NEAR((*network)->parameters()[8 + f], 0.25 * sum, 1e-6);
    EXPECT_NEAR((*network)->parameters()[12 + f], 0.75 + 0.25 * squares, 1e-6);
    EXPECT_EQ((*network)->gradient()[8 + f], 0.0F);
  }
  // One example alone: its variance is 0, and says nothing about the population's.
  const float before = (*network)->parameters()[12];
  ASSERT_TRUE((*network)->gradient_of(data, {rows_up_to(1)}));
  EXPECT_EQ((*network)->parameters()[12], before);
}

TEST(Network, DropoutIsAFunctionOfKeyAndStep) {
  const ModelSpec model{{64}, {Dropout{0.25}, Dense{"", 3}}};
  const auto data = make_examples({64}, 40, 3);
  auto network = Network::create(model);
  ASSERT_TRUE(network);
  const auto start = start_of(model);
  std::copy(start.begin(), start.end(), (*network)->parameters().begin());
  const auto loss_with = [&](std::uint64_t key, std::uint64_t step) {
    (*network)->set_randomness(key, step);
    return (*network)->gradient_of(data, {rows_up_to(40)})->loss;
  };
  const double loss = loss_with(1, 1);
  EXPECT_EQ(loss, loss_with(1, 1));
  EXPECT_NE(loss, loss_with(1, 2));
  EXPECT_NE(loss, loss_with(2, 1));
  const double whole = (*network)->loss_of(data, {rows_up_to(40)})->loss;
  EXPECT_NE(loss, whole) << "evaluation drops nothing";
}

TEST(Network, DropoutDropsItsShare) {
  // The weight's gradient is the sum of what the inputs were: 1 / (1 − rate) or 0.
  const ModelSpec model{{400}, {Dropout{0.25}, Dense{"", 2}}};
  client::Dataset::Parts parts{std::vector<float>(400, 1.0F), {400}, {0}, 2, {}, 0};
  const auto data = client::Dataset::create(std::move(parts));
  ASSERT_TRUE(data);
  auto network = Network::create(model);
  ASSERT_TRUE(network);
  std::fill((*network)->parameters().begin(), (*network)->parameters().end(), 0.0F);
  (*network)->set_randomness(11, 0);
  ASSERT_TRUE((*network)->gradient_of(*data, {rows_up_to(1)}));
  std::size_t kept = 0;
  for (std::size_t i = 0; i < 400; ++i) {
    const float slope = (*network)->gradient()[i];  // (p − 1)·x with p = 1/2
    if (slope != 0.0F) {
      ++kept;
      EXPECT_FLOAT_EQ(slope, -0.5F / 0.75F);
    }
  }
  EXPECT_NEAR(static_cast<double>(kept), 300, 40);
}

TEST(Network, RefusesExamplesThatDoNotSuitTheModel) {
  const auto why = [](const ModelSpec& model, const client::Dataset& data) -> std::string {
    auto network = Network::create(model);
    if (!network) return network.error().detail;
    std::fill((*network)->parameters().begin(), (*network)->parameters().end(), 0.0F);
    if (const auto accepted = (*network)->accepts(data); !accepted) return accepted.error().detail;
    const auto met = (*network)->loss_of(data, {rows_up_to(data.size())});
    return met ? "accepted" : met.error().detail;
  };
  const auto normal = make_examples({3}, 4, 3);
  EXPECT_THAT(why({{3}, {Embedding{"", 5, 2}, Flatten{}, Dense{"", 3}}}, normal),
              testing::HasSubstr("whole numbers from 0 to 4"));
  EXPECT_THAT(why({{3}, {Dense{"", 2}}, Loss::mean_squared_error, {}}, normal),
              testing::HasSubstr("have 1 targets each; the model has 2 outputs"));
  EXPECT_EQ(why({{3}, {Dense{"", 1}}, Loss::mean_squared_error, {}}, normal), "accepted");
  EXPECT_THAT(why({{3}, {Dense{"", 1}}, Loss::binary_cross_entropy, {}}, make_examples({3}, 40, 3)),
              testing::HasSubstr("has the target 2; binary_cross_entropy expects 0 to 1"));
  EXPECT_THAT(why({{3}, {Dense{"", 2}}}, make_examples({3}, 40, 3)),
              testing::HasSubstr("has label 2; the model's 2 outputs stand for the labels 0 to 1"));
  const auto unlabelled = client::Dataset::create({{1, 2, 3}, {3}, {}, 0, {0.5F}, 1});
  ASSERT_TRUE(unlabelled);
  EXPECT_THAT(why({{3}, {Dense{"", 2}}}, *unlabelled), testing::HasSubstr("have no labels"));
}

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
  ASSERT_TRUE((*network)->gradient_of(data, {first}));
  const std::vector<float> gradient((*network)->gradient().begin(), (*network)->gradient().end());
  ASSERT_TRUE((*network)->gradient_of(data, {tail}));
  ASSERT_TRUE((*network)->loss_of(data, {rows_up_to(9)}));
  ASSERT_TRUE((*network)->gradient_of(data, {first}));
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
    const auto one = (*network)->loss_of(data, {std::vector<std::uint32_t>{i}});
    ASSERT_TRUE(one);
    sum += one->loss;
  }
  for (std::size_t batch = 1; batch <= 40; ++batch) {
    ASSERT_TRUE((*network)->loss_of(data, {rows_up_to(batch)}));
  }
  EXPECT_NEAR((*network)->loss_of(data, {rows_up_to(40)})->loss, sum, 1e-4);
}

TEST(Network, RefusesModelsThatDoNotFitTogether) {
  const auto network = Network::create(ModelSpec{{1, 4, 4}, {Dense{"", 3}}});
  ASSERT_FALSE(network);
  EXPECT_EQ(network.error().code, errc::invalid_argument);
}

}  // namespace
}  // namespace chorus::train
