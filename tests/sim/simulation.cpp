#include "tests/sim/simulation.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "common/base/log.hpp"

namespace chorus::sim {
namespace {

const JobId kJob{"job"};
constexpr Micros kOperatorLooks{1'000'000};
constexpr Micros kDrainDeadline{20'000'000};
/// The job must be over so long after the last fault: each round may meet all of its deadlines.
constexpr Micros kPatienceOfARound{180'000'000};

class Simulation {
 public:
  explicit Simulation(const SimulationOptions& options)
      : options_(options),
        world_(options.seed),
        scenario_(make_scenario(world_, options.scenario)),
        rng_(world_.stream("simulation")),
        disk_(world_.stream("server's disk").next_u64()) {}

  Outcome run();

 private:
  void play();
  void settle();
  void start_server();
  void bury_server(bool silently);
  void server_died();
  void operate();
  void strike(const Fault& fault);
  void end_all_faults();
  void start_device_later(SimDevice& device);
  bool job_is_over();
  std::shared_ptr<Connection> connect(const std::string& device, const LinkShape& shape);
  template <class... Args>
  void tell(fmt::format_string<Args...> format, Args&&... args) {
    if (!options_.narrate) return;
    fmt::print(stderr,
               "{:10.3f} s  {}\n",
               static_cast<double>(world_.elapsed().count()) * 1e-6,
               fmt::format(format, std::forward<Args>(args)...));
  }

