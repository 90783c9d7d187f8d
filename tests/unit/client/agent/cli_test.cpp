#include "client/agent/cli.hpp"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chorus/model.hpp"
#include "common/tensor/model_json.hpp"
#include "common/tensor/safetensors.hpp"
#include "common/tensor/version_file.hpp"
#include "common/tensor/version_metadata.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus::agent {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

struct Outcome {
  int code = 0;
  std::string out;
  std::string err;
};

Outcome call(std::vector<std::string> words) {
  std::vector<const char*> argv{"chorus-agent"};
  for (const auto& word : words) argv.push_back(word.c_str());
  std::ostringstream out;
  std::ostringstream err;
  Outcome outcome;
  outcome.code = run(static_cast<int>(argv.size()), argv.data(), out, err);
  outcome.out = out.str();
  outcome.err = err.str();
  return outcome;
}

// Copies of the optimiser: none, one (momentum), two (adam); the arena grows with the batch.
TEST(AgentCli, SaysWhatTrainingTakes) {
  const test::TempFolder folder;
  const auto taken = [&](const std::string& train, const char* batch) {
    const auto file = (folder.path() / "m.toml").string();
    std::ofstream(file) << "[model]\ninput_shape = [8]\n[[model.layers]]\ntype = \"dense\"\n"
                           "units = 4\n[train]\n"
                        << train;
    const auto outcome = call({"memory", "--model", file, "--batch", batch});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out);
  };
  const auto small = taken("", "1");
  EXPECT_EQ(small.at("parameter_bytes"), 36 * 4);
  EXPECT_EQ(small.at("gradient_bytes"), 36 * 4);
  EXPECT_EQ(small.at("optimiser_bytes"), 0);
  EXPECT_EQ(taken("momentum = 0.5", "1").at("optimiser_bytes"), 36 * 4);
  EXPECT_EQ(taken("optimiser = \"adam\"", "1").at("optimiser_bytes"), 2 * 36 * 4);
  const auto large = taken("", "512");
  // At least the scores and their gradients.
  EXPECT_GE(large.at("arena_bytes").get<int>(), 512 * 4 * 4);
  EXPECT_GT(large.at("arena_bytes"), small.at("arena_bytes"));
  EXPECT_EQ(large.at("total_bytes").get<int>(), 2 * 36 * 4 + large.at("arena_bytes").get<int>());
  EXPECT_EQ(call({"memory", "--model", "none.toml"}).code, 1);
  EXPECT_EQ(call({"memory", "--model", "m.toml", "--batch", "0"}).code, 2);
}

TEST(AgentCli, HelpsWithAnExample) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"run", "--help"},
                                                {"enroll", "--help"},
                                                {"train", "--help"},
                                                {"evaluate", "--help"},
                                                {"memory", "--help"}}) {
    const auto outcome = call(words);
    EXPECT_EQ(outcome.code, 0) << words[0];
    EXPECT_THAT(outcome.out, AllOf(HasSubstr("Example:"), HasSubstr("chorus-agent " + words[0])));
  }
  EXPECT_THAT(call({"--help"}).out, HasSubstr("Exit codes"));
}

