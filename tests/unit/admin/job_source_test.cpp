#include "admin/job_source.hpp"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "common/config/model_file.hpp"
#include "common/tensor/safetensors.hpp"
#include "common/tensor/version_metadata.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus::admin {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::filesystem::path kGolden = CHORUS_GOLDEN_DIR;

class JobSourceTest : public testing::Test {
 protected:
  void SetUp() override {
    const ModelSpec model{{6}, {Dense{"fc", 3}}};
    layout_ = layout_of(model).value();
    write("m.toml",
          "[model]\ninput_shape = [6]\nlayers = [{ type = \"dense\", name = \"fc\", "
          "units = 3 }]\n");
    std::vector<float> values(layout_.parameters, 0.25F);
    ASSERT_TRUE(tensor::write_safetensors(temp_.path() / "w.safetensors", layout_, values, {}));
    std::filesystem::copy(kGolden / "onnx/mlp.onnx", temp_.path() / "mlp.onnx");
  }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(temp_.path() / name) << text;
  }
  Result<JobSource> load(const std::string& text) {
    write("job.toml", text);
    return load_job(temp_.path() / "job.toml");
  }
  JobSource loaded(const std::string& text) {
    auto job = load(text);
    EXPECT_TRUE(job) << job.error().detail;
    return job ? std::move(*job) : JobSource{};
  }
  std::string problem(const std::string& text) {
    const auto job = load(text);
    return job ? "" : job.error().detail;
  }

  test::TempFolder temp_;
  TensorLayout layout_;
};

TEST_F(JobSourceTest, AJobThatNamesNoFileStaysAsItIs) {
  const std::string text =
      "# a comment\n[job]\nname = \"j\"\n[model]\ninput_shape = [6]\n[[model.layers]]\n"
      "type = \"dense\"\nunits = 3\n[anything]\nfile = 3\n";
  const auto job = loaded(text);
  EXPECT_EQ(job.toml, text);
  EXPECT_TRUE(job.parameters.empty());
}

TEST_F(JobSourceTest, AModelFileTakesThePlaceOfItsName) {
  const auto job = loaded(
      "[job]\nname = \"j\"\n[model]   # here\nfile = \"m.toml\"  # there\nlabel_smoothing = 0.1\n"
      "[train]\nepochs = 2\n");
  EXPECT_EQ(job.toml,
            "[job]\nname = \"j\"\n[model]   # here\ninput_shape = [6]\n"
            "loss = \"softmax_cross_entropy\"\nlayers = [\n"
            "  { type = \"dense\", name = \"fc\", units = 3 },\n]\nlabel_smoothing = 0.1\n"
            "[train]\nepochs = 2\n");
  EXPECT_TRUE(job.parameters.empty());
  const auto read = config::parse_model_file(job.toml, "job.toml");
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(read->model.loss_options.label_smoothing, 0.1);
}

TEST_F(JobSourceTest, ATrainedModelsNormalisationIsMentionedUntilTheJobSaysIt) {
  const ModelSpec model{{6}, {Dense{"fc", 3}}};
  const std::vector<FeatureScale> scales{{0.5, 2.0}};
  const std::vector<float> values(layout_.parameters, 0.25F);
  ASSERT_TRUE(tensor::write_safetensors(
      temp_.path() / "v.safetensors", layout_, values, tensor::metadata_of(model, scales).value()));
  const std::string said = "[train]\nnormalise_mean = [0.5]\nnormalise_deviation = [";
  for (const std::string from : {"[model]\nfile = \"v.safetensors\"\n",
                                 "[model]\nfile = \"m.toml\"\nweights = \"v.safetensors\"\n"}) {
    const std::string begin = "[job]\nname = \"j\"\n" + from;
    EXPECT_THAT(loaded(begin).notes, testing::ElementsAre(HasSubstr("[train] says nothing")));
    EXPECT_THAT(loaded(begin + said + "3]\n").notes,
                testing::ElementsAre(HasSubstr("[train] says others")));
    EXPECT_THAT(loaded(begin + said + "2]\n").notes, testing::IsEmpty());
  }
}

