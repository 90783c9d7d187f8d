#include "chorus/model.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "common/tensor/layer_names.hpp"

namespace chorus {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint64_t kHuge = std::numeric_limits<std::uint64_t>::max();

// The convolutional network of McMahan et al. 2017.
ModelSpec fedavg_cnn() {
  return {{1, 28, 28},
          {Conv2d{"", 32, 5, 1, 2},
           Relu{},
           MaxPool2d{2, 2},
           Conv2d{"", 64, 5, 1, 2},
           Relu{},
           MaxPool2d{2, 2},
           Flatten{},
           Dense{"", 512},
           Relu{},
           Dense{"", 10}}};
}

ModelSpec mlp() {
  return {{4}, {Dense{"", 3}, Relu{}, Dense{"", 2}}};
}

std::string why(const ModelSpec& model) {
  const auto layout = layout_of(model);
  if (layout) return "accepted";
  EXPECT_EQ(layout.error().code, errc::invalid_argument);
  EXPECT_FALSE(shapes_of(model) && initial_parameters(model, 1));
  return layout.error().detail;
}

TEST(Model, LaysOutTheFedAvgNetwork) {
  const auto layout = layout_of(fedavg_cnn());
  ASSERT_TRUE(layout) << layout.error().to_string();
  EXPECT_EQ(layout->parameters, 1'663'370U);
  ASSERT_EQ(layout->tensors.size(), 8U);
  EXPECT_EQ(layout->tensors[0], (TensorSpec{"conv1.weight", {32, 1, 5, 5}, 0, 800}));
  EXPECT_EQ(layout->tensors[1], (TensorSpec{"conv1.bias", {32}, 800, 32}));
  EXPECT_EQ(layout->tensors[2], (TensorSpec{"conv2.weight", {64, 32, 5, 5}, 832, 51200}));
  EXPECT_EQ(layout->tensors[4], (TensorSpec{"dense1.weight", {512, 3136}, 52096, 1605632}));
  EXPECT_EQ(layout->tensors[7], (TensorSpec{"dense2.bias", {10}, 1663360, 10}));
}

TEST(Model, DerivesShapes) {
  const auto shapes = shapes_of(fedavg_cnn());
  ASSERT_TRUE(shapes);
  EXPECT_THAT((*shapes)[0], ElementsAre(32, 28, 28));
  EXPECT_THAT((*shapes)[2], ElementsAre(32, 14, 14));
  EXPECT_THAT((*shapes)[5], ElementsAre(64, 7, 7));
  EXPECT_THAT((*shapes)[6], ElementsAre(3136));
  EXPECT_THAT((*shapes)[9], ElementsAre(10));
}

TEST(Model, RoundsWindowsDown) {
  const ModelSpec model{{2, 8, 9},
                        {Conv2d{"", 3, 3, 2, 1}, MaxPool2d{3, 2}, Flatten{}, Dense{"", 2}}};
  const auto shapes = shapes_of(model);
  ASSERT_TRUE(shapes) << shapes.error().detail;
  EXPECT_THAT((*shapes)[0], ElementsAre(3, 4, 5));
  EXPECT_THAT((*shapes)[1], ElementsAre(3, 1, 2));
}

TEST(Model, NamesLayersWithoutName) {
  const ModelSpec model{{4}, {Dense{"", 3}, Relu{}, Dense{"head", 3}, Dense{"", 2}}};
  const auto names = tensor::layer_names(model);
  ASSERT_TRUE(names);
  EXPECT_THAT(*names, ElementsAre("dense1", "", "head", "dense3"));
}

TEST(Model, RefusesDuplicateNames) {
  EXPECT_THAT(why({{4}, {Dense{"a", 3}, Dense{"a", 2}}}), HasSubstr("layer 2 (dense 'a')"));
  EXPECT_THAT(why({{4}, {Dense{"dense2", 3}, Dense{"", 2}}}), HasSubstr("its own name"));
}

TEST(Model, RefusesBadNames) {
  for (const std::string name : {"a b", "a/b", "\n", "ü", "a\"b"}) {
    EXPECT_THAT(why({{4}, {Dense{name, 2}}}), HasSubstr("layer 1 (dense)")) << name;
  }
  EXPECT_EQ(why({{4}, {Dense{std::string(limits::kNameBytesMax, 'a'), 2}}}), "accepted");
  EXPECT_THAT(why({{4}, {Dense{std::string(limits::kNameBytesMax + 1, 'a'), 2}}}),
              HasSubstr("64 bytes"));
}

TEST(Model, RefusesNoLayersAndTooManyLayers) {
  EXPECT_THAT(why({{4}, {}}), HasSubstr("0 layers"));
  ModelSpec model{{4}, {Dense{"", 2}}};
  model.layers.resize(limits::kLayersMax, Relu{});
  EXPECT_EQ(why(model), "accepted");
  model.layers.emplace_back(Relu{});
  EXPECT_THAT(why(model), HasSubstr("1025 layers"));
}

TEST(Model, RefusesBadInputShapes) {
  const std::vector<Layer> layers{Flatten{}, Dense{"", 2}};
  EXPECT_THAT(why({{}, layers}), HasSubstr("0 dimensions"));
  EXPECT_THAT(why({{2, 3}, layers}), HasSubstr("2 dimensions"));
  EXPECT_THAT(why({{1, 2, 3, 4}, layers}), HasSubstr("4 dimensions"));
  EXPECT_THAT(why({{0}, layers}), HasSubstr("at least 1"));
  EXPECT_THAT(why({{1, 0, 8}, layers}), HasSubstr("1x0x8"));
  EXPECT_THAT(why({{kHuge, 2, 2}, layers}), HasSubstr("at most"));
  EXPECT_THAT(why({{1ULL << 32U, 1ULL << 32U, 1}, layers}), HasSubstr("at most"));
}

TEST(Model, RefusesActivationsBeyondTheLimit) {
  const std::uint64_t most = limits::kActivationElementsMax;
  EXPECT_EQ(why({{most}, {Dense{"", 2}}}), "accepted");
  EXPECT_THAT(why({{most + 1}, {Dense{"", 2}}}), HasSubstr("input_shape is"));
  EXPECT_THAT(why({{1, 1024, 1024}, {Conv2d{"", 257, 1, 1, 0}, Flatten{}, Dense{"", 2}}}),
              HasSubstr("the output of layer 1 (conv2d 'conv1')"));
}

TEST(Model, RefusesMoreParametersThanTheLimit) {
  EXPECT_THAT(why({{1ULL << 20U}, {Dense{"", 1ULL << 20U}}}), HasSubstr("dense1.weight"));
  EXPECT_THAT(why({{2}, {Dense{"", kHuge}}}), HasSubstr("dense1"));
  EXPECT_THAT(why({{1ULL << 20U}, {Dense{"", 4096}, Dense{"", 2}}}), HasSubstr("dense1.bias"));
}

TEST(Model, NamesTheLayerThatDoesNotFit) {
  EXPECT_THAT(why({{1, 8, 8}, {Conv2d{"", 4, 3, 1, 1}, Relu{}, Dense{"", 10}}}),
              HasSubstr("layer 3 (dense 'dense1') receives 4x8x8 and expects a flat input"));
  EXPECT_THAT(why({{64}, {Conv2d{"", 4, 3, 1, 1}}}),
              HasSubstr("layer 1 (conv2d 'conv1') receives 64 and expects channels"));
  EXPECT_THAT(why({{64}, {MaxPool2d{2, 2}, Dense{"", 2}}}), HasSubstr("layer 1 (max_pool2d)"));
  EXPECT_THAT(why({{1, 4, 4}, {MaxPool2d{5, 1}, Flatten{}, Dense{"", 2}}}),
              HasSubstr("receives 1x4x4 and expects at least 5x5"));
}

TEST(Model, RefusesZerosAndOverflowInLayers) {
  const auto conv = [](Conv2d layer) {
    return why({{1, 8, 8}, {std::move(layer), Flatten{}, Dense{"", 2}}});
  };
  EXPECT_THAT(conv({"", 0, 3, 1, 1}), HasSubstr("channels 0"));
  EXPECT_THAT(conv({"", 4, 0, 1, 0}), HasSubstr("kernel 0"));
  EXPECT_THAT(conv({"", 4, 3, 0, 0}), HasSubstr("stride 0"));
  EXPECT_THAT(conv({"", 4, 3, 1, 3}), HasSubstr("padding 3 and kernel 3"));
  EXPECT_THAT(conv({"", 4, 9, 1, 0}), HasSubstr("at least 9x9"));
  EXPECT_THAT(conv({"", 4, kHuge, 1, kHuge - 1}), HasSubstr("expects"));
  EXPECT_THAT(conv({"", 4, 1ULL << 63U, 1, (1ULL << 63U) - 1}), HasSubstr("receives"));
  EXPECT_THAT(conv({"", kHuge, 3, 1, 1}), HasSubstr("at most"));
  EXPECT_EQ(conv({"", 4, 3, kHuge, 1}), "accepted");
  EXPECT_THAT(why({{4}, {Dense{"", 0}}}), HasSubstr("units 0"));
  EXPECT_THAT(why({{1, 4, 4}, {MaxPool2d{0, 1}, Flatten{}, Dense{"", 2}}}), HasSubstr("kernel 0"));
  EXPECT_THAT(why({{1, 4, 4}, {MaxPool2d{1, 0}, Flatten{}, Dense{"", 2}}}), HasSubstr("stride 0"));
}

TEST(Model, RefusesOutputsThatAreNotScores) {
  EXPECT_THAT(why({{1, 8, 8}, {Conv2d{"", 4, 3, 1, 1}}}), HasSubstr("the last output"));
  EXPECT_THAT(why({{4}, {Dense{"", 1}}}), HasSubstr("at least 2 classes"));
  ModelSpec model = mlp();
  model.loss = static_cast<Loss>(9);
  EXPECT_THAT(why(model), HasSubstr("loss 9"));
}

TEST(Model, RefusesModelsWithoutParameters) {
  EXPECT_THAT(why({{4}, {Relu{}}}), HasSubstr("no parameters"));
}

TEST(Model, InitialParametersAreTheSameBitsEverywhere) {
  const auto parameters = initial_parameters(mlp(), 42);
  ASSERT_TRUE(parameters);
  ASSERT_EQ(parameters->size(), 3U * 4 + 3 + 2 * 3 + 2);
  EXPECT_EQ(*initial_parameters(mlp(), 42), *parameters);
  EXPECT_NE(*initial_parameters(mlp(), 43), *parameters);
  // From tests/golden/initial_parameters.py. A change here changes every job ever started.
  EXPECT_EQ((*parameters)[0], -0.0431266613304615F);
  EXPECT_EQ((*parameters)[11], -0.5350614786148071F);
}

TEST(Model, InitialParametersFollowHe) {
  const auto layout = layout_of(fedavg_cnn());
  const auto parameters = initial_parameters(fedavg_cnn(), 7);
  ASSERT_TRUE(layout && parameters);
  for (const TensorSpec& tensor : layout->tensors) {
    const auto* const first = parameters->data() + tensor.offset;
    if (tensor.shape.size() == 1) {
      EXPECT_TRUE(std::all_of(first, first + tensor.count, [](float x) { return x == 0.0F; }));
      continue;
    }
    const double fan_in = static_cast<double>(tensor.count / tensor.shape[0]);
    double sum = 0.0;
    double squares = 0.0;
    double largest = 0.0;
    for (std::uint64_t i = 0; i < tensor.count; ++i) {
      sum += first[i];
      squares += double{first[i]} * first[i];
      largest = std::max(largest, std::abs(double{first[i]}));
    }
    const double count = static_cast<double>(tensor.count);
    EXPECT_LE(largest, std::sqrt(6.0 / fan_in) * (1 + 1e-7)) << tensor.name;
    EXPECT_NEAR(squares / count, 2.0 / fan_in, 0.2 / fan_in) << tensor.name;
    EXPECT_NEAR(sum / count, 0.0, 5.0 * std::sqrt(2.0 / fan_in / count)) << tensor.name;
  }
}

}  // namespace
}  // namespace chorus
