// A daemon: everything that server/main.cpp builds but sockets, administrators' connections and
// threads, on one thread, with a simulation's disk, network and clock.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "server/driver/audit_log.hpp"
#include "server/driver/board.hpp"
#include "server/net/session.hpp"
#include "server/store/spare_segments.hpp"
#include "tests/sim/sim_disk.hpp"
#include "tests/sim/sim_network.hpp"
#include "tests/sim/sqlite_vfs.hpp"
#include "tests/sim/world.hpp"

namespace chorus::sim {

struct ServerOptions {
  std::uint64_t memory = 8ULL << 20U;
  std::uint64_t segment_bytes = 8U << 10U;
  std::uint64_t checkpoint_after = 16U << 10U;
  std::uint32_t devices_waiting_max = 1000;
  bool durable = true;
  Duration idle_deadline{60'000};
  Duration heartbeat{15'000};
};

/// One process of chorusd. Destroying it is a crash: what is under way never happens.
class SimServer {
 public:
  /// @param wall  what the wall clock shows when the process starts
  static Result<std::unique_ptr<SimServer>> start(World& world,
                                                  std::shared_ptr<Disk> disk,
                                                  const ServerOptions& options,
                                                  TimePoint wall);
  ~SimServer();
  SimServer(const SimServer&) = delete;
  SimServer& operator=(const SimServer&) = delete;

  /// Runs one thing that is ready. @returns whether there was one
  bool run_one() { return io_.poll_one() > 0; }
  /// Lets timers go off that are due; what waits for them is ready then.
  void let_timers_go_off();

  void accept(std::shared_ptr<Connection> connection);
  /// Why the jobs could not be taken up; none: they were, or it is under way.
  const std::optional<Failure>& unusable() const noexcept { return unusable_; }
  bool recovered() const noexcept { return recovered_; }
  void submit(std::string job_toml);
  const std::optional<Failure>& refused() const noexcept { return refused_; }
  /// As SIGTERM does it: no new connections or rounds; what is under way is finished.
  void drain();
  bool draining() const noexcept { return draining_; }
  bool drained() const noexcept { return drained_; }

  server::Board& board() noexcept { return *board_; }
  server::Ledger& ledger() noexcept { return *ledger_; }
  server::VersionStore& versions() noexcept { return *versions_; }
  const server::MemoryBudget& memory() const noexcept { return memory_; }
  std::uint64_t sessions() const noexcept { return sessions_; }

 private:
  SimServer(World& world, std::shared_ptr<Disk> disk, const ServerOptions& options, TimePoint wall);
  Result<void> open(const ServerOptions& options);

  World& world_;
  std::shared_ptr<Disk> disk_;
  World::Instant began_;
  TimePoint wall_;
  SqliteVfs vfs_;
  std::unique_ptr<server::Ledger> ledger_;
  std::unique_ptr<server::VersionStore> versions_;
  std::unique_ptr<server::ChangeStore> changes_;
  std::optional<server::SpareSegments> spare_segments_;
  server::MemoryBudget memory_;
  server::Context context_;
  std::unique_ptr<server::Access> access_;
  boost::asio::io_context io_{1};  ///< what waits in it refers to what is above
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> running_{
      io_.get_executor()};
  std::unique_ptr<server::AuditLog> audit_;
  std::unique_ptr<server::Board> board_;
  server::SessionServices services_;
  std::uint64_t serial_ = 0;
  std::uint64_t sessions_ = 0;
  bool recovered_ = false;
  bool draining_ = false;
  bool drained_ = false;
  std::optional<Failure> unusable_;
  std::optional<Failure> refused_;
};

}  // namespace chorus::sim
