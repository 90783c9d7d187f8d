#include "common/config/model_file.hpp"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus::config {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kModel = R"([model]
input_shape = [4]
[[model.layers]]
type = "dense"
units = 2
)";

ModelFile parsed(const std::string& text) {
  auto file = parse_model_file(text, "m.toml");
  EXPECT_TRUE(file) << file.error().detail;
  return std::move(file).value();
}

std::string problems(const std::string& text) {
  const auto file = parse_model_file(text, "m.toml");
  if (file) return "";
  EXPECT_EQ(file.error().code, errc::malformed_file);
  return file.error().detail;
}

TEST(ModelFile, TheShortestFileIsAModelAlone) {
  const auto file = parsed(kModel);
  EXPECT_EQ(file.description, "");
  EXPECT_EQ(file.model, (ModelSpec{{4}, {Dense{"dense1", 2}}}));
  EXPECT_EQ(file.train, TrainPlan{});
}

TEST(ModelFile, SaysHowItIsTrained) {
  const auto file =
      parsed("description = \"two classes\"\n" + std::string(kModel) +
             "[train]\nsteps = 40\nbatch_size = 8\noptimiser = \"adamw\"\nlearning_rate = 0.002\n");
  EXPECT_EQ(file.description, "two classes");
  EXPECT_EQ(file.train.budget, (Budget{Budget::Unit::steps, 40.0}));
  EXPECT_EQ(file.train.batch_size, 8U);
  EXPECT_EQ(file.train.optimiser.kind, Optimiser::Kind::adamw);
  EXPECT_EQ(file.train.optimiser.learning_rate, 0.002);
}

TEST(ModelFile, AJobFileIsOne) {
  const auto file =
      parsed(std::string(kModel) +
             "[job]\nname = \"j\"\n[pace]\ncohort = 3\n[strategy]\nname = \"fedavg\"\n"
             "[limits]\nvalue_max = 1\n[evaluation]\nevery = 2\n[selection]\n"
             "name = \"uniform\"\n[stop]\nmetric = \"accuracy\"\n");
  EXPECT_EQ(file.model.layers.size(), 1U);
}

TEST(ModelFile, SaysWhatIsWrong) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "m.toml:1:1: model.input_shape is missing"},
      {"[[model]]\n", "m.toml:1:1: model = an array of tables: expected a table"},
      {"model = 3\n", "m.toml:1:1: model.input_shape is missing"},
      {std::string(kModel) + "[pace]\ncohort = 3\n", "m.toml:6:2: pace: unknown key"},
      {std::string(kModel) + "[train]\nepoch = 3\n", "m.toml:7:1: train.epoch: unknown key"},
      {std::string(kModel) + "[train]\nnesterov = true\n", "m.toml:7:12: train.nesterov = true"},
      {std::string(kModel) + "kernel = 3\n", "m.toml:6:1: model.layers.kernel: unknown key"},
      {"description = 3\n" + std::string(kModel), "m.toml:1:15: description = 3"},
      {"[model\n", "m.toml:1:7: not valid TOML"},
  };
  for (const auto& [text, expected] : cases) {
    EXPECT_THAT(problems(text), StartsWith(expected)) << text;
  }
}

TEST(ModelFile, ReadsAFileByItsPath) {
  const test::TempFolder folder;
  const auto path = folder.path() / "small.toml";
  std::ofstream(path) << kModel;
  const auto file = load_model_file(path);
  ASSERT_TRUE(file) << file.error().detail;
  EXPECT_EQ(file->model.input_shape, (std::vector<std::uint64_t>{4}));
  std::ofstream(path) << "[train]\n";
  EXPECT_THAT(load_model_file(path).error().detail, StartsWith(path.string() + ":1:1: "));
  std::ofstream(path) << std::string(limits::kJobFileBytesMax + 1, '#');
  EXPECT_FALSE(load_model_file(path));
  EXPECT_EQ(load_model_file(folder.path() / "none.toml").error().code, errc::not_found);
}

}  // namespace
}  // namespace chorus::config
