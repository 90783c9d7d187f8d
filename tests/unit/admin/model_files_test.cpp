// `chorus model inspect` and `check`, and exports as ONNX.
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "admin/commands.hpp"
#include "admin/model_source.hpp"
#include "common/base/files.hpp"
#include "common/crypto/digest.hpp"
#include "common/onnx/onnx.hpp"
#include "common/tensor/model_json.hpp"
#include "common/tensor/safetensors.hpp"
#include "common/tensor/version_metadata.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/unit/admin/fake_link.hpp"

namespace chorus::admin {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const std::filesystem::path kGolden = CHORUS_GOLDEN_DIR;
const std::filesystem::path kModels = CHORUS_EXAMPLE_MODELS;

class ModelFiles : public testing::Test {
 protected:
  Console text() { return {out_, err_, {}}; }
  Console json() { return {out_, err_, {.json = true}}; }
  std::string said() {
    const auto all = out_.str();
    out_.str("");
    return all;
  }
  std::filesystem::path write(const std::string& name, const std::string& content) {
    const auto path = temp_.path() / name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

  test::TempFolder temp_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(ModelFiles, InspectShowsLayersAndTotals) {
  const auto file = write("small.toml",
                          "[model]\ninput_shape = [1, 4, 4]\nlayers = [\n"
                          "  { type = \"conv2d\", channels = 3 },\n"
                          "  { type = \"batch_norm\" },\n"
                          "  { type = \"flatten\" },\n"
                          "  { type = \"dense\", name = \"head\", units = 10 },\n]\n");
  auto console = text();
  ASSERT_TRUE(model_inspect(console, {file}));
  EXPECT_EQ(said(),
            file.string() +
                ": TOML\n"
                "\n"
                "   layer       name         output  parameters  FLOPs  activations\n"
                "   input                    1×4×4\n"
                "1  conv2d      conv1        3×2×2           30    216         48 B\n"
                "2  batch_norm  batch_norm1  3×2×2           12                48 B\n"
                "3  flatten                  12                                48 B\n"
                "4  dense       head         10             130    240         40 B\n"
                "──────────────────────────────────────────────────────────────────\n"
                "   total                                   172    456        184 B\n"
                "\n"
                "model         688 B (166 parameters, 6 running statistics)\n"
                "loss          softmax_cross_entropy\n"
                "training      1.2 k FLOPs per example, forwards and backwards\n");
}

TEST_F(ModelFiles, InspectSpeaksJson) {
  auto console = json();
  ASSERT_TRUE(model_inspect(console, {kModels / "lenet5.toml"}));
  const auto value = nlohmann::json::parse(said());
  EXPECT_EQ(value.at("parameters"), 61'706);
  EXPECT_EQ(value.at("bytes"), 61'706 * 4);
  EXPECT_EQ(value.at("layers").size(), 12U);
  EXPECT_EQ(value.at("layers").at(3).at("type"), "conv2d");
  EXPECT_EQ(value.at("layers").at(3).at("output"), (std::vector<int>{16, 10, 10}));
  EXPECT_EQ(value.at("loss"), "softmax_cross_entropy");
}

TEST_F(ModelFiles, InspectReadsEveryKindOfFile) {
  auto console = json();
  ASSERT_TRUE(model_inspect(console, {kGolden / "onnx/cnn.onnx"}));
  const auto onnx = nlohmann::json::parse(said());
  EXPECT_EQ(onnx.at("layers").size(), 10U);
  EXPECT_EQ(onnx.at("notes").size(), 1U);
  // A version says its architecture; a state_dict does not.
  const ModelSpec model{{2}, {Dense{"fc", 3}}};
  const auto parameters = initial_parameters(model, 1).value();
  const auto layout = layout_of(model).value();
  const auto version = temp_.path() / "v.safetensors";
  const tensor::Metadata metadata{
      {std::string(tensor::kModelMetadataKey), tensor::model_to_json(model).value()}};
  ASSERT_TRUE(tensor::write_safetensors(version, layout, parameters, metadata));
  ASSERT_TRUE(model_inspect(console, {version}));
  EXPECT_EQ(nlohmann::json::parse(said()).at("layers").at(0).at("name"), "fc");
  EXPECT_EQ(load_source(version)->parameters, parameters);
  const auto weights = temp_.path() / "w.safetensors";
  ASSERT_TRUE(tensor::write_safetensors(weights, layout, parameters, {}));
  auto plain = text();
  ASSERT_TRUE(model_inspect(plain, {weights}));
  EXPECT_THAT(said(),
              StartsWith("tensor     shape  numbers\n"
                         "fc.weight  3×2          6\n"
                         "fc.bias    3            3\n"
                         "─────────────────────────\n"
                         "total                   9\n"));
}

TEST_F(ModelFiles, InspectShowsTheNormalisation) {
  const ModelSpec model{{2}, {Dense{"fc", 3}}};
  const auto parameters = initial_parameters(model, 1).value();
  const std::vector<FeatureScale> scales{{0.5, 2.0}, {-1.0, 0.25}};
  const auto version = temp_.path() / "v.safetensors";
  const auto metadata = tensor::metadata_of(model, scales).value();
  ASSERT_TRUE(tensor::write_safetensors(version, layout_of(model).value(), parameters, metadata));
  auto plain = text();
  ASSERT_TRUE(model_inspect(plain, {version}));
  EXPECT_THAT(said(),
              HasSubstr("\nnormalise_mean = [0.5,-1.0]\nnormalise_deviation = [2.0,0.25]\n"));
  auto console = json();
  ASSERT_TRUE(model_inspect(console, {version}));
  EXPECT_EQ(nlohmann::json::parse(said()).at("normalise").at("deviation"),
            (std::vector<double>{2.0, 0.25}));
}

TEST_F(ModelFiles, InspectSaysWhatIsWrong) {
  auto console = text();
  EXPECT_EQ(model_inspect(console, {temp_.path() / "none.onnx"}).error().code, errc::not_found);
  const auto other = model_inspect(console, {write("m.pt", "")});
  EXPECT_EQ(other.error().code, errc::invalid_argument);
  EXPECT_THAT(other.error().detail, HasSubstr("expected one that ends in .toml, .onnx or"));
  const auto broken = model_inspect(console, {write("m.onnx", "no")});
  EXPECT_EQ(broken.error().code, errc::malformed_file);
  EXPECT_THAT(broken.error().detail, HasSubstr("m.onnx': its 2 bytes are no ONNX model"));
  EXPECT_EQ(said(), "");
}

TEST_F(ModelFiles, CheckSaysWhetherAllCanBeTrained) {
  auto console = text();
  const auto done = model_check(console, kGolden / "onnx/mean.onnx");
  ASSERT_TRUE(done);
  EXPECT_EQ(*done, ExitCode::ok);
  EXPECT_THAT(
      said(),
      HasSubstr("All of it can be trained here: 6 layers, 121 parameters with their values."));
}

// The name of an operator in a real file, replaced by one of the same length.
TEST_F(ModelFiles, CheckNamesEveryNodeWithoutACounterpart) {
  std::string bytes = read_text(kGolden / "onnx/cnn.onnx", 1U << 20U).value();
  const std::string from = "\"\x04Tanh";
  ASSERT_NE(bytes.find(from), std::string::npos);
  bytes.replace(bytes.find(from) + 2, 4, "Mish");
  const auto file = write("mish.onnx", bytes);
  auto console = text();
  const auto done = model_check(console, file);
  ASSERT_TRUE(done) << done.error().detail;
  EXPECT_EQ(*done, ExitCode::failed);
  EXPECT_THAT(said(),
              HasSubstr("1 node has no counterpart here:\n\n"
                        "  /1/Tanh  (Mish)\n"
                        "    there is no such layer\n"
                        "    → use Relu, LeakyRelu, Gelu or SiLU\n"));
  auto spoken = json();
  ASSERT_TRUE(model_check(spoken, file));
  const auto value = nlohmann::json::parse(said());
  EXPECT_EQ(value.at("trains"), false);
  EXPECT_EQ(value.at("problems").at(0).at("node"), "/1/Tanh");
  EXPECT_EQ(value.at("problems").at(0).at("operator"), "Mish");
  EXPECT_EQ(model_inspect(console, {file}).error().code, errc::unsupported_feature);
}

TEST_F(ModelFiles, ExportsAVersionAsOnnx) {
  const ModelSpec model{{2}, {Dense{"fc", 3}}};
  const auto parameters = initial_parameters(model, 1).value();
  const auto version = temp_.path() / "v.safetensors";
  const std::vector<FeatureScale> scales{{0.5, 2.0}};
  const auto metadata = tensor::metadata_of(model, scales).value();
  ASSERT_TRUE(tensor::write_safetensors(version, layout_of(model).value(), parameters, metadata));
  const auto bytes = read_text(version, 1U << 20U).value();
  FakeLink link;
  const auto all = std::as_bytes(std::span(bytes));
  link.model.assign(all.begin(), all.end());
  auto& summary = *link.add_answer().mutable_model()->mutable_summary();
  summary.set_sha256(hex(sha256(all)));
  summary.set_bytes(all.size());
  ExportOptions options;
  options.job = "j";
  options.output = temp_.path() / "model.onnx";
  options.format = ExportFormat::onnx;
  auto console = text();
  const auto done = model_export(console, link, options);
  ASSERT_TRUE(done) << done.error().detail;
  EXPECT_THAT(said(), HasSubstr("ONNX opset 17, from version"));
  const auto import = onnx::load_model(options.output);
  ASSERT_TRUE(import) << import.error().detail;
  EXPECT_EQ(import->model, model);
  EXPECT_EQ(import->parameters, parameters);
  EXPECT_EQ(import->normalise, scales);
  const std::filesystem::directory_iterator files(temp_.path());
  EXPECT_EQ(std::distance(begin(files), end(files)), 2) << "the part file is gone";
}

}  // namespace
}  // namespace chorus::admin
