// The digits federation that end-to-end tests run: a small network, few devices, few rounds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/federation.hpp"

namespace chorus::test {

struct DigitsOptions {
  unsigned agents = 3;
  unsigned rounds = 4;
  unsigned server_threads = 2;
  std::string pace;  ///< further lines of [pace]
  std::string evaluation = "fraction = 1.0";
  std::string compress;  ///< lines of [compress]; none: updates as they are
  std::string strategy = "fedavg";
  std::string weighting = "examples";
};

inline std::string digits_job(const DigitsOptions& options) {
  return "[job]\nname = \"digits\"\nseed = 7\nrounds = " + std::to_string(options.rounds) +
         R"(
[model]
input_shape = [1, 8, 8]
[[model.layers]]
type = "conv2d"
channels = 8
kernel = 3
padding = 1
[[model.layers]]
type = "relu"
[[model.layers]]
type = "max_pool2d"
[[model.layers]]
type = "flatten"
[[model.layers]]
type = "dense"
units = 10
[train]
epochs = 1
batch_size = 16
learning_rate = 0.1
[pace]
cohort = )" +
         std::to_string(options.agents) + "\n" + options.pace + "\n[evaluation]\n" +
         options.evaluation + "\n[strategy]\nname = \"" + options.strategy + "\"\n" +
         (options.weighting == "examples" ? "" : "weighting = \"" + options.weighting + "\"\n") +
         (options.compress.empty() ? "" : "[compress]\n" + options.compress);
}

/// A federation with enrolled agents "agent-0" …, each with its own part of the digits.
class Digits {
 public:
  explicit Digits(const DigitsOptions& options)
      : options_(options), federation_({CHORUS_BINARY, CHORUSD_BINARY, AGENT_BINARY}) {
    start_server("");
    for (unsigned i = 0; i < options_.agents; ++i) federation_.enroll(name(i));
  }

  static std::string name(unsigned index) { return "agent-" + std::to_string(index); }

  void start_server(const std::string& fail_at) {
    Federation::ServerOptions server;
    server.threads = options_.server_threads;
    server.fail_at = fail_at;
    federation_.start_server(server);
  }

  void start_agent(unsigned index) {
    Federation::AgentOptions agent;
    agent.name = name(index);
    agent.data = {"--data",          DIGITS_CSV,
                  "--label-column",  "-1",
                  "--scale",         "16",
                  "--shape",         "1x8x8",
                  "--test-fraction", "0.2",
                  "--partition",     "dirichlet:0.5",
                  "--parts",         std::to_string(options_.agents),
                  "--part",          std::to_string(index),
                  "--seed",          "7",
                  "--hold-out",      "0.2"};
    agents_.insert_or_assign(index, federation_.start_agent(agent));
  }
  void start_agents() {
    for (unsigned i = 0; i < options_.agents; ++i) start_agent(i);
  }
  /// What a device keeps between tasks is gone. @pre it does not run
  void lose_state(unsigned index) {
    EXPECT_GT(std::filesystem::remove_all(federation_.device_folder(name(index)) / "kept"), 1U);
  }
  Process& agent(unsigned index) { return agents_.at(index); }

  void submit() { federation_.submit(digits_job(options_)); }

  /// Waits until the job is finished and gives the final version.
  std::string finish() {
    const auto summary = federation_.wait_for_state("digits", {"finished", "stopped", "degraded"});
    EXPECT_EQ(summary.at("state"), "finished") << summary.dump() << federation_.log();
    return summary.at("version_sha256");
  }

  nlohmann::json rounds() {
    return federation_.admin({"round", "list", "digits", "--last", "200"}).at("rounds");
  }

  /// Every round is published with each device exactly once.
  void expect_complete() {
    const auto list = rounds();
    ASSERT_EQ(list.size(), options_.rounds);
    for (const auto& round : list) {
      const std::string number = std::to_string(round.at("round").get<unsigned>());
      EXPECT_EQ(round.at("state"), "published") << "round " << number;
      EXPECT_EQ(round.at("accepted"), options_.agents) << "round " << number;
      const auto detail = federation_.admin({"round", "show", "digits", number});
      std::map<std::string, int> counted;
      for (const auto& device : detail.at("devices")) {
        if (device.at("state") == "accepted") ++counted[device.at("device")];
      }
      EXPECT_EQ(counted.size(), options_.agents) << "round " << number;
      for (const auto& [device, times] : counted) EXPECT_EQ(times, 1) << device;
    }
  }

  Federation& federation() { return federation_; }

 private:
  DigitsOptions options_;
  Federation federation_;
  std::map<unsigned, Process> agents_;
};

}  // namespace chorus::test
