// Rounds, their receipts and metrics.
#include <algorithm>
#include <fmt/format.h>

#include "common/base/try.hpp"
#include "server/store/sqlite_ledger.hpp"

namespace chorus::server {
namespace {

constexpr std::string_view kRoundColumns =
    "SELECT job, round, state, why, cohort, base_version, version, goal, accepted, rejected, "
    "discarded, evaluated, examples, bytes_up, bytes_down, opened_ms, closed_ms FROM round ";

constexpr char kCohortSeparator = '\n';

Result<std::string> join_cohort(const std::vector<ClientId>& cohort) {
  std::string text;
  for (std::size_t i = 0; i < cohort.size(); ++i) {
    const std::string& name = cohort[i].value;
    if (name.empty() || name.find(kCohortSeparator) != std::string::npos ||
        (i > 0 && !(cohort[i - 1] < cohort[i]))) {
      return fail(errc::invalid_argument,
                  fmt::format("cohort member {} ('{}') is empty, malformed or out of order; names "
                              "must be sorted and different",
                              i,
                              name));
    }
    text += name;
    text += kCohortSeparator;
  }
  return text;
}

std::vector<ClientId> take_cohort(Statement& row) {
  const std::string text = row.take_text();
  std::vector<ClientId> cohort;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find(kCohortSeparator, at);
    if (end == std::string::npos || end == at) {
      row.reject("a cohort is malformed");
      return {};
    }
    cohort.push_back(ClientId{text.substr(at, end - at)});
    at = end + 1;
  }
  const auto unsorted = [](const ClientId& a, const ClientId& b) { return !(a < b); };
  if (std::adjacent_find(cohort.begin(), cohort.end(), unsorted) != cohort.end()) {
    row.reject("a cohort is not sorted");
  }
  return cohort;
}

RoundRow take_round(Statement& row) {
  RoundRow round;
  round.job.value = row.take_text();
  round.round.value = row.take_u64();
  round.state = take_enum(row, RoundState::abandoned);
  round.why = row.take_text();
  round.cohort = take_cohort(row);
  round.base_version = take_sha256(row);
  if (row.next_is_null()) {
    row.skip();
  } else {
    round.version = take_sha256(row);
  }
  round.goal = row.take_u64();
  round.accepted = row.take_u64();
  round.rejected = row.take_u64();
  round.discarded = row.take_u64();
  round.evaluated = row.take_u64();
  round.examples.value = row.take_u64();
  round.bytes_up = row.take_u64();
  round.bytes_down = row.take_u64();
  round.opened_at = take_time(row);
  if (!row.next_is_null()) round.closed_at = take_time(row);
  return round;
}

std::string name_of(const JobId& job, RoundId round) {
  return fmt::format("round {} of job '{}'", round.value, job.value);
}

Failure no_such_round(const JobId& job, RoundId round) {
  return fail(
      errc::not_found,
      fmt::format("there is no {}; 'chorus round list' shows the rounds", name_of(job, round)));
}

/// Binds ?3 … ?17 in the order of kRoundColumns from `state` on.
Statement& bind_round(Statement& statement, const RoundRow& round, const std::string& cohort) {
  statement.i64(static_cast<std::int64_t>(round.state)).text(round.why).text(cohort);
  statement.blob(round.base_version.bytes);
  round.version ? statement.blob(round.version->bytes) : statement.null();
  statement.u64(round.goal).u64(round.accepted).u64(round.rejected).u64(round.discarded);
  statement.u64(round.evaluated).u64(round.examples.value);
  statement.u64(round.bytes_up).u64(round.bytes_down).i64(milliseconds(round.opened_at));
  return round.closed_at ? statement.i64(milliseconds(*round.closed_at)) : statement.null();
}

}  // namespace

