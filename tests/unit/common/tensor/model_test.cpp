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
  EXPECT_EQ(why({{2, 3}, layers}), "accepted");
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
  EXPECT_THAT(why({{2}, {Embedding{"", 1ULL << 32U, 8}, Flatten{}, Dense{"", 2}}}),
              HasSubstr("embedding1.weight"));
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
  EXPECT_THAT(conv({"", 4, kHuge, 1, kHuge - 1}), HasSubstr("expected 1 to 1024"));
  EXPECT_THAT(conv({"", kHuge, 3, 1, 1}), HasSubstr("channels 18446744073709551615; expected 1"));
  EXPECT_THAT(conv({"", 4, 3, kHuge, 1}), HasSubstr("stride"));
  EXPECT_EQ(conv({"", 4, 3, 1024, 1}), "accepted");
  EXPECT_EQ(conv({"", 4, 3, 1, 4, 2}), "accepted");
  EXPECT_THAT(conv({"", 4, 3, 1, 5, 2}), HasSubstr("padding 5"));
  EXPECT_THAT(conv({"", 4, 3, 1, 0, 4}), HasSubstr("at least 9x9"));
  EXPECT_THAT(conv({"", 4, 3, 1, 0, 1, 2}), HasSubstr("its 2 groups divide"));
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

// What each layer does to a shape, and the shapes it refuses.
struct ShapeCase {
  std::vector<std::uint64_t> input;
  Layer layer;
  std::vector<std::uint64_t> output;  // empty: refused
};

TEST(Model, DerivesTheShapesOfEveryKindOfLayer) {
  const std::vector<ShapeCase> cases = {
      {{6, 4}, Dense{"", 5}, {6, 5}},
      {{3, 20}, Conv1d{"", 8, 5, 2, 2}, {8, 10}},
      {{4, 20}, Conv1d{"", 8, 3, 1, 2, 2, 4}, {8, 20}},
      {{4}, Conv1d{"", 8, 3}, {}},
      {{3, 20}, MaxPool1d{2, 2}, {3, 10}},
      {{3, 20}, AvgPool1d{3, 2, 1}, {3, 10}},
      {{3, 20}, AvgPool1d{3, 2, 2}, {}},
      {{3, 8, 8}, AvgPool2d{3, 2, 1}, {3, 4, 4}},
      {{3, 8, 8}, GlobalAvgPool{}, {3}},
      {{3}, GlobalAvgPool{}, {}},
      {{3, 8}, GlobalMaxPool{}, {3}},
      {{3}, GlobalMaxPool{}, {}},
      {{3, 8, 8}, BatchNorm{}, {3, 8, 8}},
      {{3, 8, 8}, LayerNorm{}, {}},
      {{3, 8}, LayerNorm{}, {3, 8}},
      {{6, 8, 8}, GroupNorm{"", 3}, {6, 8, 8}},
      {{6, 8, 8}, GroupNorm{"", 4}, {}},
      {{3, 8, 8}, Softmax{}, {}},
      {{3, 8, 8}, Dropout{1.0}, {}},
      {{3}, LeakyRelu{-0.1}, {}},
      {{12}, Embedding{"", 50, 8}, {12, 8}},
      {{12, 2}, Embedding{"", 50, 8}, {}},
      {{12, 2}, PositionEmbedding{}, {12, 2}},
      {{12, 2}, Lstm{"", 7}, {7}},
      {{12, 2}, Lstm{"", 7, 2, true, true}, {12, 14}},
      {{12, 2}, Gru{"", 7, 1, true}, {14}},
      {{12}, Gru{"", 7}, {}},
      {{12, 8}, SelfAttention{"", 4}, {12, 8}},
      {{12, 8}, SelfAttention{"", 3}, {}},
      {{12}, Reshape{{3, 2, 2}}, {3, 2, 2}},
      {{12}, Reshape{{3, 5}}, {}},
      {{12}, Reshape{{}}, {}},
      {{12, 2}, Transpose{}, {2, 12}},
      {{12, 2}, Add{"nothing"}, {}},
      {{12, 2}, Mark{""}, {}},
      {{12, 2}, Branch{"nothing"}, {}},
  };
  for (const ShapeCase& one : cases) {
    const ModelSpec model{one.input, {one.layer, Flatten{}, Dense{"", 2}}};
    const auto shapes = shapes_of(model);
    const std::string layer = tensor::describe_layer(model, 0);
    EXPECT_EQ(static_cast<bool>(shapes), !one.output.empty()) << layer << ": " << why(model);
    if (shapes) {
      EXPECT_EQ((*shapes)[0], one.output) << layer;
    } else {
      EXPECT_THAT(why(model), HasSubstr(layer));
    }
  }
}

