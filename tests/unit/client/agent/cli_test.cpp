#include "client/agent/cli.hpp"

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

TEST(AgentCli, HelpsWithAnExample) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"run", "--help"}, {"enroll", "--help"}, {"evaluate", "--help"}}) {
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

  ASSERT_TRUE(tensor::write_safetensors(path, layout, identity, {}));
  const auto bare = call({"evaluate", "--model", path.string(), "--data", data.string()});
  EXPECT_EQ(bare.code, 1);
  EXPECT_THAT(bare.err, HasSubstr("chorus.model"));
}

}  // namespace
}  // namespace chorus::agent
