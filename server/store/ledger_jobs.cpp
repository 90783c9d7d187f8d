// Jobs, versions and the audit log.
#include <algorithm>
#include <fmt/format.h>

#include "common/base/assert.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "server/store/sqlite_ledger.hpp"

namespace chorus::server {
namespace {

constexpr std::size_t kHexDigits = 64;
constexpr std::size_t kHexPrefixMin = 8;

JobRow take_job(Statement& row) {
  JobRow job;
  job.job.value = row.take_text();
  job.state = take_enum(row, JobState::degraded);
  job.why = row.take_text();
  job.job_toml = row.take_text();
  job.initial_version = take_sha256(row);
  job.current_version = take_sha256(row);
  job.last_round.value = row.take_u64();
  job.created_at = take_time(row);
  return job;
}

/// What take_version() reads, after job and round.
constexpr std::string_view kVersionColumns =
    "sha256, bytes, parameters, created_ms, kept, change_bytes, rest_digest, "
    "sent_digest FROM version ";

VersionRow take_version(Statement& row) {
  VersionRow version;
  version.job.value = row.take_text();
  version.round.value = row.take_u64();
  version.sha256 = take_sha256(row);
  version.bytes = row.take_u64();
  version.parameters = row.take_u64();
  version.created_at = take_time(row);
  version.kept = row.take_u64() != 0;
  version.change.bytes = row.take_u64();
  if (row.next_is_null()) {
    row.skip();
  } else {
    row.take_blob(version.change.rest.bytes);
  }
  if (row.next_is_null()) {
    row.skip();
  } else {
    row.take_blob(version.sent.emplace().bytes);
  }
  return version;
}

Failure no_such_job(const JobId& job) {
  return fail(errc::not_found,
              fmt::format("no job named '{}'; 'chorus job list' shows them", job.value));
}

/// 0 … 15, or -1.
int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// The smallest (rest = 0x0) or largest (rest = 0xf) digest with this prefix.
Result<Sha256> bound_of(const std::string& hex, int rest) {
  if (hex.size() < kHexPrefixMin || hex.size() > kHexDigits) {
    return fail(errc::invalid_argument,
                fmt::format("version '{}' has {} digits; give {} to {} hex digits of its SHA-256",
                            hex.substr(0, kHexDigits),
                            hex.size(),
                            kHexPrefixMin,
                            kHexDigits));
  }
  Sha256 digest;
  for (std::size_t i = 0; i < kHexDigits; ++i) {
    const int digit = i < hex.size() ? hex_digit(hex[i]) : rest;
    if (digit < 0) {
      return fail(errc::invalid_argument,
                  fmt::format("version '{}' holds '{}' at digit {}; only 0-9 and a-f are allowed",
                              hex,
                              hex[i],
                              i + 1));
    }
    digest.bytes[i / 2] |= static_cast<std::byte>(i % 2 == 0 ? digit << 4 : digit);
  }
  return digest;
}

/// At most `bytes_max` bytes, never ending within a UTF-8 sequence.
std::string_view cut(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  std::size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) --end;
  return text.substr(0, end);
}

Result<std::vector<AuditRow>> take_audit(Statement& find) {
  std::vector<AuditRow> rows;
  for (;;) {
    CHORUS_TRY(const bool more, find.step());
    if (!more) break;
    AuditRow row;
    row.at = take_time(find);
    row.who = find.take_text();
    row.what = find.take_text();
    row.detail = find.take_text();
    CHORUS_OK(find.checked());
    rows.push_back(std::move(row));
  }
  std::reverse(rows.begin(), rows.end());
  return rows;
}

}  // namespace

Result<void> SqliteLedger::add_job(const JobRow& job, const VersionRow& initial) {
  if (initial.job != job.job || initial.round.value != 0 || initial.sha256 != job.initial_version) {
    return fail(errc::invalid_argument,
                fmt::format("the initial version given for job '{}' is not its own round 0",
                            job.job.value));
  }
  CHORUS_TRY(auto transaction, Transaction::begin(db_));
  auto inserted = Statement(db_, "INSERT INTO job VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")
                      .text(job.job.value)
                      .i64(static_cast<std::int64_t>(job.state))
                      .text(job.why)
                      .text(job.job_toml)
                      .blob(job.initial_version.bytes)
                      .blob(job.current_version.bytes)
                      .u64(job.last_round.value)
                      .i64(milliseconds(job.created_at))
                      .run();
  if (!inserted && inserted.error().code == errc::already_exists) {
    return fail(errc::already_exists,
                fmt::format("a job named '{}' exists; choose another name", job.job.value));
  }
  CHORUS_OK(std::move(inserted));
  CHORUS_OK(insert_version(initial));
  return transaction.commit();
}

