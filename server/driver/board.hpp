// All jobs and all connected devices of one daemon: decides which job a free device serves.
// Everything here runs on the control executor.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "chorus/result.hpp"
#include "common/wire/messages.hpp"
#include "server/driver/context.hpp"
#include "server/driver/job_runner.hpp"
#include "server/driver/session_link.hpp"

namespace chorus::server {

/// Names one connection of one device, so that what an old connection still says is ignored.
struct SessionKey {
  ClientId client;
  std::uint64_t serial = 0;
};

class Board final : public DeviceDirectory {
 public:
  Board(Context& context, std::uint32_t devices_waiting_max);
  ~Board() override;

  /// Loads every job of the ledger and resumes the open ones; removes journals of closed rounds.
  boost::asio::awaitable<Result<void>> recover();

  // -- sessions --
  /// A device has connected. Its older connection, if any, is closed.
  void connected(const SessionKey& key, std::shared_ptr<SessionLink> link, std::vector<JobId> jobs);
  void disconnected(const SessionKey& key);
  void ready(const SessionKey& key);
  OfferDecision offer(const SessionKey& key, const wire::Offer& offer);
  void upload_complete(const SessionKey& key, const TaskRef& task);
  void upload_failed(const SessionKey& key, const TaskRef& task, bool rejected, const Failure& why);
  void upload_not_stored(const SessionKey& key, const TaskRef& task, const Failure& why);
  void declined(const SessionKey& key, const wire::Decline& decline);
  /// The device was revoked: closes its connection, and jobs do without what they hold of it.
  void expel(const ClientId& client, const Failure& why);
  bool is_connected(const ClientId& client) const { return devices_.contains(client); }
  std::uint64_t devices_connected() const noexcept { return devices_.size(); }

  // -- jobs --
  /// Checks job.toml, makes the initial model, stores both, starts the job.
  /// @param initial  its parameters; null: they are drawn by the job's seed
  /// @errors malformed_file; already_exists; busy; shape_mismatch, invalid_argument: of `initial`
  boost::asio::awaitable<Result<std::shared_ptr<JobRunner>>> submit(
      std::string job_toml,
      std::string file_name,
      std::shared_ptr<const InitialParameters> initial = nullptr);
  /// @errors not_found, listing the jobs there are
  Result<std::shared_ptr<JobRunner>> find(const JobId& job) const;
  const std::map<JobId, std::shared_ptr<JobRunner>>& jobs() const noexcept { return jobs_; }

  /// Lets go of every session. Before the sessions' threads are destroyed.
  void forget_devices() { devices_.clear(); }

  /// No new work; waits until nothing is on its way to a disk.
  boost::asio::awaitable<void> drain();

  // DeviceDirectory
  std::shared_ptr<SessionLink> link_of(const ClientId& client) override;
  void took(const ClientId& client, const JobId& job) override;

 private:
  struct Device {
    std::uint64_t serial = 0;
    std::shared_ptr<SessionLink> link;
    std::vector<JobId> jobs;  ///< empty: any
    bool waiting = false;     ///< said Ready, has no task
    bool taken = false;       ///< set by took() while jobs are asked
  };

  /// Null when `key` names a connection that is not the device's present one.
  Device* device_of(const SessionKey& key);
  std::shared_ptr<JobRunner> runner_of(const TaskRef& task) const;
  std::vector<std::shared_ptr<JobRunner>> eligible(const ClientId& client, const Device& device);
  void offer_to_jobs(const ClientId& client, Device& device);
  void send_away(const ClientId& client, Device& device);
  boost::asio::awaitable<Result<void>> add_runner(JobRow row);
  Result<void> remove_stale_journals(const std::vector<JobRow>& rows);

  Context& context_;
  const std::uint32_t devices_waiting_max_;
  std::map<ClientId, Device> devices_;
  std::uint64_t waiting_ = 0;
  std::map<JobId, std::shared_ptr<JobRunner>> jobs_;
  std::set<JobId> submitting_;
  bool draining_ = false;
};

}  // namespace chorus::server