  const SimulationOptions& options_;
  World world_;
  Scenario scenario_;
  Rng rng_;
  Rng network_ = world_.stream("network");
  Checker checker_;
  std::vector<std::unique_ptr<SimDevice>> devices_;
  std::vector<std::weak_ptr<Connection>> connections_;
  SimDisk disk_;
  std::unique_ptr<SimServer> server_;
  bool looked_again_ = false;
  bool submitted_ = false;
  bool paused_ = false;
  std::uint64_t die_in_steps_ = 0;
  std::uint64_t restarts_ = 0;
  std::uint64_t resumes_ = 0;
};

// ---- the server's life ----

void Simulation::start_server() {
  if (server_ != nullptr) return;
  // The wall clock of a machine that starts is whatever its battery and its network say.
  const TimePoint wall(std::chrono::duration_cast<Duration>(
      world_.elapsed() + between(rng_, Micros(10'000'000'000), Micros(20'000'000'000))));
  auto started = SimServer::start(world_, disk_.process(), scenario_.server, wall);
  if (!started) {
    tell("the server does not start: {}", started.error().to_string());
    if (started.error().code == errc::corrupt_data) {
      throw Violation{"the server does not start: " + started.error().to_string()};
    }
    disk_.kill();
    world_.after(Micros(500'000), [this] { start_server(); });
    return;
  }
  tell("the server starts");
  server_ = std::move(*started);
  looked_again_ = false;
  ++restarts_;
}

// @param silently  as when the machine loses power: nobody closes its connections
void Simulation::bury_server(bool silently) {
  if (server_ == nullptr) return;
  tell("the server is dead{}", silently ? ", and so is its machine" : "");
  if (disk_.is_alive()) disk_.kill();
  for (const auto& weak : connections_) {
    const auto connection = weak.lock();
    if (connection == nullptr) continue;
    if (silently) {
      connection->down->vanish();
    } else {
      connection->reset();
    }
  }
  connections_.clear();
  server_.reset();
  die_in_steps_ = 0;
  const Micros down = between(rng_, Micros(100'000), Micros(3'000'000));
  world_.after(down, [this] { start_server(); });
}

std::shared_ptr<Connection> Simulation::connect(const std::string& device, const LinkShape& shape) {
  if (server_ == nullptr || !server_->recovered() || server_->draining()) return nullptr;
  auto connection = std::make_shared<Connection>();
  connection->device = device;
  connection->up = std::make_shared<Pipe>(world_, network_, shape);
  connection->down = std::make_shared<Pipe>(world_, network_, shape);
  connections_.push_back(connection);
  server_->accept(connection);
  return connection;
}

/// Everything that is ready, and what follows from it.
void Simulation::settle() {
  while (server_ != nullptr) {
    if (!disk_.is_alive()) {
      bury_server(false);
      break;
    }
    if (server_->drained()) {
      bury_server(false);
      break;
    }
    if (!server_->run_one()) break;
    if (die_in_steps_ > 0 && --die_in_steps_ == 0) {
      bury_server(false);
      break;
    }
  }
  if (server_ == nullptr) return;
  // Whoever looks does so without faults, and without a trace.
  const DiskFaults faults = std::exchange(disk_.faults, DiskFaults{});
  if (server_->recovered() && !looked_again_) {
    looked_again_ = true;
    // A job that a sick disk could not give back is there still: the operator tries again.
    const bool excused = faults.any() && !server_->board().find(kJob);
    if (!excused) checker_.look_again(*server_);
  }
  checker_.look(*server_);
  disk_.faults = faults;
}

/// What an operator does who looks now and then.
void Simulation::operate() {
  world_.after(kOperatorLooks, [this] { operate(); });
  for (const auto& device : devices_) {
    if (!device->runs()) start_device_later(*device);
  }
  if (server_ == nullptr) return;
  if (server_->unusable()) {
    tell("the jobs cannot be taken up: {}", server_->unusable()->to_string());
    return bury_server(false);
  }
  if (!server_->recovered()) return;
  const auto job = server_->board().find(kJob);
  if (!job && server_->refused()) {
    if (!may_retry(server_->refused()->code) && server_->refused()->code != errc::io_failed) {
      throw Violation{"the job is refused: " + server_->refused()->to_string()};
    }
    return bury_server(false);
  }
  if (!job) {
    if (submitted_ && !server_->refused() && checker_.rounds_closed() > 0) {
      tell("the job is not there; a restart may help");
      return bury_server(false);
    }
    const auto jobs = server_->ledger().jobs();
    if (jobs && !jobs->empty()) {
      tell("the job could not be taken up; a restart may help");
      return bury_server(false);
    }
    submitted_ = true;
    server_->submit(scenario_.job_toml);
    return;
  }
  const server::JobPhase phase = (*job)->machine().job_phase();
  if (phase == server::JobPhase::degraded) {
    tell("the job is degraded: {}", (*job)->machine().why());
    if (++resumes_ % 3 == 0) return bury_server(false);
    static_cast<void>((*job)->control(server::JobVerb::resume));
  }
  if (phase == server::JobPhase::paused && !paused_) {
    static_cast<void>((*job)->control(server::JobVerb::resume));
  }
}

void Simulation::start_device_later(SimDevice& device) {
  const Micros down = between(rng_, Micros(10'000), Micros(500'000));
  world_.after(down, [&device] {
    if (!device.runs()) device.start();
  });
}

// ---- faults ----

void Simulation::strike(const Fault& fault) {
  tell("{}", to_string(fault));
  SimDevice& device = *devices_.at(fault.device % devices_.size());
  const auto for_a_while = [this, &fault](auto end) { world_.after(fault.length, std::move(end)); };
  const double chance = static_cast<double>(fault.amount) / 100.0;
  switch (fault.kind) {
    case FaultKind::server_dies:
      return bury_server(false);
    case FaultKind::server_dies_at_work:
      return disk_.die_at(fault.amount, [] {});
    case FaultKind::server_dies_at_step:
      die_in_steps_ = fault.amount;
      return;
    case FaultKind::server_loses_power:
      if (server_ == nullptr) return;
      disk_.power_cut();
      return bury_server(true);
    case FaultKind::server_restarts:
      if (server_ == nullptr || !server_->recovered() || server_->draining()) return;
      server_->drain();
      world_.after(kDrainDeadline, [this, same = restarts_] {
        if (restarts_ == same) bury_server(false);
      });
      return;
    case FaultKind::server_disk_full:
      disk_.faults.full = true;
      return for_a_while([this] { disk_.faults.full = false; });
    case FaultKind::server_disk_writes_fail:
      disk_.faults.write = chance;
      return for_a_while([this] { disk_.faults.write = 0.0; });
    case FaultKind::server_disk_syncs_fail:
      disk_.faults.sync = chance;
      return for_a_while([this] { disk_.faults.sync = 0.0; });
    case FaultKind::server_disk_reads_fail:
      disk_.faults.read = chance;
      return for_a_while([this] { disk_.faults.read = 0.0; });
    case FaultKind::device_dies:
      return device.die();
    case FaultKind::device_dies_at_work:
      return device.die_at(fault.amount);
    case FaultKind::device_loses_power:
      return device.lose_power();
    case FaultKind::device_disk_fails:
      device.disk().faults.write = chance;
      device.disk().faults.sync = chance;
      return for_a_while([&device] { device.disk().faults = {}; });
    case FaultKind::device_cut_off:
      device.cut_off(true);
      return for_a_while([&device] { device.cut_off(false); });
    case FaultKind::everybody_cut_off:
      for (const auto& each : devices_) each->cut_off(true);
      return for_a_while([this] {
        for (const auto& each : devices_) each->cut_off(false);
      });
    case FaultKind::connection_breaks:
      return device.break_connection();
    case FaultKind::connection_vanishes:
      return device.lose_connection_silently();
    case FaultKind::device_reads_slowly:
      device.read_slowly(Micros(static_cast<std::int64_t>(fault.amount) * 2'000));
      return for_a_while([&device] { device.read_slowly(Micros(0)); });
    case FaultKind::link_is_slow:
      device.traits().link.delay_max = Micros(static_cast<std::int64_t>(fault.amount) * 20'000);
      return for_a_while([&device] { device.traits().link.delay_max = LinkShape{}.delay_max; });
    case FaultKind::administrator_pauses:
    case FaultKind::administrator_aborts:
      break;
  }
  if (server_ == nullptr || !server_->recovered()) return;
  const auto job = server_->board().find(kJob);
  if (!job) return;
  if (fault.kind == FaultKind::administrator_aborts) {
    static_cast<void>((*job)->control(server::JobVerb::abort_round));
    return;
  }
  paused_ = true;
  static_cast<void>((*job)->control(server::JobVerb::pause));
  for_a_while([this] { paused_ = false; });
}

void Simulation::end_all_faults() {
  tell("nothing goes wrong from now on");
  disk_.faults = {};
  if (disk_.is_alive()) disk_.die_at(0, nullptr);
  die_in_steps_ = 0;
  paused_ = false;
  for (const auto& device : devices_) {
    device->disk().faults = {};
    device->cut_off(false);
    device->read_slowly(Micros(0));
    device->stop_lying();
    device->traits().link.delay_max = LinkShape{}.delay_max;
  }
}

// ---- the play ----

bool Simulation::job_is_over() {
  if (server_ == nullptr || !server_->recovered()) return false;
  const auto job = server_->board().find(kJob);
  if (!job || !(*job)->idle()) return false;
  const server::JobPhase phase = (*job)->machine().job_phase();
  return phase == server::JobPhase::finished || phase == server::JobPhase::stopped;
}

void Simulation::play() {
  if (options_.narrate) fmt::print(stderr, "{}\n", scenario_.job_toml);
  disk_.lies = options_.lies;
  disk_.observer = [this](DiskWork work, std::uint64_t offset, std::uint64_t bytes) {
    world_.trace(static_cast<std::uint64_t>(work) ^ (offset << 8U) ^ (bytes << 40U));
  };
  for (const DeviceTraits& traits : scenario_.devices) {
    SimDevice::Surroundings around;
    around.world = &world_;
    around.connect = [this](const std::string& device, const LinkShape& shape) {
      return connect(device, shape);
    };
    around.observer = &checker_;
    devices_.push_back(std::make_unique<SimDevice>(std::move(around), traits));
    start_device_later(*devices_.back());
  }
  start_server();
  world_.after(Micros(1'000), [this] { operate(); });
  for (std::size_t i = 0; i < scenario_.faults.size(); ++i) {
    const bool chosen =
        !options_.faults ||
        std::find(options_.faults->begin(), options_.faults->end(), i) != options_.faults->end();
    if (!chosen) continue;
    const Fault& fault = scenario_.faults[i];
    world_.after(fault.at, [this, &fault] { strike(fault); });
  }
  world_.after(scenario_.quiet_from, [this] { end_all_faults(); });
  const Micros last =
      scenario_.quiet_from + kPatienceOfARound * static_cast<std::int64_t>(scenario_.rounds + 1);
  std::optional<Micros> over_at;
  for (;;) {
    settle();
    if (!over_at && job_is_over()) {
      tell("the job is over");
      over_at = world_.elapsed();
    }
    // A little longer, until nothing is on its way.
    if (over_at && world_.elapsed() > std::max(*over_at, scenario_.quiet_from) + Micros(90'000'000))
      break;
    if (world_.elapsed() > last) {
      std::string why = "the server is down";
      if (server_ != nullptr) {
        const auto job = server_->board().find(kJob);
        why = job ? fmt::format("phase {}, round {} of {}: {}",
                                static_cast<int>((*job)->machine().job_phase()),
                                (*job)->machine().round().value,
                                scenario_.rounds,
                                (*job)->machine().why())
                  : "it is not there";
      }
      throw Violation{fmt::format("the job makes no progress after the last fault: {}", why)};
    }
    const World::Instant timer =
        server_ != nullptr ? world_.clock().next_timer() : World::Instant::max();
    const World::Instant next = std::min(timer, world_.next());
    if (next > world_.now()) world_.clock().advance_to(next);
    world_.trace(static_cast<std::uint64_t>(world_.elapsed().count()));
    if (timer <= world_.next()) {
      server_->let_timers_go_off();
    } else {
      world_.happen();
    }
  }
  if (server_ == nullptr || !job_is_over()) throw Violation{"the job was over, and is no more"};
  checker_.finish(*server_);
  if (const std::uint64_t bytes = server_->memory().granted(); bytes != 0) {
    throw Violation{fmt::format("{} bytes of memory are granted to nobody", bytes)};
  }
}

Outcome Simulation::run() {
  Outcome outcome;
  try {
    play();
  } catch (const Violation& violation) {
    outcome.violation = violation.what;
    tell("VIOLATION: {}", violation.what);
  }
  outcome.trace = world_.trace_hash();
  outcome.rounds = checker_.rounds_closed();
  outcome.published = checker_.rounds_published();
  outcome.updates = checker_.updates_checked();
  outcome.restarts = restarts_ > 0 ? restarts_ - 1 : 0;
  outcome.faults = scenario_.faults.size();
  outcome.virtual_seconds = static_cast<double>(world_.elapsed().count()) * 1e-6;
  if (disk_.is_alive()) disk_.kill();
  return outcome;
}

}  // namespace

Outcome simulate(const SimulationOptions& options) {
  Simulation simulation(options);
  return simulation.run();
}

}  // namespace chorus::sim
