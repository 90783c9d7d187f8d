// The ledger on SQLite. Private to this folder: others see ledger.hpp.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "server/store/ledger.hpp"
#include "server/store/sqlite.hpp"

namespace chorus::server {

/// Devices and tokens are in ledger_devices.cpp, jobs, versions and audit in ledger_jobs.cpp,
/// rounds and receipts in ledger_rounds.cpp.
class SqliteLedger final : public Ledger {
 public:
  explicit SqliteLedger(Database database) : db_(std::move(database)) {}

  Result<void> enroll(const std::string& token_sha256,
                      const std::string& public_key_sha256,
                      const DeviceRow& device) override;
  Result<void> renew(const ClientId& client,
                     const std::string& certificate_sha256,
                     TimePoint expires_at) override;
  Result<void> add_token(const TokenRow& token) override;
  Result<TokenRow> token(const std::string& secret_sha256) const override;
  Result<DeviceRow> device(const ClientId& client) const override;
  Result<std::vector<DeviceRow>> devices(const std::string& after,
                                         std::size_t limit) const override;
  Result<std::vector<ClientId>> revoked() const override;
  Result<void> revoke(const ClientId& client) override;
  Result<void> touch(const ClientId& client, TimePoint seen_at) override;

  Result<void> add_job(const JobRow& job, const VersionRow& initial) override;
  Result<JobRow> job(const JobId& job) const override;
  Result<std::vector<JobRow>> jobs() const override;
  Result<void> set_job_state(const JobId& job, JobState state, const std::string& why) override;

  Result<void> open_round(const RoundRow& round) override;
  Result<void> publish_round(const RoundRow& round,
                             const VersionRow& version,
                             const std::vector<ReceiptRow>& receipts) override;
  Result<void> abandon_round(const RoundRow& round,
                             const std::vector<ReceiptRow>& receipts) override;
  Result<void> add_round_metrics(const JobId& job,
                                 RoundId round,
                                 std::uint64_t evaluated,
                                 const std::vector<Metric>& metrics) override;
  Result<std::optional<RoundRow>> open_round_of(const JobId& job) const override;
  Result<RoundRow> round(const JobId& job, RoundId round) const override;
  Result<std::vector<RoundRow>> rounds(const JobId& job, std::size_t last) const override;
  Result<std::vector<ReceiptRow>> receipts(const JobId& job, RoundId round) const override;
  Result<std::optional<ReceiptRow>> receipt(const JobId& job,
                                            RoundId round,
                                            const ClientId& client) const override;

  Result<std::vector<VersionRow>> versions(const JobId& job) const override;
  Result<std::vector<VersionRow>> newest_versions(const JobId& job,
                                                  std::size_t last) const override;
  Result<VersionRow> find_version(const JobId& job, const std::string& hex_prefix) const override;
  Result<std::vector<VersionRow>> surplus_versions(const JobId& job,
                                                   std::uint64_t keep) const override;
  Result<bool> shares_file(const VersionRow& version) const override;
  Result<void> set_version_removed(const JobId& job, RoundId round) override;

  Result<void> add_codec_plan(const CodecPlanRow& plan) override;
  Result<std::optional<CodecPlanRow>> codec_plan(const JobId& job, RoundId round) const override;

  Result<std::vector<std::byte>> round_basis(const JobId& job) const override;
  Result<void> remove_round_basis(const JobId& job) override;

  Result<void> begin_differences(const JobId& job, RoundId first) override;
  Result<RoundId> differences_since(const JobId& job, RoundId round) const override;
  Result<std::map<ClientId, AcceptedUpdates>> accepted_since(const JobId& job,
                                                             RoundId first) const override;

  Result<void> add_audit(const std::vector<AuditRow>& rows) override;
  Result<std::vector<AuditRow>> audit(std::size_t last) const override;
  Result<std::vector<AuditRow>> audit_of(const std::string& who, std::size_t last) const override;

 private:
  struct Present {
    RoundState state = RoundState::open;
    std::optional<Sha256> version;
  };

  // ledger_devices.cpp
  Result<std::string> check_token(const std::string& token_sha256,
                                  const std::string& public_key_sha256,
                                  const DeviceRow& device) const;
  Result<void> check_device(const std::string& public_key_sha256, const DeviceRow& device) const;

  // ledger_jobs.cpp
  Result<void> replace_basis(const JobId& job, const std::vector<std::byte>& basis);
  Result<void> insert_version(const VersionRow& version);

  // ledger_rounds.cpp
  Result<Present> present_round(const JobId& job, RoundId round) const;
  Result<void> close_round(const RoundRow& round,
                           RoundState state,
                           const std::optional<Sha256>& version,
                           const std::vector<ReceiptRow>& receipts);
  Result<void> insert_receipts(const RoundRow& round, const std::vector<ReceiptRow>& receipts);
  Result<void> upsert_metrics(const JobId& job, RoundId round, const std::vector<Metric>& metrics);
  Result<std::vector<Metric>> metrics_of(const JobId& job, RoundId round) const;
  Result<std::vector<RoundRow>> read_rounds(Statement& statement) const;

  Database db_;
};

// What several of the sources need.

inline std::int64_t milliseconds(TimePoint at) {
  return at.time_since_epoch().count();
}
inline TimePoint take_time(Statement& row) {
  return TimePoint(Duration(row.take_i64()));
}

inline Sha256 take_sha256(Statement& row) {
  Sha256 digest;
  row.take_blob(digest.bytes);
  return digest;
}

/// An enum stored as its number; anything outside [1, last] is corrupt_data.
template <class Enum>
Enum take_enum(Statement& row, Enum last) {
  const std::int64_t number = row.take_i64();
  if (number >= 1 && number <= static_cast<std::int64_t>(last)) return static_cast<Enum>(number);
  row.reject("an enumeration has the number " + std::to_string(number));
  return last;
}

}  // namespace chorus::server
