// What chorus-agent is told, by flags or by a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "chorus/client/dataset.hpp"
#include "chorus/result.hpp"
#include "common/base/log.hpp"

namespace chorus::agent {

/// Which examples this device has. One of `csv` or `images` + `labels`.
struct DataConfig {
  std::filesystem::path csv;
  bool header = false;
  std::string label_column = "-1";
  std::string key_column;
  double scale = 1.0;             ///< features are divided by it
  std::string shape;              ///< "1x8x8"; empty: flat
  std::filesystem::path images;   ///< idx
  std::filesystem::path labels;   ///< idx
  double test_fraction = 0.0;     ///< of the file, kept from every device; the same for all parts
  std::string partition = "iid";  ///< iid | dirichlet:ALPHA | shards:S | column:NAME
  std::uint32_t parts = 1;        ///< devices that share the file
  std::uint32_t part = 0;         ///< which of them this is, from 0
  double hold_out = 0.1;          ///< of this device's examples, for evaluation
  std::uint64_t seed = 0;         ///< of all the cuts
};

struct AgentConfig {
  std::string server;  ///< empty: the one the join token named
  std::filesystem::path state = "agent-state";
  std::vector<std::string> jobs;  ///< empty: any
  std::uint64_t tasks_max = 0;
  DataConfig data;
  LogOptions log;
};

/// Reads agent.toml over `config`; keys that the file does not have stay as they are.
/// @errors malformed_file: every problem with line, key, value and what was expected
Result<void> read_agent_config(const std::filesystem::path& file, AgentConfig& config);

/// This device's examples, cut as the configuration says.
struct Shares {
  client::Dataset test;  ///< kept from all devices
  client::Dataset train;
  client::Dataset holdout;
};
/// @errors of reading and of partitioning; invalid_argument for contradicting options
Result<Shares> load_shares(const DataConfig& config);

}  // namespace chorus::agent
