// What Chorus writes as ONNX: judged by onnx.checker and NumPy (evaluate.py) where they are
// installed, and by reading it back.
#include <cstdlib>
#include <fstream>
#include <string>
#include <sys/wait.h>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/rng.hpp"
#include "common/onnx/onnx.hpp"
#include "onnx_format.pb.h"
#include "tests/support/temp_folder.hpp"
#include "tests/unit/client/train/reference_models.hpp"
#include "tests/unit/common/onnx/forward.hpp"

namespace chorus::onnx {
namespace {

using testing::HasSubstr;

constexpr std::size_t kBatch = 3;

// The reference models, and small ones with what those do not have.
std::vector<test::ReferenceModel> models() {
  auto all = test::reference_models();
  all.push_back({"image",
                 {{4, 9, 9},
                  {Conv2d{"", 8, 3, 2, 2, 2, 2, false},
                   ScaleShift{},
                   LeakyRelu{0.2},
                   MaxPool2d{3, 2, 1},
                   Mark{"a"},
                   Conv2d{"", 8, 1},
                   Silu{},
                   Concat{"a"},
                   GroupNorm{"", 4},
                   AvgPool2d{2, 1, 1},
                   Dropout{0.3},
                   Flatten{},
                   Dense{"", 6, false},
                   BatchNorm{},
                   Gelu{},
                   Dense{"", 2},
                   Softmax{}}}});
  all.push_back({"sequence",
                 {{6, 5},
                  {Dense{"", 4},
                   Lstm{"", 3, 2, true, true},
                   LayerNorm{},
                   Dense{"", 8, false},
                   SelfAttention{"", 2, true},
                   Gru{"", 4, 1, true, false},
                   Reshape{{2, 4}},
                   Transpose{},
                   Gru{"", 3, 1, false, true},
                   Flatten{},
                   Dense{"", 3}}}});
  all.push_back({"signal",
                 {{3, 16},
                  {Conv1d{"", 6, 3, 1, 1, 1, 3},
                   GroupNorm{"", 3},
                   AvgPool1d{2, 2},
                   MaxPool1d{3, 1, 1},
                   ScaleShift{},
                   GlobalAvgPool{},
                   LayerNorm{},
                   Tanh{},
                   Dense{"", 2},
                   Sigmoid{}},
                  Loss::mean_squared_error}});
  all.push_back({"adapted",
                 {{2, 6, 8},
                  {Conv2d{"", 4, 3, 1, 1, 1, 1, true, 2, 3.0},
                   Reshape{{24, 8}},
                   Conv1d{"", 6, 3, 1, 1, 1, 1, false, 2},
                   Dense{"", 4, false, 2, 1.0},
                   SelfAttention{"", 2, true, 2, 4.0},
                   Flatten{},
                   Dense{"", 3, true, 2}}}});
  all.push_back({"largest", {{3, 8, 8}, {Conv2d{"", 4, 3}, GlobalMaxPool{}, Dense{"", 3}}}});
  return all;
}

std::vector<float> drawn(std::size_t count, std::string_view what, double scale) {
  const std::string_view parts[] = {what};
  Rng rng(stream_key(7, parts));
  std::vector<float> values;
  for (std::size_t i = 0; i < count; ++i)
    values.push_back(static_cast<float>(rng.normal() * scale));
  return values;
}

// No tensor is as it begins; variances stay positive.
std::vector<float> parameters_of(const ModelSpec& model) {
  auto parameters = initial_parameters(model, 3);
  EXPECT_TRUE(parameters) << parameters.error().detail;
  const auto layout = layout_of(model);
  for (const TensorSpec& tensor : layout->tensors) {
    const auto more = drawn(tensor.count, tensor.name, 0.1);
    for (std::size_t i = 0; i < tensor.count; ++i) {
      float& value = (*parameters)[tensor.offset + i];
      value += tensor.name.ends_with("running_var") ? std::abs(more[i]) : more[i];
    }
  }
  return *parameters;
}

std::vector<float> inputs_of(const test::ReferenceModel& reference) {
  std::size_t count = kBatch;
  for (const std::uint64_t side : reference.model.input_shape) count *= side;
  auto values = drawn(count, "input", 1.0);
  if (reference.vocabulary == 0) return values;
  for (float& value : values) {
    value = static_cast<float>(static_cast<std::uint64_t>(std::abs(value) * 1000.0F) %
                               reference.vocabulary);
  }
  return values;
}

void write(const std::filesystem::path& path, std::span<const float> values) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(values.data()),
             static_cast<std::streamsize>(values.size_bytes()));
}

class OnnxExport : public testing::TestWithParam<test::ReferenceModel> {};

