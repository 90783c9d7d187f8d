// A whole federation of real processes on loopback, for end-to-end tests and benchmarks: made with
// `chorus init`, served by chorusd, joined by chorus-agent.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus::test {

/// Where the binaries are; CMake says.
struct Binaries {
  std::string chorus;
  std::string chorusd;
  std::string agent;
};

class Federation {
 public:
  explicit Federation(Binaries binaries);
  ~Federation();

  struct ServerOptions {
    unsigned threads = 2;
    std::string fail_at;  ///< CHORUS_FAIL_AT, see server/driver/fail_point.hpp
  };
  /// Starts chorusd and waits until it listens.
  void start_server(const ServerOptions& options);
  void start_server() { start_server(ServerOptions{}); }
  Process& server() { return *server_; }

  /// The state folder of a device that has just enrolled under this name.
  std::filesystem::path enroll(const std::string& name);
  /// Starts chorus-agent on an enrolled device's share of the data.
  struct AgentOptions {
    std::string name;
    std::vector<std::string> data;  ///< the agent's data options
  };
  Process start_agent(const AgentOptions& options);

  /// `chorus ARGUMENTS --json`; throws with everything it said when it fails.
  nlohmann::json admin(std::vector<std::string> arguments);
  /// The same without expecting success.
  Finished try_admin(std::vector<std::string> arguments);
  void submit(const std::string& job_toml);
  /// The job's summary once its state is one of `states`; throws at the deadline.
  nlohmann::json wait_for_state(const std::string& job,
                                const std::vector<std::string>& states,
                                std::chrono::seconds deadline = std::chrono::seconds(120));

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path device_folder(const std::string& name) const {
    return temp_.path() / "devices" / name;
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::uint16_t port() const { return port_; }
  std::string log() const;

 private:
  Binaries binaries_;
  TempFolder temp_;
  std::filesystem::path folder_;
  std::uint16_t port_ = 0;
  std::unique_ptr<Process> server_;
};

}  // namespace chorus::test
