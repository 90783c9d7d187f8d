// chorus_sim: searches for histories in which a promise does not hold.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fmt/format.h>
#include <string>
#include <vector>

#include "common/base/log.hpp"
#include "tests/sim/simulation.hpp"

namespace chorus::sim {
namespace {

struct Arguments {
  std::uint64_t seed = 1;
  std::uint64_t seeds = 1;
  double seconds = 0.0;
  std::string profile = "all";
  std::uint64_t rounds = 0;
  std::uint64_t devices = 0;
  std::vector<std::size_t> faults;
  bool only_faults = false;
  bool narrate = false;
  bool trace = false;
  bool first = false;
};

SimulationOptions options_of(const Arguments& arguments, std::uint64_t seed) {
  SimulationOptions options;
  options.seed = seed;
  options.scenario.faults = *fault_profile(arguments.profile);
  if (arguments.rounds != 0) options.scenario.rounds = arguments.rounds;
  if (arguments.devices != 0) options.scenario.devices = arguments.devices;
  if (arguments.only_faults) options.faults = arguments.faults;
  options.narrate = arguments.narrate;
  return options;
}

/// Leaves out what the violation does not need, one fault after the other.
std::vector<std::size_t> shrink(SimulationOptions options, std::size_t count) {
  std::vector<std::size_t> needed;
  if (options.faults) {
    needed = *options.faults;
  } else {
    for (std::size_t i = 0; i < count; ++i) needed.push_back(i);
  }
  options.narrate = false;
  for (std::size_t i = needed.size(); i > 0; --i) {
    std::vector<std::size_t> fewer = needed;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i - 1));
    options.faults = fewer;
    if (simulate(options).violation) needed = std::move(fewer);
  }
  return needed;
}

std::string replay(const Arguments& arguments,
                   std::uint64_t seed,
                   const std::vector<std::size_t>& faults) {
  std::string line = fmt::format("chorus_sim --seed {} --faults {}", seed, arguments.profile);
  if (arguments.rounds != 0) line += fmt::format(" --rounds {}", arguments.rounds);
  if (arguments.devices != 0) line += fmt::format(" --devices {}", arguments.devices);
  line += " --narrate --only-faults";
  for (const std::size_t fault : faults) line += fmt::format(" {}", fault);
  return line;
}

int run(const Arguments& arguments) {
  using Clock = std::chrono::steady_clock;
  const auto began = Clock::now();
  const auto seconds = [&began] {
    return std::chrono::duration<double>(Clock::now() - began).count();
  };
  std::uint64_t failed = 0;
  std::uint64_t done = 0;
  Outcome sum;
  for (std::uint64_t seed = arguments.seed;; ++seed) {
    if (arguments.seconds > 0.0 ? seconds() >= arguments.seconds
                                : seed >= arguments.seed + arguments.seeds) {
      break;
    }
    const SimulationOptions options = options_of(arguments, seed);
    const Outcome outcome = simulate(options);
    ++done;
    sum.rounds += outcome.rounds;
    sum.published += outcome.published;
    sum.updates += outcome.updates;
    sum.restarts += outcome.restarts;
    sum.faults += outcome.faults;
    sum.virtual_seconds += outcome.virtual_seconds;
    if (arguments.trace) fmt::print("seed {} trace {:016x}\n", seed, outcome.trace);
    if (!outcome.violation) continue;
    ++failed;
    fmt::print("seed {}: {}\n", seed, *outcome.violation);
    std::fflush(stdout);
    if (arguments.first) return 1;
    const auto faults = shrink(options, outcome.faults);
    fmt::print("  of {} faults {} are needed:\n  {}\n",
               outcome.faults,
               faults.size(),
               replay(arguments, seed, faults));
    std::fflush(stdout);
  }
  const double took = seconds();
  fmt::print(
      "{} seeds, {} failed: {} rounds closed, {} published from {} updates; {} faults, {} "
      "restarts, "
      "{:.0f} virtual hours in {:.1f} s ({:.0f} rounds a minute)\n",
      done,
      failed,
      sum.rounds,
      sum.published,
      sum.updates,
      sum.faults,
      sum.restarts,
      sum.virtual_seconds / 3600.0,
      took,
      60.0 * static_cast<double>(sum.rounds) / took);
  return failed == 0 ? 0 : 1;
}

int main_of(int argc, char** argv) {
  CLI::App app(
      "chorus_sim: plays histories of a federation in which everything goes wrong, and checks "
      "that\n"
      "no acknowledged update is lost or counted twice.\n"
      "Example: chorus_sim --seeds 200");
  Arguments arguments;
  app.add_option("--seed", arguments.seed, "the first one");
  app.add_option("--seeds", arguments.seeds, "how many");
  app.add_option("--for", arguments.seconds, "as many as fit into this time, e.g. 1h, 90s, 2m")
      ->transform(CLI::AsNumberWithUnit(
          std::map<std::string, double>{{"s", 1.0}, {"m", 60.0}, {"h", 3600.0}},
          CLI::AsNumberWithUnit::CASE_SENSITIVE));
  app.add_option("--faults", arguments.profile, "one of " + fault_profile_names())
      ->check([](const std::string& name) {
        return fault_profile(name)
                   ? std::string()
                   : "no profile '" + name + "'; there are " + fault_profile_names();
      });
  app.add_option("--rounds", arguments.rounds, "of the job, in place of what the seed says");
  app.add_option("--devices", arguments.devices, "2 or more, in place of what the seed says")
      ->check(CLI::Range(2, 1000));
  auto* const only = app.add_option("--only-faults",
                                    arguments.faults,
                                    "numbers of the scenario's faults, in place of all of them");
  only->expected(0, 1000);
  app.add_flag("--narrate", arguments.narrate, "tells what happens");
  app.add_flag("--trace", arguments.trace, "prints a hash of everything that happened, per seed");
  app.add_flag("--first", arguments.first, "ends with the first one that fails, as it is");
  app.footer("Exit codes: 0 every promise held, 1 one did not, 2 usage.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  arguments.only_faults = only->count() > 0;
  spdlog::set_level(arguments.narrate ? spdlog::level::info : spdlog::level::off);
  spdlog::set_pattern("              %l: %v");
  return run(arguments);
}

}  // namespace
}  // namespace chorus::sim

int main(int argc, char** argv) {
  return chorus::sim::main_of(argc, argv);
}