TEST_P(OnnxExport, ReadsBackAsTheSameFunction) {
  const auto& reference = GetParam();
  const auto parameters = parameters_of(reference.model);
  const auto bytes = export_model(reference.model, parameters);
  ASSERT_TRUE(bytes) << bytes.error().detail;
  const auto import = import_model(std::as_bytes(std::span(*bytes)));
  ASSERT_TRUE(import) << import.error().detail;
  ASSERT_EQ(text_of(import->problems), "");
  const auto inputs = inputs_of(reference);
  ModelSpec model = reference.model;
  // The import leaves what the loss computes to the loss.
  if (std::holds_alternative<Softmax>(model.layers.back()) ||
      std::holds_alternative<Sigmoid>(model.layers.back())) {
    model.layers.pop_back();
  }
  const auto expected = test::outputs_of(model, parameters, inputs, kBatch);
  const auto found = test::outputs_of(import->model, import->parameters, inputs, kBatch);
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-5) << i;
}

INSTANTIATE_TEST_SUITE_P(Reference, OnnxExport, testing::ValuesIn(models()), [](const auto& one) {
  return one.param.name;
});

TEST(OnnxExport, PassesTheCheckerAndComputesTheSameElsewhere) {
  const test::TempFolder folder;
  for (const auto& reference : models()) {
    const auto parameters = parameters_of(reference.model);
    const auto bytes = export_model(reference.model, parameters);
    ASSERT_TRUE(bytes) << bytes.error().detail;
    const auto inputs = inputs_of(reference);
    std::ofstream(folder.path() / (reference.name + ".onnx"), std::ios::binary) << *bytes;
    write(folder.path() / (reference.name + ".in"), inputs);
    write(folder.path() / (reference.name + ".out"),
          test::outputs_of(reference.model, parameters, inputs, kBatch));
  }
  const std::string command =
      std::string(CHORUS_PYTHON) + " " CHORUS_EVALUATE " " + folder.path().string();
  const int status = std::system(command.c_str());
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "numpy or onnx is not installed";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(OnnxExport, KeepsPyTorchsNamesAndLayouts) {
  const ModelSpec model{{3}, {Dense{"fc1", 4}, Relu{}, Dense{"fc2", 2}}};
  const auto parameters = parameters_of(model);
  const auto bytes = export_model(model, parameters);
  ASSERT_TRUE(bytes);
  pb::ModelProto file;
  ASSERT_TRUE(file.ParseFromString(*bytes));
  EXPECT_EQ(file.opset_import(0).version(), kExportOpset);
  const auto& weight = file.graph().initializer(0);
  EXPECT_EQ(weight.name(), "fc1.weight");
  EXPECT_EQ(weight.dims(0), 4);
  EXPECT_EQ(weight.dims(1), 3);
  const auto import = import_model(std::as_bytes(std::span(*bytes)));
  ASSERT_TRUE(import);
  EXPECT_EQ(import->model, model);
  EXPECT_EQ(import->parameters, parameters);
}

TEST(OnnxExport, TheFileSaysHowInputsAreNormalised) {
  const ModelSpec model{{3}, {Dense{"fc", 2}}};
  const std::vector<FeatureScale> scales{{0.1, 2.0}, {0.2, 3.0}, {0.3, 4.0}};
  const auto bytes = export_model(model, parameters_of(model), scales);
  ASSERT_TRUE(bytes) << bytes.error().to_string();
  pb::ModelProto file;
  ASSERT_TRUE(file.ParseFromString(*bytes));
  ASSERT_EQ(file.metadata_props_size(), 1);
  EXPECT_EQ(file.metadata_props(0).key(), "chorus.normalise");
  EXPECT_EQ(file.metadata_props(0).value(), "{\"mean\":[0.1,0.2,0.3],\"deviation\":[2.0,3.0,4.0]}");
  const auto import = import_model(std::as_bytes(std::span(*bytes)));
  ASSERT_TRUE(import) << import.error().to_string();
  EXPECT_EQ(import->normalise, scales);
  file.mutable_metadata_props(0)->set_value("{}");
  const std::string wrong = file.SerializeAsString();
  EXPECT_EQ(import_model(std::as_bytes(std::span(wrong))).error().code, errc::malformed_file);
}

TEST(OnnxExport, EqualModelsGiveEqualBytes) {
  const ModelSpec model = test::transformer();
  const auto parameters = parameters_of(model);
  EXPECT_EQ(export_model(model, parameters).value(), export_model(model, parameters).value());
}

TEST(OnnxExport, ParametersMustBeTheModels) {
  const ModelSpec model{{3}, {Dense{"", 2}}};
  const std::vector<float> parameters(7);
  const auto bytes = export_model(model, parameters);
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().code, errc::shape_mismatch);
  EXPECT_THAT(bytes.error().detail, HasSubstr("8 parameters; 7 were given"));
}

}  // namespace
}  // namespace chorus::onnx
