// The round's end of a device's session: how a job reaches a connected device.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/types.hpp"
#include "common/codec/update_form.hpp"
#include "common/codec/version_steps.hpp"
#include "common/wire/messages.hpp"
#include "server/store/changes.hpp"
#include "server/store/journal.hpp"
#include "server/store/versions.hpp"

namespace chorus::server {

/// Bytes moved for one round; sessions add, the round reads.
struct RoundTraffic {
  std::atomic<std::uint64_t> up{0};
  std::atomic<std::uint64_t> down{0};
};

/// Where the body of a wanted update goes, and what it must be.
struct UploadTarget {
  std::shared_ptr<const codec::UpdateForm> form;
  std::shared_ptr<RoundJournal> journal;  ///< on the store thread only
  std::shared_ptr<RoundTraffic> traffic;
  TaskRef task;
  UpdateMeta meta;
  float value_max = 0.0F;
};

/// Steps to the version of a task, and their bodies.
struct StepsOffer {
  codec::VersionSteps steps;
  std::vector<std::shared_ptr<const ChangeReader>> bodies;  ///< one per step
};

/// What the devices of a round share, as it travels (common/codec/basis.hpp).
struct BasisOffer {
  wire::ModelRef ref;
  std::vector<std::byte> bytes;
  std::shared_ptr<const codec::Basis> basis;
};

/// A task for one device, with what its session needs to serve it.
struct Assignment {
  wire::Work work;
  std::shared_ptr<const VersionReader> model;  ///< the version to train or to measure
  std::shared_ptr<const StepsOffer> steps;     ///< other ways to it; may be null
  std::shared_ptr<RoundTraffic> traffic;
  std::shared_ptr<const BasisOffer> basis{};  ///< null: none
};

/// Implemented by sessions. Any thread; never blocks.
class SessionLink {
 public:
  virtual ~SessionLink() = default;
  /// Sends one message to the peer. A peer that does not read is disconnected when
  /// limits::kOutboxMax messages wait.
  virtual void send(wire::Message message) = 0;
  /// Sends the device its task; it may fetch that task's model and basis from now on.
  virtual void assign(Assignment assignment) = 0;
  /// Sends an Error (or Goodbye for errc::shutting_down) and closes the connection.
  virtual void close(Failure why) = 0;
};

/// How a job finds connected devices; implemented by the board.
class DeviceDirectory {
 public:
  virtual ~DeviceDirectory() = default;
  /// Null when the device is not connected.
  virtual std::shared_ptr<SessionLink> link_of(const ClientId& client) = 0;
  /// The job has invited the device or given it a task: other jobs must not.
  virtual void took(const ClientId& client, const JobId& job) = 0;
};

}  // namespace chorus::server