Result<void> SqliteLedger::open_round(const RoundRow& round) {
  if (round.state != RoundState::open || round.version || round.closed_at) {
    return fail(
        errc::invalid_argument,
        fmt::format("{} cannot be opened: it is closed already", name_of(round.job, round.round)));
  }
  CHORUS_TRY(const std::string cohort, join_cohort(round.cohort));
  CHORUS_TRY(auto transaction, Transaction::begin(db_));
  CHORUS_TRY(const JobRow job, this->job(round.job));
  Statement find(db_, "SELECT round FROM round WHERE job = ?1 AND (round = ?2 OR state = 1)");
  CHORUS_TRY(const bool found, find.text(round.job.value).u64(round.round.value).step());
  if (found) {
    const RoundId other{find.take_u64()};
    CHORUS_OK(find.checked());
    if (other == round.round) {
      return fail(errc::already_exists,
                  fmt::format("{} exists already", name_of(round.job, round.round)));
    }
    return fail(
        errc::wrong_state,
        fmt::format(
            "{} cannot be opened: round {} is open", name_of(round.job, round.round), other.value));
  }
  Statement insert(
      db_,
      "INSERT INTO round (job, round, state, why, cohort, base_version, version, goal, "
      "accepted, rejected, discarded, evaluated, examples, bytes_up, bytes_down, "
      "opened_ms, closed_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, "
      "?12, ?13, ?14, ?15, ?16, ?17)");
  insert.text(round.job.value).u64(round.round.value);
  CHORUS_OK(bind_round(insert, round, cohort).run());
  CHORUS_OK(upsert_metrics(round.job, round.round, round.metrics));
  return transaction.commit();
}

Result<SqliteLedger::Present> SqliteLedger::present_round(const JobId& job, RoundId round) const {
  Statement find(db_, "SELECT state, version FROM round WHERE job = ?1 AND round = ?2");
  CHORUS_TRY(const bool found, find.text(job.value).u64(round.value).step());
  if (!found) return no_such_round(job, round);
  Present present;
  present.state = take_enum(find, RoundState::abandoned);
  if (!find.next_is_null()) present.version = take_sha256(find);
  CHORUS_OK(find.checked());
  return present;
}

Result<void> SqliteLedger::publish_round(const RoundRow& round,
                                         const VersionRow& version,
                                         const std::vector<ReceiptRow>& receipts) {
  if (version.job != round.job || version.round != round.round ||
      (round.version && *round.version != version.sha256)) {
    return fail(
        errc::invalid_argument,
        fmt::format("the version given for {} belongs elsewhere", name_of(round.job, round.round)));
  }
  CHORUS_TRY(auto transaction, Transaction::begin(db_));
  CHORUS_TRY(const Present present, present_round(round.job, round.round));
  if (present.state == RoundState::published && present.version == version.sha256) return {};
  if (present.state != RoundState::open) {
    return fail(
        errc::wrong_state,
        fmt::format("{} is {} already; it never changes again",
                    name_of(round.job, round.round),
                    present.state == RoundState::published ? "published with another version"
                                                           : "abandoned"));
  }
  RoundRow closed = round;
  if (!closed.closed_at) closed.closed_at = version.created_at;
  CHORUS_OK(insert_version(version));
  if (!version.next_basis.empty()) CHORUS_OK(replace_basis(version.job, version.next_basis));
  CHORUS_OK(close_round(closed, RoundState::published, version.sha256, receipts));
  CHORUS_OK(Statement(db_,
                      "UPDATE job SET current_version = ?2, last_round = max(last_round, ?3) "
                      "WHERE job = ?1")
                .text(round.job.value)
                .blob(version.sha256.bytes)
                .u64(round.round.value)
                .run());
  return transaction.commit();
}

Result<void> SqliteLedger::abandon_round(const RoundRow& round,
                                         const std::vector<ReceiptRow>& receipts) {
  CHORUS_TRY(auto transaction, Transaction::begin(db_));
  CHORUS_TRY(const Present present, present_round(round.job, round.round));
  if (present.state == RoundState::abandoned) return {};
  if (present.state == RoundState::published) {
    return fail(
        errc::wrong_state,
        fmt::format("{} is published; it cannot be abandoned", name_of(round.job, round.round)));
  }
  if (!round.closed_at) {
    return fail(
        errc::invalid_argument,
        fmt::format("{} cannot end without the time of its end", name_of(round.job, round.round)));
  }
  CHORUS_OK(close_round(round, RoundState::abandoned, std::nullopt, receipts));
  CHORUS_OK(Statement(db_, "UPDATE job SET last_round = max(last_round, ?2) WHERE job = ?1")
                .text(round.job.value)
                .u64(round.round.value)
                .run());
  return transaction.commit();
}