TEST(AgentCli, SaysItsVersion) {
  const auto outcome = call({"version"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, HasSubstr("chorus-agent"));
}

TEST(AgentCli, TakesTheFlagsOfItsFirstVersion) {
  EXPECT_EQ(call({"--version"}).code, 0);
  EXPECT_THAT(call({"--version"}).out, HasSubstr("chorus-agent "));
  EXPECT_THAT(call({"run", "--help"}).out, HasSubstr("--jobs,--job"));
}

TEST(AgentCli, UsageErrorsAreTwo) {
  EXPECT_EQ(call({}).code, 2);
  EXPECT_EQ(call({"dance"}).code, 2);
  EXPECT_EQ(call({"run", "--nonsense"}).code, 2);
  EXPECT_EQ(call({"run"}).code, 2);
  EXPECT_EQ(call({"run", "--state", "x"}).code, 2);
  EXPECT_EQ(call({"run", "--state", "x", "--data", "y", "--shape", "1xx"}).code, 2);
  EXPECT_EQ(call({"run", "--state", "x", "--data", "y", "--threads", "0"}).code, 2);
  EXPECT_EQ(call({"run", "--state", "x", "--data", "y", "--log-level", "loud"}).code, 2);
  EXPECT_EQ(call({"run", "--config", "/nowhere/agent.toml"}).code, 2);
  EXPECT_EQ(call({"enroll"}).code, 2);
  EXPECT_EQ(call({"evaluate", "--model", "x"}).code, 2);
}

TEST(AgentCli, ExitCodesTellScriptsWhatToDo) {
  EXPECT_EQ(exit_code_of(errc::connection_failed), ExitCode::unreachable);
  EXPECT_EQ(exit_code_of(errc::token_invalid), ExitCode::not_authorised);
  EXPECT_EQ(exit_code_of(errc::revoked), ExitCode::not_authorised);
  EXPECT_EQ(exit_code_of(errc::not_found), ExitCode::failed);
}

TEST(AgentCli, ABadTokenIsNotAuthorised) {
  const test::TempFolder folder;
  const auto outcome =
      call({"enroll", "--token", "hello", "--state", (folder.path() / "d").string()});
  EXPECT_EQ(outcome.code, 4);
  EXPECT_THAT(outcome.err, HasSubstr("token_invalid"));
}

TEST(AgentCli, RunWithoutIdentitySaysWhatToDo) {
  const test::TempFolder folder;
  const auto data = folder.path() / "t.csv";
  std::ofstream(data) << "1,2,0\n3,4,1\n5,6,0\n";
  const auto outcome = call({"run",
                             "--state",
                             (folder.path() / "d").string(),
                             "--data",
                             data.string(),
                             "--log-level",
                             "off"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("not_found"), HasSubstr("join token")));
}

TEST(AgentCli, EvaluatesAModelFile) {
  const test::TempFolder folder;
  const auto data = folder.path() / "t.csv";
  std::ofstream(data) << "1,0,0\n0,1,1\n2,0,0\n0,3,1\n";
  ModelSpec model;
  model.input_shape = {2};
  model.layers = {Dense{"out", 2}};
  const auto layout = layout_of(model).value();
  const std::vector<float> identity{10, 0, 0, 10, 0, 0};
  const auto path = folder.path() / "m.safetensors";
  const std::string key(tensor::kModelMetadataKey);
  ASSERT_TRUE(tensor::write_safetensors(
      path, layout, identity, {{key, tensor::model_to_json(model).value()}}));
  const auto text = call({"evaluate", "--model", path.string(), "--data", data.string()});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("accuracy   1.0"), HasSubstr("examples   4")));
  const auto json = call({"evaluate", "--model", path.string(), "--data", data.string(), "--json"});
  const auto document = nlohmann::json::parse(json.out);
  EXPECT_EQ(document.at("accuracy"), 1.0);
  EXPECT_EQ(document.at("examples"), 4);

  // Features as the version says, whatever the device has: the second is never the larger one now.
  const std::vector<FeatureScale> scales{{0.0, 1.0}, {5.0, 1.0}};
  const auto metadata = tensor::metadata_of(model, scales).value();
  ASSERT_TRUE(tensor::write_safetensors(path, layout, identity, metadata));
  std::vector<std::string> words{
      "evaluate", "--model", path.string(), "--data", data.string(), "--json"};
  for (const bool own : {false, true}) {
    if (own) words.insert(words.end(), {"--mean", "0,-9", "--deviation", "1,1"});
    const auto scaled = call(words);
    ASSERT_EQ(scaled.code, 0) << scaled.err;
    EXPECT_EQ(nlohmann::json::parse(scaled.out).at("accuracy"), 0.5) << own;
  }

  ASSERT_TRUE(tensor::write_safetensors(path, layout, identity, {}));
  const auto bare = call({"evaluate", "--model", path.string(), "--data", data.string()});
  EXPECT_EQ(bare.code, 1);
  EXPECT_THAT(bare.err, HasSubstr("chorus.model"));
}

