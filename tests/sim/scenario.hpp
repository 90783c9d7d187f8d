// What a seed stands for: a job, its devices, and everything that goes wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/sim_device.hpp"
#include "tests/sim/sim_server.hpp"

namespace chorus::sim {

enum class FaultKind : std::uint8_t {
  server_dies,          ///< the process: what it has written stays
  server_dies_at_work,  ///< the same, at its n-th change of the disk from then on
  server_dies_at_step,  ///< the same, at the n-th thing it does
  server_loses_power,   ///< what was not synced may be lost
  server_restarts,      ///< as asked to, by SIGTERM
  server_disk_full,     ///< for a while
  server_disk_writes_fail,
  server_disk_syncs_fail,
  server_disk_reads_fail,
  device_dies,
  device_dies_at_work,
  device_loses_power,
  device_disk_fails,  ///< writes and syncs, for a while
  device_cut_off,     ///< for a while
  everybody_cut_off,
  connection_breaks,
  connection_vanishes,   ///< neither end is told
  device_reads_slowly,   ///< for a while
  link_is_slow,          ///< for a while
  administrator_pauses,  ///< and resumes after a while
  administrator_aborts,  ///< the round
};

struct Fault {
  Micros at{};
  FaultKind kind{};
  std::size_t device = 0;
  std::uint64_t amount = 0;
  Micros length{};
};
std::string to_string(const Fault& fault);

/// Which kinds there are: "none", "network", "crash", "disk", "liars", "all".
struct FaultProfile {
  std::string_view name;
  bool network = false;
  bool crashes = false;
  bool disk = false;
  bool liars = false;
};
std::optional<FaultProfile> fault_profile(std::string_view name);
std::string fault_profile_names();

struct ScenarioOptions {
  FaultProfile faults;
  std::optional<std::uint64_t> rounds;
  std::optional<std::uint64_t> devices;
};

struct Scenario {
  std::uint64_t rounds = 0;
  std::string job_toml;
  ServerOptions server;
  std::vector<DeviceTraits> devices;
  std::vector<Fault> faults;  ///< by time
  Micros quiet_from{};        ///< nothing goes wrong afterwards
};

Scenario make_scenario(const World& world, const ScenarioOptions& options);

}  // namespace chorus::sim
