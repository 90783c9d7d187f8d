// One history: a scenario played to its end, with everything checked on the way.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/checker.hpp"
#include "tests/sim/scenario.hpp"
#include "tests/sim/sim_device.hpp"
#include "tests/sim/sim_server.hpp"
#include "tests/sim/world.hpp"

namespace chorus::sim {

struct SimulationOptions {
  std::uint64_t seed = 0;
  ScenarioOptions scenario;
  /// Of the scenario's faults, by number; none: all.
  std::optional<std::vector<std::size_t>> faults;
  LyingDisk lies;        ///< of the server's disk
  bool narrate = false;  ///< tells on standard error what happens
};

struct Outcome {
  std::optional<std::string> violation;
  std::uint64_t trace = 0;
  std::uint64_t rounds = 0;  ///< closed
  std::uint64_t published = 0;
  std::uint64_t updates = 0;   ///< in published versions
  std::uint64_t restarts = 0;  ///< of the server
  std::size_t faults = 0;      ///< in the scenario
  double virtual_seconds = 0.0;
};

Outcome simulate(const SimulationOptions& options);

}  // namespace chorus::sim