Result<void> SqliteLedger::insert_version(const VersionRow& version) {
  Statement insert(
      db_,
      "INSERT INTO version (job, round, sha256, bytes, parameters, created_ms, "
      "change_bytes, rest_digest, sent_digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
  insert.text(version.job.value)
      .u64(version.round.value)
      .blob(version.sha256.bytes)
      .u64(version.bytes)
      .u64(version.parameters)
      .i64(milliseconds(version.created_at))
      .u64(version.change.bytes);
  version.change.bytes > 0 ? insert.blob(version.change.rest.bytes) : insert.null();
  version.sent ? insert.blob(version.sent->bytes) : insert.null();
  return insert.run();
}

Result<JobRow> SqliteLedger::job(const JobId& job) const {
  Statement find(db_,
                 "SELECT job, state, why, job_toml, initial_version, current_version, last_round, "
                 "created_ms FROM job WHERE job = ?1");
  CHORUS_TRY(const bool known, find.text(job.value).step());
  if (!known) return no_such_job(job);
  JobRow row = take_job(find);
  CHORUS_OK(find.checked());
  return row;
}

Result<std::vector<JobRow>> SqliteLedger::jobs() const {
  Statement find(db_,
                 "SELECT job, state, why, job_toml, initial_version, current_version, last_round, "
                 "created_ms FROM job ORDER BY job");
  return all_rows(find, take_job);
}

Result<void> SqliteLedger::set_job_state(const JobId& job, JobState state, const std::string& why) {
  CHORUS_OK(Statement(db_, "UPDATE job SET state = ?2, why = ?3 WHERE job = ?1")
                .text(job.value)
                .i64(static_cast<std::int64_t>(state))
                .text(why)
                .run());
  if (db_.changes() == 0) return no_such_job(job);
  return {};
}

Result<std::vector<VersionRow>> SqliteLedger::versions(const JobId& job) const {
  const std::string sql =
      "SELECT job, round, " + std::string(kVersionColumns) + "WHERE job = ?1 ORDER BY round";
  Statement find(db_, sql);
  find.text(job.value);
  return all_rows(find, take_version);
}

Result<std::vector<VersionRow>> SqliteLedger::newest_versions(const JobId& job,
                                                              std::size_t last) const {
  const std::string sql = "SELECT job, round, " + std::string(kVersionColumns) +
                          "WHERE job = ?1 ORDER BY round DESC LIMIT ?2";
  Statement find(db_, sql);
  find.text(job.value).limit(last);
  CHORUS_TRY(auto rows, all_rows(find, take_version));
  std::reverse(rows.begin(), rows.end());
  return rows;
}

Result<VersionRow> SqliteLedger::find_version(const JobId& job,
                                              const std::string& hex_prefix) const {
  CHORUS_TRY(const Sha256 low, bound_of(hex_prefix, 0x0));
  CHORUS_TRY(const Sha256 high, bound_of(hex_prefix, 0xf));
  // Rounds may publish equal bytes; the newest stands for them.
  const std::string sql = "SELECT job, max(round), " + std::string(kVersionColumns) +
                          "WHERE job = ?1 AND sha256 BETWEEN ?2 AND ?3 GROUP BY sha256 LIMIT 2";
  Statement find(db_, sql);
  CHORUS_TRY(const bool found, find.text(job.value).blob(low.bytes).blob(high.bytes).step());
  if (!found) {
    return fail(
        errc::not_found,
        fmt::format(
            "job '{}' has no version '{}'; 'chorus model list' shows them", job.value, hex_prefix));
  }
  VersionRow row = take_version(find);
  CHORUS_OK(find.checked());
  CHORUS_TRY(const bool another, find.step());
  if (another) {
    return fail(errc::invalid_argument,
                fmt::format("several versions of job '{}' begin with '{}'; give more digits",
                            job.value,
                            hex_prefix));
  }
  return row;
}

Result<std::vector<VersionRow>> SqliteLedger::surplus_versions(const JobId& job,
                                                               std::uint64_t keep) const {
  CHORUS_ASSERT(keep >= 1);
  const std::string sql = "SELECT job, round, " + std::string(kVersionColumns) +
                          "WHERE job = ?1 AND kept = 1 AND round < (SELECT round FROM version "
                          "WHERE job = ?1 ORDER BY round DESC LIMIT 1 OFFSET ?2) ORDER BY round";
  Statement find(db_, sql);
  find.text(job.value).u64(keep - 1);
  return all_rows(find, take_version);
}

Result<bool> SqliteLedger::shares_file(const VersionRow& version) const {
  Statement find(db_,
                 "SELECT 1 FROM version WHERE sha256 = ?1 AND kept = 1 AND NOT (job = ?2 AND "
                 "round = ?3) LIMIT 1");
  return find.blob(version.sha256.bytes).text(version.job.value).u64(version.round.value).step();
}

Result<void> SqliteLedger::set_version_removed(const JobId& job, RoundId round) {
  return Statement(db_, "UPDATE version SET kept = 0 WHERE job = ?1 AND round = ?2")
      .text(job.value)
      .u64(round.value)
      .run();
}

Result<void> SqliteLedger::add_codec_plan(const CodecPlanRow& plan) {
  return Statement(db_,
                   "INSERT INTO codec_plan VALUES (?1, ?2, ?3) "
                   "ON CONFLICT (job, first_round) DO NOTHING")
      .text(plan.job.value)
      .u64(plan.first_round.value)
      .text(plan.plan)
      .run();
}

Result<std::optional<CodecPlanRow>> SqliteLedger::codec_plan(const JobId& job,
                                                             RoundId round) const {
  Statement find(db_,
                 "SELECT first_round, plan FROM codec_plan WHERE job = ?1 AND first_round <= ?2 "
                 "ORDER BY first_round DESC LIMIT 1");
  CHORUS_TRY(const bool found, find.text(job.value).u64(round.value).step());
  if (!found) return std::optional<CodecPlanRow>();
  CodecPlanRow row;
  row.job = job;
  row.first_round.value = find.take_u64();
  row.plan = find.take_text();
  CHORUS_OK(find.checked());
  return std::optional(std::move(row));
}

// @pre within a transaction
Result<void> SqliteLedger::replace_basis(const JobId& job, const std::vector<std::byte>& basis) {
  CHORUS_OK(remove_round_basis(job));
  return Statement(db_, "INSERT INTO round_basis VALUES (?1, ?2)")
      .text(job.value)
      .blob(basis)
      .run();
}

Result<std::vector<std::byte>> SqliteLedger::round_basis(const JobId& job) const {
  Statement find(db_, "SELECT basis FROM round_basis WHERE job = ?1");
  CHORUS_TRY(const bool found, find.text(job.value).step());
  std::vector<std::byte> basis;
  if (found) basis = find.take_bytes();
  CHORUS_OK(find.checked());
  return basis;
}

Result<void> SqliteLedger::remove_round_basis(const JobId& job) {
  return Statement(db_, "DELETE FROM round_basis WHERE job = ?1").text(job.value).run();
}

Result<void> SqliteLedger::add_audit(const std::vector<AuditRow>& rows) {
  if (rows.empty()) return {};
  CHORUS_TRY(auto transaction, Transaction::begin(db_));
  Statement insert(db_, "INSERT INTO audit (at_ms, who, what, detail) VALUES (?1, ?2, ?3, ?4)");
  for (const AuditRow& row : rows) {
    CHORUS_OK(insert.i64(milliseconds(row.at))
                  .text(cut(row.who, limits::kDetailBytesMax))
                  .text(cut(row.what, limits::kDetailBytesMax))
                  .text(cut(row.detail, limits::kDetailBytesMax))
                  .run());
  }
  CHORUS_OK(Statement(db_, "DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?1")
                .u64(limits::kAuditRowsMax)
                .run());
  return transaction.commit();
}

Result<std::vector<AuditRow>> SqliteLedger::audit(std::size_t last) const {
  Statement find(db_, "SELECT at_ms, who, what, detail FROM audit ORDER BY id DESC LIMIT ?1");
  find.limit(last);
  return take_audit(find);
}

Result<std::vector<AuditRow>> SqliteLedger::audit_of(const std::string& who,
                                                     std::size_t last) const {
  Statement find(db_,
                 "SELECT at_ms, who, what, detail FROM audit WHERE who = ?1 "
                 "ORDER BY id DESC LIMIT ?2");
  find.text(who).limit(last);
  return take_audit(find);
}

}  // namespace chorus::server
