// What is true after a crash: devices, jobs, rounds, receipts, versions, metrics, audit. An
// interface, so that another database can stand in SQLite's place. All calls from one thread at a
// time (the store thread); each method is one transaction.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chorus/plan.hpp"
#include "chorus/result.hpp"
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

struct VersionRow {
  Sha256 sha256;
  JobId job;
  RoundId round;  ///< 0: the initial model
  std::uint64_t bytes = 0;
  std::uint64_t parameters = 0;
  TimePoint created_at{};
  bool kept = true;  ///< its file is there
};

struct AuditRow {
  TimePoint at{};
  std::string who;
  std::string what;
  std::string detail;
};

class Ledger {
 public:
  virtual ~Ledger() = default;

  // -- devices --
  /// Consumes one use of a token and enrols `device`, or re-enrols it when the same token was used
  /// by the same public key before (the reply was lost).
  /// Behaviour: token unknown, expired or used up → token_invalid; the device name taken by another
  /// key, or this key enrolled under another name with this token → already_exists; token bound to
  /// another name → token_invalid; revoked device, or the key of one → revoked. "Now" is
  /// device.enrolled_at; a re-enrolment keeps the first one, and the counters.
  virtual Result<void> enroll(const std::string& token_sha256,
                              const std::string& public_key_sha256,
                              const DeviceRow& device) = 0;
  /// Behaviour: replaces certificate_sha256 and expiry; revoked → revoked; unknown → not_found.
  virtual Result<void> renew(const ClientId& client,
                             const std::string& certificate_sha256,
                             TimePoint expires_at) = 0;
  virtual Result<void> add_token(const TokenRow& token) = 0;
  /// Behaviour: token_invalid when there is none with this hash.
  virtual Result<TokenRow> token(const std::string& secret_sha256) const = 0;
  /// Behaviour: not_found when there is none of that name.
  virtual Result<DeviceRow> device(const ClientId& client) const = 0;
  /// Behaviour: names after `after` in order, at most `limit`.
  virtual Result<std::vector<DeviceRow>> devices(const std::string& after,
                                                 std::size_t limit) const = 0;
  /// Behaviour: every revoked name (the daemon keeps them in memory).
  virtual Result<std::vector<ClientId>> revoked() const = 0;
  /// Behaviour: idempotent; not_found for unknown names.
  virtual Result<void> revoke(const ClientId& client) = 0;
  virtual Result<void> touch(const ClientId& client, TimePoint seen_at) = 0;

  // -- jobs --
  /// Behaviour: the job and its initial version, one transaction; already_exists for a taken name.
  virtual Result<void> add_job(const JobRow& job, const VersionRow& initial) = 0;
  virtual Result<JobRow> job(const JobId& job) const = 0;
  virtual Result<std::vector<JobRow>> jobs() const = 0;
  virtual Result<void> set_job_state(const JobId& job, JobState state, const std::string& why) = 0;

  // -- rounds --
  /// Behaviour: state open; already_exists when that round exists; wrong_state when another one of
  /// the job is open; invalid_argument when the cohort is not sorted and unique.
  virtual Result<void> open_round(const RoundRow& round) = 0;
  /// Behaviour: writes the version row, the round as published, its receipts and metrics, device
  /// counters, and the job's current version and last_round, in ONE transaction. After it returns
  /// the version is true. Repeating it for a published round with the same version succeeds and
  /// changes nothing; with another version, or abandoned → wrong_state; never opened → not_found; a
  /// device with two receipts → already_exists.
  virtual Result<void> publish_round(const RoundRow& round,
                                     const VersionRow& version,
                                     const std::vector<ReceiptRow>& receipts) = 0;
  /// Behaviour: the round ends without a version; last_round moves on. One transaction. Repeating
  /// it changes nothing; published → wrong_state.
  virtual Result<void> abandon_round(const RoundRow& round,
                                     const std::vector<ReceiptRow>& receipts) = 0;
  /// Behaviour: adds or replaces metrics of a published round (evaluation comes later).
  virtual Result<void> add_round_metrics(const JobId& job,
                                         RoundId round,
                                         std::uint64_t evaluated,
                                         const std::vector<Metric>& metrics) = 0;
  /// Behaviour: the open round of a job, if any.
  virtual Result<std::optional<RoundRow>> open_round_of(const JobId& job) const = 0;
  virtual Result<RoundRow> round(const JobId& job, RoundId round) const = 0;
  /// Behaviour: the newest `last` closed rounds, oldest first.
  virtual Result<std::vector<RoundRow>> rounds(const JobId& job, std::size_t last) const = 0;
  virtual Result<std::vector<ReceiptRow>> receipts(const JobId& job, RoundId round) const = 0;

  // -- versions --
  virtual Result<std::vector<VersionRow>> versions(const JobId& job) const = 0;
  /// Behaviour: full hex digest or a unique prefix of at least 8 digits; not_found, or
  /// invalid_argument when the prefix is ambiguous or too short.
  virtual Result<VersionRow> find_version(const JobId& job,
                                          const std::string& hex_prefix) const = 0;
  /// Behaviour: those that are kept though the job has `keep` newer ones, oldest first.
  /// @pre keep >= 1: the current version is never among them
  virtual Result<std::vector<VersionRow>> surplus_versions(const JobId& job,
                                                           std::uint64_t keep) const = 0;
  /// Behaviour: whether another kept version, of any job, is the same file.
  virtual Result<bool> shares_file(const VersionRow& version) const = 0;
  /// Behaviour: the file is gone; the row stays. Repeating it changes nothing.
  virtual Result<void> set_version_removed(const JobId& job, RoundId round) = 0;

  // -- audit --
  /// Behaviour: the newest limits::kAuditRowsMax rows are kept; long texts are cut to
  /// limits::kDetailBytesMax bytes.
  virtual Result<void> add_audit(const std::vector<AuditRow>& rows) = 0;
  /// Behaviour: the newest `last` rows (of one name), oldest first.
  virtual Result<std::vector<AuditRow>> audit(std::size_t last) const = 0;
  virtual Result<std::vector<AuditRow>> audit_of(const std::string& who,
                                                 std::size_t last) const = 0;
};

/// Opens or creates the SQLite ledger (WAL, synchronous=FULL, STRICT tables) and migrates it.
/// @errors database_failed; wrong_state when the file was written by a newer Chorus
Result<std::unique_ptr<Ledger>> open_sqlite_ledger(const std::filesystem::path& file);

}  // namespace chorus::server