TEST(Model, NamesTensorsAsPyTorchDoes) {
  const ModelSpec model{{5, 4},
                        {Lstm{"rnn", 3, 2, true, true},
                         SelfAttention{"mha", 2},
                         Transpose{},
                         BatchNorm{"bn"},
                         Flatten{},
                         Dense{"fc", 2, false}}};
  const auto layout = layout_of(model);
  ASSERT_TRUE(layout) << layout.error().detail;
  std::vector<std::string> names;
  for (const TensorSpec& tensor : layout->tensors) {
    names.push_back(tensor.name);
    EXPECT_EQ(tensor.buffer, tensor.name.starts_with("bn.running")) << tensor.name;
  }
  EXPECT_EQ(names.size(), 16U + 4 + 4 + 1);
  EXPECT_EQ(names[4], "rnn.weight_ih_l0_reverse");
  EXPECT_EQ(names[8], "rnn.weight_ih_l1");
  EXPECT_EQ(layout->tensors[8].shape, (std::vector<std::uint64_t>{12, 6}));
  EXPECT_THAT((std::vector<std::string>(names.begin() + 16, names.end())),
              ElementsAre("mha.in_proj_weight",
                          "mha.in_proj_bias",
                          "mha.out_proj.weight",
                          "mha.out_proj.bias",
                          "bn.weight",
                          "bn.bias",
                          "bn.running_mean",
                          "bn.running_var",
                          "fc.weight"));
  const auto start = initial_parameters(model, 1);
  ASSERT_TRUE(start);
  EXPECT_EQ((*start)[layout->tensors[20].offset], 1.0F);  // bn.weight
  EXPECT_EQ((*start)[layout->tensors[22].offset], 0.0F);  // bn.running_mean
  EXPECT_EQ((*start)[layout->tensors[23].offset], 1.0F);  // bn.running_var
}

TEST(Model, AdaptersStandBehindTheirWeights) {
  const ModelSpec model{{2, 8, 6},
                        {Conv2d{"c", 4, 3, 1, 1, 1, 1, false, 2},
                         Reshape{{32, 6}},
                         SelfAttention{"a", 2, false, 3},
                         Flatten{},
                         Dense{"d", 5, true, 7, 14.0}}};
  const auto layout = layout_of(model);
  ASSERT_TRUE(layout) << layout.error().detail;
  std::vector<std::string> tensors;
  for (const TensorSpec& tensor : layout->tensors) {
    tensors.push_back(tensor.name + " " + tensor::describe_shape(tensor.shape));
    EXPECT_EQ(is_adapter_name(tensor.name), tensor.name.find("lora_") != std::string::npos);
  }
  EXPECT_THAT(tensors,
              ElementsAre("c.weight 4x2x3x3",
                          "c.lora_A 2x2x3x3",
                          "c.lora_B 4x2x1x1",
                          "a.in_proj_weight 18x6",
                          "a.in_proj_bias 18",
                          "a.in_proj_lora_A 3x6",
                          "a.in_proj_lora_B 18x3",
                          "a.out_proj.weight 6x6",
                          "a.out_proj.bias 6",
                          "a.out_proj.lora_A 3x6",
                          "a.out_proj.lora_B 6x3",
                          "d.weight 5x192",
                          "d.bias 5",
                          "d.lora_A 7x192",
                          "d.lora_B 5x7"));
  const auto start = initial_parameters(model, 1);
  ASSERT_TRUE(start);
  const TensorSpec& down = layout->tensors[13];
  float most = 0.0F;
  for (std::uint64_t i = 0; i < down.count; ++i) {
    most = std::max(most, std::abs((*start)[down.offset + i]));
  }
  const double bound = 1.0 / std::sqrt(192.0);
  EXPECT_LE(most, bound);
  EXPECT_GT(most, 0.95 * bound);
  EXPECT_EQ((*start)[layout->tensors[14].offset], 0.0F) << "the adapter begins without effect";
  EXPECT_EQ(lora_scale(std::get<Dense>(model.layers[4])), 2.0);
  EXPECT_EQ(lora_scale(std::get<Conv2d>(model.layers[0])), 1.0);
}

