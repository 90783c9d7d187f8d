// A whole daemon without its network: board, jobs and real stores in a folder, the control
// executor run by the test; and devices that train in no time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/net/async.hpp"
#include "server/driver/audit_log.hpp"
#include "server/driver/board.hpp"
#include "server/store/spare_segments.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/unit/server/driver/flaky_ledger.hpp"

namespace chorus::server::test {

using namespace std::chrono_literals;

struct Folder : chorus::test::TempFolder {
  Folder() : TempFolder(chorus::test::memory_folder()) {}
};

/// What a device with feedback = "difference" keeps; it outlives daemons, as in real life.
struct KeptByDevice {
  std::vector<float> sent;
  std::uint64_t since = 0;
  std::uint64_t updates = 0;
};
struct DeviceMemory {
  KeptByDevice kept;
  KeptByDevice staged;
  RoundId staged_round{};  ///< whose update, once accepted, makes `staged` what is kept; 0: none
};
using DeviceMemories = std::map<std::string, DeviceMemory>;

struct DaemonOptions {
  std::uint64_t memory = 64ULL << 20U;
  std::uint64_t checkpoint_after = 1ULL << 30U;
  std::uint64_t segment_bytes = 1ULL << 20U;
  std::uint32_t devices_waiting_max = 1000;
  bool durable = false;  ///< tests kill the daemon, not the machine
  std::shared_ptr<DeviceMemories> memories = std::make_shared<DeviceMemories>();
};

/// Destroying it without drain() is a crash: what is under way never happens.
class Daemon {
 public:
  explicit Daemon(const std::filesystem::path& folder, const DaemonOptions& options = {});
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  /// Runs the control thread until `done`; false after a minute.
  bool run_until(const std::function<bool()>& done);
  /// One handler of the control thread (waits for one at most a second).
  void run_one() { control.run_one_for(1s); }
  /// A coroutine on the control thread, to its end.
  template <class T>
  T play(boost::asio::awaitable<T> work) {
    std::optional<T> outcome;
    auto body = [](boost::asio::awaitable<T> inner,
                   std::optional<T>& into) -> boost::asio::awaitable<void> {
      into.emplace(co_await std::move(inner));
    };
    net::spawn(control.get_executor(), body(std::move(work), outcome), "a test");
    EXPECT_TRUE(run_until([&outcome] { return outcome.has_value(); }));
    return std::move(*outcome);
  }
  Result<void> recover() { return play(board->recover()); }
  std::shared_ptr<JobRunner> submit(const std::string& job_toml);
  std::shared_ptr<JobRunner> job(const std::string& name = "job") {
    return board->find(JobId{name}).value();
  }
  bool over(const std::string& name = "job");
  /// What the ledger says, asked on the store thread.
  template <class F>
  auto ask(F question) {
    return play(net::run_on(context.store, std::move(question)));
  }
  std::vector<AuditRow> audit();
  std::vector<RoundRow> rounds(const std::string& name = "job");

  boost::asio::io_context control{1};
  std::optional<boost::asio::thread_pool> store{std::in_place, 1};
  std::optional<boost::asio::thread_pool> compute{std::in_place, 2};
  std::unique_ptr<FlakyLedger> ledger;
  std::unique_ptr<VersionStore> versions;
  std::unique_ptr<ChangeStore> changes;
  SpareSegments spare_segments;
  MemoryBudget memory;
  Context context;
  std::shared_ptr<DeviceMemories> memories;
  std::unique_ptr<AuditLog> audit_log;
  std::unique_ptr<Board> board;
};

/// A connected device. Trains at once: its update is a function of base version, round and name.
class FakeDevice final : public SessionLink, public std::enable_shared_from_this<FakeDevice> {
 public:
  FakeDevice(Daemon& daemon, std::string name, std::uint64_t serial)
      : daemon_(daemon), key_{ClientId{std::move(name)}, serial} {}

  static std::shared_ptr<FakeDevice> join(Daemon& daemon,
                                          const std::string& name,
                                          std::uint64_t serial = 1,
                                          std::vector<JobId> jobs = {});

  void send(wire::Message message) override;
  void assign(Assignment assignment) override;
  void close(Failure why) override;

  void ready() { daemon_.board->ready(key_); }
  void leave() { daemon_.board->disconnected(key_); }
  /// What this device would send for a task. A "liar…" says −100 times what it should.
  static std::vector<float> update_for(const Assignment& assignment, const std::string& name);
  /// Of the plan's compression and the round's basis.
  static codec::UpdateForm form_of(const Assignment& assignment);
  /// The same as the plan's compression wants it.
  static std::vector<std::byte> body_for(const Assignment& assignment, const std::string& name);
  static wire::Offer offer_for(const Assignment& assignment, const std::string& name);
  /// Offers and uploads.
  void offer(const Assignment& assignment);

  const SessionKey& key() const { return key_; }

  bool automatic = true;                  ///< trains and answers by itself
  bool trains = true;                     ///< or keeps assignments for offer()
  std::function<void()> before_complete;  ///< the body is in the journal, nobody knows
  std::function<void()> on_accepted;      ///< at once when Accepted is sent
  std::vector<wire::Message> received;
  std::vector<Assignment> assigned;
  std::vector<OfferDecision> decisions;
  std::optional<Failure> closed;
  int tasks_held = 0;  ///< never more than one

 private:
  boost::asio::awaitable<void> offer_difference(Assignment assignment);
  void decide(const wire::Offer& offer, std::vector<std::byte> body);
  boost::asio::awaitable<void> upload(std::shared_ptr<const UploadTarget> target,
                                      std::vector<std::byte> body);
  void on_message(const wire::Message& message);
  void free();

  Daemon& daemon_;
  SessionKey key_;
};

using Devices = std::vector<std::shared_ptr<FakeDevice>>;

/// "a", "b" and "c": a whole cohort of job_toml().
Devices join_all(Daemon& daemon, std::uint64_t serial = 1);

/// cohort of 3, `rounds` rounds, no deadlines, everything else as given.
std::string job_toml(const std::string& rest = "", const std::string& name = "job", int rounds = 3);

/// Messages of one kind among `messages`.
template <class M>
std::vector<M> of_kind(const std::vector<wire::Message>& messages) {
  std::vector<M> found;
  for (const wire::Message& message : messages) {
    if (const M* one = std::get_if<M>(&message)) found.push_back(*one);
  }
  return found;
}

}  // namespace chorus::server::test