// Two classes that a line divides, of three people.
class AgentTrain : public ::testing::Test {
 protected:
  AgentTrain() {
    std::ofstream data(file("t.csv"));
    for (int i = 0; i < 60; ++i) {
      const int label = i % 2;
      data << (label == 0 ? -1 : 1) * (1 + i % 5) << "," << i % 7 << ",p" << i % 3 << "," << label
           << "\n";
    }
    std::ofstream(file("m.toml")) << R"(
[model]
input_shape = [2]
[[model.layers]]
type = "dense"
name = "out"
units = 2
[train]
epochs = 3
batch_size = 4
learning_rate = 0.1
)";
  }
  std::string file(const std::string& name) const { return (folder_.path() / name).string(); }
  Outcome train(const std::vector<std::string>& more) const {
    std::vector<std::string> words{
        "train", "--model", file("m.toml"), "--data", file("t.csv"), "--partition", "column:2"};
    words.insert(words.end(), more.begin(), more.end());
    return call(words);
  }

 private:
  test::TempFolder folder_;
};

TEST_F(AgentTrain, RehearsesAJobOnItsOwn) {
  const auto text = train({"--rounds", "3", "--out", file("m.safetensors"), "--seed", "7"});
  ASSERT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out,
              AllOf(HasSubstr("6 parameters, training on 48 examples, measuring on 12"),
                    HasSubstr("round 1 "),
                    HasSubstr("round 3 "),
                    HasSubstr("test: loss"),
                    HasSubstr("saved to")));
  // What was saved is the model, and going on from it is going on.
  const auto measured = call({"evaluate",
                              "--model",
                              file("m.safetensors"),
                              "--data",
                              file("t.csv"),
                              "--partition",
                              "column:2",
                              "--json"});
  ASSERT_EQ(measured.code, 0) << measured.err;
  EXPECT_EQ(nlohmann::json::parse(measured.out).at("accuracy"), 1.0);
}

TEST_F(AgentTrain, TheSameSeedGivesTheSameModel) {
  for (const char* out : {"a.safetensors", "b.safetensors"}) {
    ASSERT_EQ(train({"--rounds", "2", "--seed", "5", "--out", file(out)}).code, 0);
  }
  ASSERT_EQ(train({"--rounds", "2", "--seed", "6", "--out", file("c.safetensors")}).code, 0);
  const auto values = [&](const char* name) {
    const auto read = tensor::read_safetensors(file(name)).value();
    return std::vector<float>(read.data.begin(), read.data.end());
  };
  EXPECT_EQ(values("a.safetensors"), values("b.safetensors"));
  EXPECT_NE(values("a.safetensors"), values("c.safetensors"));
}

TEST_F(AgentTrain, WhatIsSavedSaysHowFeaturesWereNormalised) {
  std::ofstream(file("m.toml"), std::ios::app)
      << "normalise_mean = [0.0, 3.0]\nnormalise_deviation = [3.0, 2.0]\n";
  ASSERT_EQ(train({"--rounds", "1", "--out", file("n.safetensors")}).code, 0);
  EXPECT_EQ(tensor::read_version(file("n.safetensors"))->normalise,
            (std::vector<FeatureScale>{{0.0, 3.0}, {3.0, 2.0}}));
}

TEST_F(AgentTrain, KeepsPeopleForTheTest) {
  const auto json = train({"--rounds", "1", "--json", "--test-keys", "p0"});
  ASSERT_EQ(json.code, 0) << json.err;
  const auto line = nlohmann::json::parse(json.out);
  EXPECT_EQ(line.at("round"), 1);
  EXPECT_EQ(line.at("steps"), 3 * 40 / 4);
  EXPECT_EQ(line.at("train").at("examples"), 40);
  EXPECT_EQ(line.at("test").at("examples"), 20);
}

TEST_F(AgentTrain, ErrorsNameTheFlag) {
  const auto nobody = train({"--test-keys", "p0,p9"});
  EXPECT_EQ(nobody.code, 1);
  EXPECT_THAT(nobody.err, AllOf(HasSubstr("--test-keys"), HasSubstr("'p9'")));
  const auto both = train({"--test-keys", "p0", "--test-fraction", "0.1"});
  EXPECT_EQ(both.code, 2);
  EXPECT_THAT(both.err, HasSubstr("together with --test-fraction"));
  const auto keyless =
      call({"train", "--model", file("m.toml"), "--data", file("t.csv"), "--test-keys", "p0"});
  EXPECT_EQ(keyless.code, 2);
  EXPECT_THAT(keyless.err, HasSubstr("needs --partition column:NAME"));
  EXPECT_EQ(train({"--rounds", "0"}).code, 2);
  const auto foreign = call({"train", "--model", "m.pt", "--data", file("t.csv")});
  EXPECT_EQ(foreign.code, 1);
  EXPECT_THAT(foreign.err, AllOf(HasSubstr("'m.pt' is no model"), HasSubstr(".toml")));
}

