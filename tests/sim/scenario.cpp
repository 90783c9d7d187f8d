#include "tests/sim/scenario.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>

namespace chorus::sim {
namespace {

constexpr std::array kProfiles{
    FaultProfile{.name = "none"},
    FaultProfile{.name = "network", .network = true},
    FaultProfile{.name = "crash", .crashes = true},
    FaultProfile{.name = "disk", .crashes = true, .disk = true},
    FaultProfile{.name = "liars", .liars = true},
    FaultProfile{.name = "all", .network = true, .crashes = true, .disk = true, .liars = true},
};

constexpr std::array<std::string_view, 21> kNames{
    "the server dies",
    "the server dies at a change of its disk",
    "the server dies at a step",
    "the server loses power",
    "the server restarts",
    "the server's disk is full",
    "the server's writes fail",
    "the server's syncs fail",
    "the server's reads fail",
    "a device dies",
    "a device dies at a change of its disk",
    "a device loses power",
    "a device's disk fails",
    "a device is cut off",
    "everybody is cut off",
    "a connection breaks",
    "a connection vanishes",
    "a device reads slowly",
    "a link is slow",
    "an administrator pauses the job",
    "an administrator aborts the round",
};

std::vector<FaultKind> kinds_of(const FaultProfile& profile) {
  std::vector<FaultKind> kinds;
  const auto add = [&kinds](std::initializer_list<FaultKind> some) {
    kinds.insert(kinds.end(), some);
  };
  using enum FaultKind;
  if (profile.crashes) {
    add({server_dies,
         server_dies_at_work,
         server_dies_at_work,
         server_dies_at_step,
         server_loses_power,
         server_loses_power,
         server_restarts,
         device_dies,
         device_dies_at_work,
         device_loses_power});
  }
  if (profile.disk) {
    add({server_disk_full,
         server_disk_writes_fail,
         server_disk_syncs_fail,
         server_disk_reads_fail,
         device_disk_fails});
  }
  if (profile.network) {
    add({device_cut_off,
         everybody_cut_off,
         connection_breaks,
         connection_breaks,
         connection_vanishes,
         device_reads_slowly,
         link_is_slow,
         administrator_pauses,
         administrator_aborts});
  }
  return kinds;
}

/// How updates become the next model, and how they travel.
struct Method {
  std::string strategy = "name = \"fedavg\"\n";
  std::string compress;  ///< a table, or none
  bool set_rule = false;
};

Method method(Rng& rng, std::uint64_t cohort) {
  const auto compressed = [](std::string_view rest) {
    return fmt::format("[compress]\ncodec = {}\n", rest);
  };
  const std::uint64_t which = rng.below(16);
  const bool by_examples = rng.below(2) == 0;
  const bool half = rng.below(3) == 0;
  Method method;
  if (which < 3 && cohort >= 3) {
    method.set_rule = true;
    method.strategy = which == 0 ? "name = \"median\"\n" : "name = \"trimmed_mean\"\n";
    if (which == 2) method.compress = compressed("\"uniform\"\nbits = 8\nbucket = 64");
    return method;
  }
  method.strategy += fmt::format("weighting = \"{}\"\nserver_learning_rate = {}\n",
                                 by_examples ? "examples" : "uniform",
                                 half ? "0.5" : "1.0");
  switch (which) {
    case 3:
      method.compress = compressed("\"uniform\"\nbits = 8\nbucket = 64");
      break;
    case 4:
      method.compress = compressed("\"rotated\"\nbits = 4\nbucket = 64");
      break;
    case 5:
      method.compress = compressed("\"top_k\"\ndensity = 0.25\nfeedback = \"error\"");
      break;
    case 6:
      method.compress = compressed("\"subspace\"\nrank = 1\nfeedback = \"error\"");
      break;
    case 7:
      method.strategy = "name = \"fedavg\"\nweighting = \"uniform\"\n";
      method.compress = compressed("\"uniform\"\nbits = 4\nbucket = 64\nfeedback = \"difference\"");
      break;
    case 8:
      method.compress = compressed("\"bf16\"\n[compress.down]\ncodec = \"uniform\"\nbits = 8");
      break;
    default:
      break;
  }
  return method;
}

std::string job(Rng& rng, std::uint64_t rounds, std::uint64_t devices) {
  const std::uint64_t seed = rng.below(1000);
  const std::uint64_t inputs = std::array<std::uint64_t, 3>{2, 7, 30}[rng.below(3)];
  const std::uint64_t cohort = 2 + rng.below(devices - 1);
  const bool over = rng.below(3) == 0 && cohort < devices;
  const double over_select =
      over ? static_cast<double>(devices) / static_cast<double>(cohort) : 1.0;
  const std::uint64_t least = 1 + rng.below(cohort);
  const double evaluated = std::array{0.0, 0.0, 0.5, 1.0}[rng.below(4)];
  const Method how = method(rng, cohort);
  return fmt::format(
      "[job]\nname = \"job\"\nseed = {}\nrounds = {}\n"
      "[model]\ninput_shape = [{}]\n[[model.layers]]\ntype = \"dense\"\nunits = 2\n"
      "[strategy]\n{}{}"
      "[pace]\ncohort = {}\nover_select = {:.6f}\ngoal = {}\nmin_reports = {}\ndeadline = \"20s\"\n"
      "grace = \"5s\"\nselection_deadline = \"10s\"\n"
      "[evaluation]\nfraction = {}\ndeadline = \"10s\"\n"
      "[limits]\nexamples_max = 1000\nvalue_max = 10.0\n",
      seed,
      rounds,
      inputs,
      how.strategy,
      how.compress,
      cohort,
      over_select,
      cohort,
      how.set_rule ? std::max<std::uint64_t>(least, 3) : least,
      evaluated);
}

}  // namespace

std::string to_string(const Fault& fault) {
  const double seconds = static_cast<double>(fault.at.count()) * 1e-6;
  return fmt::format("{:9.3f} s  {} (device {}, {}, {} ms)",
                     seconds,
                     kNames.at(static_cast<std::size_t>(fault.kind)),
                     fault.device,
                     fault.amount,
                     fault.length.count() / 1000);
}

std::optional<FaultProfile> fault_profile(std::string_view name) {
  const auto found = std::find_if(
      kProfiles.begin(), kProfiles.end(), [name](const auto& p) { return p.name == name; });
  if (found == kProfiles.end()) return std::nullopt;
  return *found;
}

std::string fault_profile_names() {
  std::string names;
  for (const FaultProfile& profile : kProfiles) {
    names += (names.empty() ? "" : ", ") + std::string(profile.name);
  }
  return names;
}

Scenario make_scenario(const World& world, const ScenarioOptions& options) {
  Rng rng = world.stream("scenario");
  Scenario scenario;
  const std::uint64_t drawn_rounds = 3 + rng.below(12);
  scenario.rounds = options.rounds.value_or(drawn_rounds);
  const std::uint64_t drawn_devices = 3 + rng.below(8);
  const std::uint64_t devices = options.devices.value_or(drawn_devices);
  scenario.job_toml = job(rng, scenario.rounds, devices);
  scenario.server.segment_bytes = std::array{512U, 4096U, 65536U}[rng.below(3)];
  scenario.server.checkpoint_after = std::array{1024U, 8192U, 1U << 20U}[rng.below(3)];
  for (std::uint64_t i = 0; i < devices; ++i) {
    DeviceTraits traits;
    traits.name = fmt::format("device-{:02}", i);
    if (rng.below(5) == 0) traits.training_max = Micros(3'000'000);
    if (rng.below(5) == 0) traits.link.bytes_per_micro = 0.05;
    if (options.faults.liars && rng.below(3) == 0) traits.lies = 0.5;
    scenario.devices.push_back(std::move(traits));
  }
  const Micros horizon(static_cast<std::int64_t>(scenario.rounds) * 400'000);
  scenario.quiet_from = horizon;
  const auto kinds = kinds_of(options.faults);
  const std::uint64_t count = kinds.empty() ? 0 : 1 + rng.below(2 + scenario.rounds);
  for (std::uint64_t i = 0; i < count; ++i) {
    Fault fault;
    fault.at = between(rng, Micros(0), horizon);
    fault.kind = kinds[rng.below(kinds.size())];
    fault.device = rng.below(devices);
    fault.amount = 1 + rng.below(60);
    fault.length = between(rng, Micros(50'000), Micros(15'000'000));
    scenario.faults.push_back(fault);
    scenario.quiet_from = std::max(scenario.quiet_from, fault.at + fault.length);
  }
  std::stable_sort(scenario.faults.begin(),
                   scenario.faults.end(),
                   [](const auto& a, const auto& b) { return a.at < b.at; });
  return scenario;
}

}  // namespace chorus::sim
