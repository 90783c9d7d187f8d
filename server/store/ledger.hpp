// What is true after a crash: devices, jobs, rounds, receipts, versions, metrics, audit. An
// interface, so that another database can stand in SQLite's place. All calls from one thread at a
// time (the store thread); each method is one transaction.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chorus/result.hpp"
#include "common/base/disk.hpp"
#include "server/store/ledger_rows.hpp"

namespace chorus::server {

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
  /// Behaviour: one device's part in a closed round, if it had one.
  virtual Result<std::optional<ReceiptRow>> receipt(const JobId& job,
                                                    RoundId round,
                                                    const ClientId& client) const = 0;

  // -- versions --
  virtual Result<std::vector<VersionRow>> versions(const JobId& job) const = 0;
  /// Behaviour: the newest `last`, oldest first.
  virtual Result<std::vector<VersionRow>> newest_versions(const JobId& job,
                                                          std::size_t last) const = 0;
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

  // -- plans of codecs --
  /// Behaviour: from its first round on, until a later one, the job's updates follow this plan. A
  /// round's plan never changes: when it has one, that one stays and the call succeeds.
  virtual Result<void> add_codec_plan(const CodecPlanRow& plan) = 0;
  /// Behaviour: the plan that a round follows: the latest one begun by then, if any.
  virtual Result<std::optional<CodecPlanRow>> codec_plan(const JobId& job, RoundId round) const = 0;

  // -- bases --
  /// Behaviour: what devices share in the rounds after the newest version (VersionRow::next_basis),
  /// as it travels; empty without one.
  virtual Result<std::vector<std::byte>> round_basis(const JobId& job) const = 0;
  /// Behaviour: the job is over.
  virtual Result<void> remove_round_basis(const JobId& job) = 0;

  // -- differences --
  /// Behaviour: what devices have sent counts from this round on. Repeating it changes nothing.
  virtual Result<void> begin_differences(const JobId& job, RoundId first) = 0;
  /// Behaviour: since which round that is so in `round`: the latest one begun by then, else 1.
  virtual Result<RoundId> differences_since(const JobId& job, RoundId round) const = 0;
  /// Behaviour: the updates of each device that were accepted from that round on.
  virtual Result<std::map<ClientId, AcceptedUpdates>> accepted_since(const JobId& job,
                                                                     RoundId first) const = 0;

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
/// @param disk  of the file's folder, which is synced
/// @param vfs   see Database::open
/// @errors database_failed; wrong_state when the file was written by a newer Chorus
Result<std::unique_ptr<Ledger>> open_sqlite_ledger(const std::filesystem::path& file,
                                                   Disk& disk = local_disk(),
                                                   const char* vfs = nullptr);

}  // namespace chorus::server