// Whoever has more of feature 0 lives shorter; every fourth left before the end.
TEST_F(AgentTrain, LearnsSurvivalFromColumnsOfATable) {
  std::ofstream table(file("survival.csv"));
  table << "time,age,sex,event\n";
  for (int i = 0; i < 80; ++i) {
    const int risk = i * 37 % 80;
    table << 100 - risk << "," << risk << "," << (i % 3 == 0 ? "f" : "m") << ","
          << (i % 4 == 0 ? 0 : 1) << "\n";
  }
  table.close();
  std::ofstream(file("cox.toml")) << R"(
[model]
input_shape = [3]
loss = "cox_partial_likelihood"
[[model.layers]]
type = "dense"
name = "risk"
units = 1
[train]
epochs = 10
batch_size = 32
learning_rate = 0.3
)";
  const auto learned = call({"train",
                             "--model",
                             file("cox.toml"),
                             "--data",
                             file("survival.csv"),
                             "--header",
                             "--target-columns",
                             "time,event",
                             "--categorical",
                             "sex",
                             "--normalise",
                             "standard",
                             "--test-fraction",
                             "0.25",
                             "--rounds",
                             "3",
                             "--json"});
  ASSERT_EQ(learned.code, 0) << learned.err;
  const std::string last = learned.out.substr(learned.out.rfind('\n', learned.out.size() - 2) + 1);
  EXPECT_GT(nlohmann::json::parse(last).at("test").at("c_index"), 0.95) << last;
}

TEST_F(AgentTrain, LearnsFromPicturesThatAreDecodedOnTheWay) {
  const auto golden = std::filesystem::path(CHORUS_ROOT_DIR) / "tests" / "golden" / "images";
  for (const char* name : {"bit.png", "rgb.png"}) {
    const std::filesystem::path folder = std::filesystem::path(file("pictures")) / name;
    std::filesystem::create_directories(folder);
    for (int i = 0; i < 4; ++i) {
      std::filesystem::copy(golden / name, folder / (std::to_string(i) + ".png"));
    }
  }
  std::ofstream(file("pictures.toml")) << R"(
[model]
input_shape = [3, 6, 6]
[[model.layers]]
type = "flatten"
[[model.layers]]
type = "dense"
name = "out"
units = 2
[train]
epochs = 5
batch_size = 4
learning_rate = 0.1
)";
  const auto learn = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words{"train",
                                   "--model",
                                   file("pictures.toml"),
                                   "--pictures",
                                   file("pictures"),
                                   "--shape",
                                   "3x6x6",
                                   "--mean",
                                   "0.5",
                                   "--deviation",
                                   "0.25",
                                   "--hold-out",
                                   "0.25",
                                   "--rounds",
                                   "3",
                                   "--json"};
    words.insert(words.end(), more.begin(), more.end());
    Outcome outcome = call(words);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    const std::size_t last = outcome.out.rfind('\n', outcome.out.size() - 2) + 1;
    auto line = nlohmann::json::parse(outcome.out.substr(last));
    line.erase("seconds");
    return line;
  };
  const auto held = learn({});
  EXPECT_EQ(held.at("test").at("accuracy"), 1.0);
  EXPECT_EQ(learn({"--stream", "--memory", "1"}), held) << "not the same bits";
  const auto augmented = learn({"--augment-crop", "1", "--augment-flip", "--augment-noise", "0.1"});
  EXPECT_NE(augmented.at("train").at("loss"), held.at("train").at("loss"));
  EXPECT_EQ(augmented.at("test").at("accuracy"), 1.0);
}

}  // namespace
}  // namespace chorus::agent