Result<void> SqliteLedger::close_round(const RoundRow& round,
                                       RoundState state,
                                       const std::optional<Sha256>& version,
                                       const std::vector<ReceiptRow>& receipts) {
  RoundRow closed = round;
  closed.state = state;
  closed.version = version;
  CHORUS_TRY(const std::string cohort, join_cohort(closed.cohort));
  Statement update(db_,
                   "UPDATE round SET state = ?3, why = ?4, cohort = ?5, base_version = ?6, "
                   "version = ?7, goal = ?8, accepted = ?9, rejected = ?10, discarded = ?11, "
                   "evaluated = ?12, examples = ?13, bytes_up = ?14, bytes_down = ?15, "
                   "opened_ms = ?16, closed_ms = ?17 WHERE job = ?1 AND round = ?2");
  update.text(closed.job.value).u64(closed.round.value);
  CHORUS_OK(bind_round(update, closed, cohort).run());
  CHORUS_OK(insert_receipts(closed, receipts));
  return upsert_metrics(closed.job, closed.round, closed.metrics);
}

Result<void> SqliteLedger::insert_receipts(const RoundRow& round,
                                           const std::vector<ReceiptRow>& receipts) {
  Statement insert(db_, "INSERT INTO receipt VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
  Statement accepted(db_,
                     "UPDATE device SET updates_accepted = updates_accepted + 1 WHERE client = ?1");
  Statement rejected(db_,
                     "UPDATE device SET updates_rejected = updates_rejected + 1 WHERE client = ?1");
  for (const ReceiptRow& receipt : receipts) {
    auto inserted = insert.text(round.job.value)
                        .u64(round.round.value)
                        .text(receipt.client.value)
                        .text(receipt.outcome)
                        .text(receipt.why)
                        .u64(receipt.examples.value)
                        .u64(receipt.bytes)
                        .real(receipt.seconds)
                        .text(receipt.digest)
                        .run();
    if (!inserted) {
      return std::move(inserted).error().during(fmt::format(
          "receipt of '{}' in {}", receipt.client.value, name_of(round.job, round.round)));
    }
    if (receipt.outcome == "accepted") CHORUS_OK(accepted.text(receipt.client.value).run());
    if (receipt.outcome == "rejected") CHORUS_OK(rejected.text(receipt.client.value).run());
  }
  return {};
}

Result<void> SqliteLedger::upsert_metrics(const JobId& job,
                                          RoundId round,
                                          const std::vector<Metric>& metrics) {
  Statement upsert(db_,
                   "INSERT INTO round_metric (job, round, name, value) VALUES (?1, ?2, ?3, ?4) "
                   "ON CONFLICT (job, round, name) DO UPDATE SET value = excluded.value");
  for (const Metric& metric : metrics) {
    CHORUS_OK(upsert.text(job.value).u64(round.value).text(metric.name).real(metric.value).run());
  }
  return {};
}

Result<void> SqliteLedger::add_round_metrics(const JobId& job,
                                             RoundId round,
                                             std::uint64_t evaluated,
                                             const std::vector<Metric>& metrics) {
  CHORUS_TRY(auto transaction, Transaction::begin(db_));
  CHORUS_TRY(const Present present, present_round(job, round));
  if (present.state != RoundState::published) {
    return fail(
        errc::wrong_state,
        fmt::format("{} is not published; it has no version to evaluate", name_of(job, round)));
  }
  CHORUS_OK(Statement(db_, "UPDATE round SET evaluated = ?3 WHERE job = ?1 AND round = ?2")
                .text(job.value)
                .u64(round.value)
                .u64(evaluated)
                .run());
  CHORUS_OK(upsert_metrics(job, round, metrics));
  return transaction.commit();
}

Result<std::vector<Metric>> SqliteLedger::metrics_of(const JobId& job, RoundId round) const {
  Statement find(db_,
                 "SELECT name, value FROM round_metric WHERE job = ?1 AND round = ?2 ORDER BY id");
  find.text(job.value).u64(round.value);
  std::vector<Metric> metrics;
  for (;;) {
    CHORUS_TRY(const bool more, find.step());
    if (!more) return metrics;
    Metric metric;
    metric.name = find.take_text();
    metric.value = find.take_real();
    CHORUS_OK(find.checked());
    metrics.push_back(std::move(metric));
  }
}

Result<std::vector<RoundRow>> SqliteLedger::read_rounds(Statement& statement) const {
  std::vector<RoundRow> rows;
  for (;;) {
    CHORUS_TRY(const bool more, statement.step());
    if (!more) return rows;
    RoundRow row = take_round(statement);
    CHORUS_OK(statement.checked());
    CHORUS_TRY(row.metrics, metrics_of(row.job, row.round));
    rows.push_back(std::move(row));
  }
}

Result<std::optional<RoundRow>> SqliteLedger::open_round_of(const JobId& job) const {
  const std::string sql = std::string(kRoundColumns) + "WHERE job = ?1 AND state = 1";
  Statement find(db_, sql);
  find.text(job.value);
  CHORUS_TRY(auto rows, read_rounds(find));
  if (rows.empty()) return std::optional<RoundRow>();
  return std::optional<RoundRow>(std::move(rows.front()));
}

Result<RoundRow> SqliteLedger::round(const JobId& job, RoundId round) const {
  const std::string sql = std::string(kRoundColumns) + "WHERE job = ?1 AND round = ?2";
  Statement find(db_, sql);
  find.text(job.value).u64(round.value);
  CHORUS_TRY(auto rows, read_rounds(find));
  if (rows.empty()) return no_such_round(job, round);
  return std::move(rows.front());
}

Result<std::vector<RoundRow>> SqliteLedger::rounds(const JobId& job, std::size_t last) const {
  const std::string sql =
      std::string(kRoundColumns) + "WHERE job = ?1 AND state <> 1 ORDER BY round DESC LIMIT ?2";
  Statement find(db_, sql);
  find.text(job.value).limit(last);
  CHORUS_TRY(auto rows, read_rounds(find));
  std::reverse(rows.begin(), rows.end());
  return rows;
}

namespace {

ReceiptRow take_receipt(Statement& find) {
  ReceiptRow row;
  row.client.value = find.take_text();
  row.outcome = find.take_text();
  row.why = find.take_text();
  row.examples.value = find.take_u64();
  row.bytes = find.take_u64();
  row.seconds = find.take_real();
  row.digest = find.take_text();
  return row;
}

}  // namespace

Result<std::vector<ReceiptRow>> SqliteLedger::receipts(const JobId& job, RoundId round) const {
  Statement find(db_,
                 "SELECT client, outcome, why, examples, bytes, seconds, digest FROM receipt "
                 "WHERE job = ?1 AND round = ?2 ORDER BY client");
  find.text(job.value).u64(round.value);
  return all_rows(find, take_receipt);
}

Result<void> SqliteLedger::begin_differences(const JobId& job, RoundId first) {
  return Statement(db_, "INSERT INTO difference_start VALUES (?1, ?2) ON CONFLICT DO NOTHING")
      .text(job.value)
      .u64(first.value)
      .run();
}

Result<RoundId> SqliteLedger::differences_since(const JobId& job, RoundId round) const {
  Statement find(db_,
                 "SELECT max(first_round) FROM difference_start "
                 "WHERE job = ?1 AND first_round <= ?2");
  CHORUS_OK(find.text(job.value).u64(round.value).step());
  if (find.next_is_null()) return RoundId{1};
  const RoundId first{find.take_u64()};
  CHORUS_OK(find.checked());
  return first;
}

Result<std::map<ClientId, AcceptedUpdates>> SqliteLedger::accepted_since(const JobId& job,
                                                                         RoundId first) const {
  Statement find(db_,
                 "SELECT client, min(round), count(*) FROM receipt WHERE job = ?1 AND "
                 "round >= ?2 AND outcome = 'accepted' GROUP BY client");
  find.text(job.value).u64(first.value);
  std::map<ClientId, AcceptedUpdates> accepted;
  for (;;) {
    CHORUS_TRY(const bool more, find.step());
    if (!more) return accepted;
    ClientId client{find.take_text()};
    AcceptedUpdates updates;
    updates.first.value = find.take_u64();
    updates.count = find.take_u64();
    CHORUS_OK(find.checked());
    accepted.emplace(std::move(client), updates);
  }
}

Result<std::optional<ReceiptRow>> SqliteLedger::receipt(const JobId& job,
                                                        RoundId round,
                                                        const ClientId& client) const {
  Statement find(db_,
                 "SELECT client, outcome, why, examples, bytes, seconds, digest FROM receipt "
                 "WHERE job = ?1 AND round = ?2 AND client = ?3");
  CHORUS_TRY(const bool found, find.text(job.value).u64(round.value).text(client.value).step());
  if (!found) return std::optional<ReceiptRow>();
  ReceiptRow row = take_receipt(find);
  CHORUS_OK(find.checked());
  return std::optional(std::move(row));
}

}  // namespace chorus::server