TEST_F(JobSourceTest, OnnxBringsItsWeights) {
  const auto job = loaded("[job]\nname = \"j\"\n[model]\nonnx = \"mlp.onnx\"\n");
  EXPECT_EQ(job.parameters.size(), 6U * 5 + 5 * 3 + 3);
  EXPECT_THAT(job.notes, testing::ElementsAre(HasSubstr("softmax at the end")));
  const auto read = config::parse_model_file(job.toml, "job.toml");
  ASSERT_TRUE(read) << read.error().detail << job.toml;
  EXPECT_EQ(layout_of(read->model)->parameters, job.parameters.size());
  EXPECT_TRUE(loaded("[job]\nname = \"j\"\n[model]\nonnx = \"mlp.onnx\"\nweights = \"none\"\n")
                  .parameters.empty());
}

TEST_F(JobSourceTest, TheJobsOwnLossCounts) {
  const auto job =
      loaded("[job]\nname = \"j\"\n[model]\nloss = \"mean_squared_error\"\nfile = \"m.toml\"\n");
  const auto read = config::parse_model_file(job.toml, "job.toml");
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(read->model.loss, Loss::mean_squared_error);
}

TEST_F(JobSourceTest, WeightsOfAFileAreTheFirstParameters) {
  for (const char* model : {"file = \"m.toml\"\n",
                            "input_shape = [6]\nlayers = [{ type = \"dense\", name = \"fc\", "
                            "units = 3 }]\n"}) {
    const auto job = loaded("[job]\nname = \"j\"\n[model]\n" + std::string(model) +
                            "weights = \"w.safetensors\"\n");
    EXPECT_EQ(job.parameters, std::vector<float>(21, 0.25F));
    EXPECT_THAT(job.toml, Not(HasSubstr("weights")));
  }
}

TEST_F(JobSourceTest, SaysWhatIsWrong) {
  const std::string head = "[job]\nname = \"j\"\n[model]\n";
  write("self.toml", "[model]\nfile = \"self.toml\"\n");
  write("long.toml",
        "[model]\ninput_shape = [6]\nlayers = [{ type = \"dense\", units = 3 }]\n" +
            std::string(limits::kJobFileBytesMax, '#'));
  const std::pair<std::string, const char*> cases[] = {
      {head + "file = \"none.toml\"\n", "none.toml"},
      {head + "file = 3\n", "job.toml:4:8: model.file = 3"},
      {head + "file = \"m.toml\"\nonnx = \"mlp.onnx\"\n",
       "model.onnx = \"mlp.onnx\": 'file' is given already"},
      {head + "file = \"m.toml\"\ninput_shape = [6]\n",
       "the file that [model] names says this already"},
      {head + "file = \"w.safetensors\"\n", "holds weights alone; name it as [model] weights"},
      {head + "file = \"w.pt\"\n", "expected one that ends in"},
      {head + "file = \"self.toml\"\n", "self.toml:2:1: model.file: unknown key"},
      {head + "file = \"long.toml\"\n", "long.toml"},
      {head + "onnx = \"mlp.onnx\"\nweights = \"w.safetensors\"\n",
       "w.safetensors: the weights are not this model's; missing: "},
      {head + "file = \"m.toml\"\nweights = 3\n", "model.weights = 3"},
      {"model = { file = \"m.toml\" }\n[job]\nname = \"j\"\n",
       "[model] must be a table of its own"},
      {"model.file = \"m.toml\"\n[job]\nname = \"j\"\n", "[model] must be a table of its own"},
      {"[model\n", "not valid TOML"},
  };
  for (const auto& [text, says] : cases) EXPECT_THAT(problem(text), HasSubstr(says)) << text;
}

TEST_F(JobSourceTest, AnExpandedJobHasTheSameLimit) {
  std::string layers;
  for (int i = 0; i < 600; ++i) {
    layers +=
        "{ type = \"dense\", name = \"one_of_many_" + std::to_string(i) + "\", units = 6 },\n";
  }
  write("deep.toml", "[model]\ninput_shape = [6]\nlayers = [" + layers + "]\n");
  EXPECT_THAT(problem("[job]\nname = \"j\"\n[model]\nfile = \"deep.toml\"\n[limits]\n#" +
                      std::string(20'000, '#')),
              HasSubstr("bytes with its model inline; a job may have at most 49152"));
}

}  // namespace
}  // namespace chorus::admin
