// Models as PyTorch exports them; tests/golden/make_onnx_models.py wrote the files and what PyTorch
// computes on them.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <sys/wait.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/train/plan_runner.hpp"
#include "common/onnx/onnx.hpp"
#include "common/tensor/layer_names.hpp"
#include "common/tensor/safetensors.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/unit/common/onnx/forward.hpp"

namespace chorus::onnx {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::filesystem::path kGolden = CHORUS_GOLDEN_DIR "/onnx";

Import imported(const std::string& name, const std::filesystem::path& folder = kGolden) {
  auto import = load_model(folder / (name + ".onnx"));
  EXPECT_TRUE(import) << import.error().detail;
  if (!import) return {};
  EXPECT_EQ(text_of(import->problems), "") << name;
  return std::move(*import);
}

std::vector<std::string> kinds(const ModelSpec& model) {
  std::vector<std::string> all;
  for (const Layer& layer : model.layers) all.emplace_back(tensor::kind_of(layer));
  return all;
}

std::vector<std::string> tensors(const ModelSpec& model) {
  std::vector<std::string> all;
  const auto layout = layout_of(model);
  EXPECT_TRUE(layout) << layout.error().detail;
  if (!layout) return all;
  for (const TensorSpec& tensor : layout->tensors) all.push_back(tensor.name);
  return all;
}

/// What the import left out at the end, because the loss computes it.
enum class End { none, softmax, log_softmax, sigmoid };

struct Golden {
  std::string name;
  End end = End::none;
};
void PrintTo(const Golden& shown, std::ostream* out) {
  *out << shown.name;
}

void finish(End end, std::span<float> row) {
  if (end == End::none) return;
  double sum = 0.0;
  for (const float value : row) sum += std::exp(static_cast<double>(value));
  for (float& value : row) {
    const double x = value;
    if (end == End::softmax) value = static_cast<float>(std::exp(x) / sum);
    if (end == End::log_softmax) value = static_cast<float>(x - std::log(sum));
    if (end == End::sigmoid) value = static_cast<float>(1 / (1 + std::exp(-x)));
  }
}

// What PyTorch was given and gave.
struct Numbers {
  std::span<const float> input;
  std::span<const float> output;
};

Numbers numbers_of(const std::string& name, const tensor::SafetensorsFile& file) {
  const auto of = [&](const std::string& key) -> std::span<const float> {
    for (const TensorSpec& tensor : file.layout.tensors) {
      if (tensor.name == key) return file.data.span().subspan(tensor.offset, tensor.count);
    }
    ADD_FAILURE() << key;
    return {};
  };
  return {of(name + ".input"), of(name + ".output")};
}

Numbers golden_numbers(const std::string& name) {
  static const auto file = tensor::read_safetensors(kGolden / "outputs.safetensors");
  return numbers_of(name, *file);
}

class OnnxGolden : public testing::TestWithParam<Golden> {};

void gives_pytorchs_outputs(const Golden& golden, const Import& import, const Numbers& numbers) {
  ASSERT_FALSE(import.model.layers.empty());
  constexpr std::size_t kBatch = 3;
  auto outputs = test::outputs_of(import.model, import.parameters, numbers.input, kBatch);
  const auto expected = numbers.output;
  ASSERT_EQ(outputs.size(), expected.size());
  const std::size_t width = outputs.size() / kBatch;
  double scale = 0.0;
  for (const float value : expected) scale = std::max(scale, std::abs(static_cast<double>(value)));
  for (std::size_t row = 0; row < kBatch; ++row) {
    finish(golden.end, std::span(outputs).subspan(row * width, width));
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    EXPECT_NEAR(outputs[i], expected[i], 1e-5 * scale) << i;
  }
}

// Ten steps on one batch: the loss falls, so gradients go through every layer.
void trains(const Import& import, const Numbers& numbers) {
  auto network = train::Network::create(import.model);
  ASSERT_TRUE(network) << network.error().detail;
  std::copy(import.parameters.begin(), import.parameters.end(), (*network)->parameters().begin());
  client::Dataset::Parts parts;
  parts.features.assign(numbers.input.begin(), numbers.input.end());
  parts.feature_shape = import.model.input_shape;
  parts.labels = {0, 1, 0};
  parts.classes = 2;
  auto data = client::Dataset::create(std::move(parts));
  ASSERT_TRUE(data) << data.error().detail;
  const std::vector<std::uint32_t> rows{0, 1, 2};
  const auto before = (*network)->loss_of(*data, {rows});
  ASSERT_TRUE(before) << before.error().detail;
  TrainPlan plan;
  plan.budget = {Budget::Unit::steps, 10};
  plan.optimiser.learning_rate = 0.05;
  const auto report = train::run_plan(**network, *data, plan, {});
  ASSERT_TRUE(report) << report.error().detail;
  const auto after = (*network)->loss_of(*data, {rows});
  ASSERT_TRUE(after);
  EXPECT_LT(after->loss, before->loss);
}

TEST_P(OnnxGolden, GivesPyTorchsOutputs) {
  const Golden& golden = GetParam();
  gives_pytorchs_outputs(golden, imported(golden.name), golden_numbers(golden.name));
}

TEST_P(OnnxGolden, Trains) {
  trains(imported(GetParam().name), golden_numbers(GetParam().name));
}

// Too large to be committed: PyTorch exports it here and now.
TEST(OnnxImport, TakesFedAvgsNetworkFromTheInstalledPyTorch) {
  const test::TempFolder folder;
  const std::string command = std::string(CHORUS_PYTHON) + " " + CHORUS_GOLDEN_DIR +
                              "/make_onnx_models.py " + folder.path().string() + " fedavg_cnn";
  const int status = std::system(command.c_str());
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "PyTorch or onnx is not installed";
  ASSERT_EQ(WEXITSTATUS(status), 0);
  const auto file = tensor::read_safetensors(folder.path() / "outputs.safetensors");
  ASSERT_TRUE(file) << file.error().detail;
  const Import import = imported("fedavg_cnn", folder.path());
  EXPECT_EQ(import.parameters.size(), 1'663'370U);
  const Numbers numbers = numbers_of("fedavg_cnn", *file);
  gives_pytorchs_outputs({"fedavg_cnn"}, import, numbers);
  trains(import, numbers);
}

INSTANTIATE_TEST_SUITE_P(PyTorch,
                         OnnxGolden,
                         testing::Values(Golden{"mlp", End::softmax},
                                         Golden{"mlp_fixed_batch", End::softmax},
                                         Golden{"cnn", End::log_softmax},
                                         Golden{"cnn_train", End::log_softmax},
                                         Golden{"inertial"},
                                         Golden{"resnet_bn"},
                                         Golden{"resnet_bn_kept"},
                                         Golden{"resnet_bn_train"},
                                         Golden{"resnet_gn"},
                                         Golden{"resnet_gn_fixed"},
                                         Golden{"mean", End::sigmoid},
                                         Golden{"concat"},
                                         Golden{"lstm_last"},
                                         Golden{"lstm_ends"},
                                         Golden{"gru_ends"},
                                         Golden{"gru_steps"},
                                         Golden{"transformer_first"},
                                         Golden{"transformer_last"},
                                         Golden{"transformer_fixed"},
                                         Golden{"attention_packed"},
                                         Golden{"attention_parts"}),
                         [](const auto& one) { return one.param.name; });

TEST(OnnxImport, KeepsLayersAndNames) {
  const Import cnn = imported("cnn_train");
  EXPECT_THAT(kinds(cnn.model),
              ElementsAre("conv2d",
                          "tanh",
                          "avg_pool2d",
                          "conv2d",
                          "relu",
                          "max_pool2d",
                          "flatten",
                          "dense",
                          "dropout",
                          "sigmoid",
                          "dense"));
  EXPECT_EQ(std::get<Dropout>(cnn.model.layers[8]).rate, 0.25);
  EXPECT_THAT(tensors(cnn.model),
              ElementsAre("0.weight",
                          "0.bias",
                          "3.weight",
                          "3.bias",
                          "7.weight",
                          "7.bias",
                          "10.weight",
                          "10.bias"));
  EXPECT_THAT(cnn.notes, ElementsAre(HasSubstr("log-softmax")));
  EXPECT_EQ(cnn.opset, 13);
  EXPECT_EQ(cnn.producer, "pytorch 1.13.0");
}

TEST(OnnxImport, KeepsBatchNormWithItsStatistics) {
  const Import import = imported("resnet_bn_train");
  const auto& norm = std::get<BatchNorm>(import.model.layers[1]);
  EXPECT_EQ(norm, (BatchNorm{"1", 1e-5, 0.1}));
  EXPECT_THAT(tensors(import.model), testing::Contains("4.norm1.running_var"));
}

TEST(OnnxImport, StacksLevelsOfOneRecurrentLayer) {
  const Import import = imported("lstm_last");
  EXPECT_THAT(kinds(import.model), ElementsAre("embedding", "lstm", "dense"));
  EXPECT_EQ(std::get<Lstm>(import.model.layers[1]), (Lstm{"lstm", 6, 2, false, false}));
  EXPECT_THAT(tensors(import.model),
              testing::IsSupersetOf({"embedding.weight", "lstm.weight_hh_l1", "fc.bias"}));
  const Import both = imported("gru_steps");
  EXPECT_EQ(std::get<Gru>(both.model.layers[0]), (Gru{"gru", 4, 2, true, true}));
}

TEST(OnnxImport, UnderstandsAttention) {
  const Import import = imported("transformer_last");
  EXPECT_EQ(std::get<SelfAttention>(import.model.layers[3]),
            (SelfAttention{"encoder.layers.0.self_attn", 2, false}));
  EXPECT_THAT(tensors(import.model),
              testing::IsSupersetOf({"encoder.layers.0.self_attn.in_proj_weight",
                                     "encoder.layers.1.self_attn.out_proj.bias",
                                     "encoder.layers.0.linear1.weight",
                                     "encoder.layers.1.norm2.bias"}));
  for (const char* name : {"attention_packed", "attention_parts"}) {
    const Import own = imported(name);
    const auto found =
        std::find_if(own.model.layers.begin(), own.model.layers.end(), [](const Layer& layer) {
          return std::holds_alternative<SelfAttention>(layer);
        });
    ASSERT_NE(found, own.model.layers.end());
    EXPECT_EQ(std::get<SelfAttention>(*found).heads, 2U);
    EXPECT_TRUE(std::get<SelfAttention>(*found).causal);
  }
}

TEST(OnnxImport, ASigmoidAtTheEndMakesTheLossBinary) {
  const Import import = imported("mean");
  EXPECT_EQ(import.model.loss, Loss::binary_cross_entropy);
  EXPECT_THAT(kinds(import.model),
              ElementsAre("conv2d", "silu", "conv2d", "leaky_relu", "global_avg_pool", "dense"));
  EXPECT_EQ(std::get<LeakyRelu>(import.model.layers[3]).slope, 0.2);
}

}  // namespace
}  // namespace chorus::onnx
