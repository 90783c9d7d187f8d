// The subcommands of chorus-agent.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>

#include "chorus/result.hpp"
#include "client/agent/agent_config.hpp"

namespace chorus::agent {

struct EnrollCommand {
  std::string token;
  std::filesystem::path state;
  std::string name;
};
/// Turns a join token into an identity in the state folder.
Result<void> enroll(const EnrollCommand& command, std::ostream& out);

/// Takes part until SIGINT, SIGTERM or tasks_max.
Result<void> run_device(const AgentConfig& config);

struct EvaluateCommand {
  std::filesystem::path model;  ///< safetensors with the architecture in its metadata
  DataConfig data;
  bool json = false;
};
/// Prints loss and accuracy of a model on the test set.
Result<void> evaluate(const EvaluateCommand& command, std::ostream& out);

}  // namespace chorus::agent