TEST(Model, AdaptersWantConvolutionsWithoutGroups) {
  EXPECT_THAT(why({{4, 6, 6}, {Conv2d{"", 4, 3, 1, 1, 1, 2, true, 2}, Flatten{}, Dense{"", 2}}}),
              HasSubstr("has lora_rank 2 and 2 groups"));
}

TEST(Model, RefusesTwoTensorsOfOneName) {
  EXPECT_THAT(why({{3, 4}, {SelfAttention{"a", 2}, Dense{"a.out_proj", 2}, Flatten{}}}),
              HasSubstr("'a.out_proj.weight'"));
}

TEST(Model, BranchesJoinAgain) {
  const ModelSpec block{{2, 6, 6},
                        {Mark{"in"},
                         Conv2d{"", 4, 3, 2, 1},
                         Mark{"main"},
                         Branch{"in"},
                         Conv2d{"", 4, 1, 2, 0},
                         Add{"main"},
                         Concat{"main"},
                         Flatten{},
                         Dense{"", 2}}};
  const auto shapes = shapes_of(block);
  ASSERT_TRUE(shapes) << shapes.error().detail;
  EXPECT_THAT((*shapes)[3], ElementsAre(2, 6, 6));
  EXPECT_THAT((*shapes)[6], ElementsAre(8, 3, 3));
}

TEST(Model, RefusesBranchesThatDoNotJoin) {
  const std::vector<Layer> tail{Flatten{}, Dense{"", 2}};
  const auto with = [&tail](std::vector<Layer> layers) {
    layers.insert(layers.end(), tail.begin(), tail.end());
    return why({{2, 6}, layers});
  };
  EXPECT_THAT(with({Mark{"a"}, Relu{}}), HasSubstr("nobody refers to the mark 'a'"));
  EXPECT_THAT(with({Mark{"a"}, Mark{"a"}, Add{"a"}}), HasSubstr("earlier mark"));
  EXPECT_THAT(with({Mark{"a"}, Relu{}, Branch{"a"}}), HasSubstr("right after a mark"));
  EXPECT_THAT(with({Mark{"a"}, Dense{"", 3}, Add{"a"}}), HasSubstr("2x6, the shape at the mark"));
  EXPECT_THAT(with({Mark{"a"}, Dense{"", 3}, Concat{"a"}}), HasSubstr("but for the first"));
  EXPECT_THAT(with({Relu{}, Embedding{"", 5, 2}}), HasSubstr("to be the first layer"));
}

TEST(Model, ChecksTheOptionsOfTheLoss) {
  ModelSpec model = mlp();
  model.loss_options = {0.1, {1.0F, 2.0F}, 1.0};
  EXPECT_EQ(why(model), "accepted");
  model.loss_options.label_smoothing = 1.0;
  EXPECT_THAT(why(model), HasSubstr("label_smoothing is 1"));
  model.loss_options = {0.0, {1.0F}, 1.0};
  EXPECT_THAT(why(model), HasSubstr("1 class_weights; expected one for each of the 2"));
  model.loss_options.class_weights = {0.0F, 0.0F};
  EXPECT_THAT(why(model), HasSubstr("all 0"));
  model.loss_options.class_weights = {-1.0F, 1.0F};
  EXPECT_THAT(why(model), HasSubstr("class_weights has -1"));
  model.loss = Loss::huber;
  model.loss_options = {0.0, {}, 0.0};
  EXPECT_THAT(why(model), HasSubstr("huber_delta is 0"));
  model.loss_options = {0.1, {}, 1.0};
  EXPECT_THAT(why(model), HasSubstr("only with softmax_cross_entropy"));
  model.loss_options = {};
  EXPECT_EQ(why({{4}, {Dense{"", 1}}, Loss::huber, {}}), "accepted");
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
