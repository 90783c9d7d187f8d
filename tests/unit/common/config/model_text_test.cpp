#include "common/config/model_text.hpp"

#include <filesystem>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/config/model_file.hpp"
#include "common/tensor/layer_names.hpp"
#include "tests/unit/client/train/reference_models.hpp"

namespace chorus::config {
namespace {

using testing::HasSubstr;

const std::filesystem::path kModels = CHORUS_EXAMPLE_MODELS;

// As read_model() leaves it: every layer that has tensors with its name.
ModelSpec named(ModelSpec model) {
  const auto names = tensor::layer_names(model);
  EXPECT_TRUE(names) << names.error().detail;
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    tensor::set_name(model.layers[i], (*names)[i]);
  }
  return model;
}

ModelSpec read_back(const ModelSpec& model) {
  const auto text = model_text(model);
  EXPECT_TRUE(text) << text.error().detail;
  auto file = parse_model_file(*text, "m.toml");
  EXPECT_TRUE(file) << file.error().detail << "\n" << *text;
  return file ? std::move(file->model) : ModelSpec{};
}

TEST(ModelText, EveryLayerReadsBack) {
  const std::vector<ModelSpec> models{
      {{4, 9, 9},
       {Conv2d{"first", 8, 3, 2, 2, 2, 2, false},
        ScaleShift{},
        LeakyRelu{0.2},
        MaxPool2d{3, 2, 1},
        MaxPool2d{2, 2},
        Mark{"a"},
        Conv2d{"", 8, 1},
        Silu{},
        Concat{"a"},
        GroupNorm{"", 4, 1e-6},
        AvgPool2d{2, 1, 1},
        Dropout{0.3},
        GlobalAvgPool{},
        Dense{"head", 6, false, 3, 1.5},
        BatchNorm{"", 1e-3, 0.25},
        Dense{"", 2}},
       Loss::softmax_cross_entropy,
       {0.1, {1.0F, 0.30000001F}, 1.0}},
      {{6, 5},
       {Lstm{"", 3, 2, true, true},
        LayerNorm{"", 1e-12},
        SelfAttention{"", 2, true, 2},
        Reshape{{3, 12}},
        Transpose{},
        Gru{"", 3},
        Dense{"", 1}},
       Loss::huber,
       {0.0, {}, 2.5}},
      {{3, 16},
       {Conv1d{"", 6, 3, 1, 1, 1, 3}, AvgPool1d{2, 1}, MaxPool1d{}, Flatten{}, Dense{"", 2}},
       Loss::binary_cross_entropy},
  };
  for (const ModelSpec& model : models) EXPECT_EQ(read_back(model), named(model));
}

TEST(ModelText, LeavesOutWhatIsUsual) {
  EXPECT_EQ(model_text({{2, 4, 4}, {Conv2d{"conv1", 3}, MaxPool2d{2, 2}, Flatten{}, Dense{"x", 2}}})
                .value(),
            "[model]\ninput_shape = [2, 4, 4]\nloss = \"softmax_cross_entropy\"\nlayers = [\n"
            "  { type = \"conv2d\", channels = 3 },\n"
            "  { type = \"max_pool2d\" },\n"
            "  { type = \"flatten\" },\n"
            "  { type = \"dense\", name = \"x\", units = 2 },\n]\n");
}

TEST(ModelText, AModelThatDoesNotFitIsNotWritten) {
  EXPECT_EQ(model_text({{2, 4, 4}, {Dense{"", 2}}}).error().code, errc::invalid_argument);
}

TEST(ExampleModels, AreTheReferenceModels) {
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(kModels)) {
    if (entry.path().extension() == ".toml") files.insert(entry.path().stem().string());
  }
  for (const auto& reference : test::reference_models()) {
    const auto file = load_model_file(kModels / (reference.name + ".toml"));
    ASSERT_TRUE(file) << file.error().detail;
    EXPECT_EQ(file->model, named(reference.model)) << reference.name;
    EXPECT_NE(file->train, TrainPlan{}) << reference.name;
    files.erase(reference.name);
  }
  for (const std::string& more : files) {
    const auto file = load_model_file(kModels / (more + ".toml"));
    EXPECT_TRUE(file) << file.error().detail;
  }
}

TEST(ExampleModels, HaveThePublishedSizes) {
  const std::pair<const char*, std::uint64_t> sizes[] = {
      {"logistic", 7'850}, {"mlp", 159'010}, {"fedavg_cnn", 1'663'370}, {"lenet5", 61'706}};
  for (const auto& [name, parameters] : sizes) {
    const auto file = load_model_file(kModels / (std::string(name) + ".toml"));
    ASSERT_TRUE(file);
    EXPECT_EQ(layout_of(file->model)->parameters, parameters) << name;
  }
}

}  // namespace
}  // namespace chorus::config
