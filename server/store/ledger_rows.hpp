// What the ledger holds, a row each: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "chorus/plan.hpp"
#include "common/base/types.hpp"

namespace chorus::server {

enum class DeviceState : std::uint8_t { enrolled = 1, revoked = 2 };

struct DeviceRow {
  ClientId client;
  DeviceState state = DeviceState::enrolled;
  std::string certificate_sha256;  ///< hex, of the newest certificate
  TimePoint enrolled_at{};
  TimePoint last_seen_at{};
  TimePoint certificate_expires_at{};
  std::uint64_t updates_accepted = 0;
  std::uint64_t updates_rejected = 0;
};

struct TokenRow {
  std::string secret_sha256;  ///< hex; the secret itself is never stored
  std::string device;         ///< fixed name, or empty
  std::uint32_t uses_left = 1;
  TimePoint expires_at{};
};

enum class JobState : std::uint8_t {
  running = 1,
  paused = 2,
  finished = 3,
  stopped = 4,
  degraded = 5
};

struct JobRow {
  JobId job;
  JobState state = JobState::running;
  std::string why;       ///< of the state, for people
  std::string job_toml;  ///< as submitted
  Sha256 initial_version;
  Sha256 current_version;
  RoundId last_round;  ///< the last closed round; 0: none yet
  TimePoint created_at{};
};

enum class RoundState : std::uint8_t { open = 1, published = 2, abandoned = 3 };

struct RoundRow {
  JobId job;
  RoundId round;
  RoundState state = RoundState::open;
  std::string why;
  std::vector<ClientId> cohort;  ///< sorted
  Sha256 base_version;
  std::optional<Sha256> version;  ///< published
  std::uint64_t goal = 0;
  std::uint64_t accepted = 0;
  std::uint64_t rejected = 0;
  std::uint64_t discarded = 0;
  std::uint64_t evaluated = 0;
  Examples examples;
  std::uint64_t bytes_up = 0;
  std::uint64_t bytes_down = 0;
  TimePoint opened_at{};
  std::optional<TimePoint> closed_at;
  std::vector<Metric> metrics;
};

/// One device's part in one round.
struct ReceiptRow {
  ClientId client;
  std::string outcome;  ///< accepted | rejected | discarded
  std::string why;
  Examples examples;
  std::uint64_t bytes = 0;
  double seconds = 0.0;
  std::string digest;  ///< hex
};

/// What a round left beside its version (changes.hpp).
struct ChangeInfo {
  std::uint64_t bytes = 0;  ///< of the step to the version; 0: there is none
  BodyDigest rest;          ///< of what the codec left out
  bool operator==(const ChangeInfo&) const = default;
};

struct VersionRow {
  Sha256 sha256;
  JobId job;
  RoundId round;  ///< 0: the initial model
  std::uint64_t bytes = 0;
  std::uint64_t parameters = 0;
  TimePoint created_at{};
  bool kept = true;                  ///< its file is there
  ChangeInfo change{};               ///< from the version before, when versions travel compressed
  std::optional<BodyDigest> sent{};  ///< of the mean of what devices have sent (changes.hpp)
  /// What devices share after it (common/codec/basis.hpp). Written only: round_basis() reads it.
  std::vector<std::byte> next_basis{};
};

/// Of one device.
struct AcceptedUpdates {
  RoundId first;            ///< whose round had the first of them
  std::uint64_t count = 0;  ///< 1 or more
  bool operator==(const AcceptedUpdates&) const = default;
};

/// Which codecs the updates of a job follow from a round on (server/compress).
struct CodecPlanRow {
  JobId job;
  RoundId first_round;
  std::string plan;
};

struct AuditRow {
  TimePoint at{};
  std::string who;
  std::string what;
  std::string detail;
};

}  // namespace chorus::server
