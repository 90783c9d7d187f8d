// The subcommands of chorus-agent.
#pragma once

#include <cstdint>
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

struct TrainCommand {
  std::filesystem::path model;  ///< as load_model() takes it; its [train] is what is done
  std::filesystem::path out;    ///< .safetensors for the trained model; empty: it is not kept
  DataConfig data;              ///< its seed is also that of parameters and plans
  std::uint64_t rounds = 1;     ///< the plan once each
  unsigned threads = 1;
  bool json = false;
};
/// Trains as the only device of a federation would, without one: tries model, plan and data out.
/// Prints a line a round, with what the model does on the test set, or else on the hold-out.
Result<void> train(const TrainCommand& command, std::ostream& out);

struct EvaluateCommand {
  std::filesystem::path model;  ///< as load_model() takes it
  DataConfig data;
  bool json = false;
};
/// Prints loss and accuracy of a model on the test set.
Result<void> evaluate(const EvaluateCommand& command, std::ostream& out);

struct MemoryCommand {
  std::filesystem::path model;  ///< as load_model() takes it
  std::uint32_t batch = 32;
};
/// Prints, as one JSON object, what training with such a batch takes: parameters, gradients, the
/// optimiser's copies, and the arena that holds activations, their gradients and scratch.
Result<void> memory(const MemoryCommand& command, std::ostream& out);

}  // namespace chorus::agent
