// A job's open round as the rows that the ledger stores and administrators see.
#include "common/crypto/digest.hpp"
#include "server/driver/job_runner.hpp"
#include "server/round/weighted_means.hpp"

namespace chorus::server {
namespace {

std::string outcome_of(MemberState state, bool published) {
  if (state == MemberState::accepted) return published ? "accepted" : "discarded";
  if (state == MemberState::rejected || state == MemberState::declined) return "rejected";
  return "discarded";
}

/// Of somebody whose part did not come to anything, where nothing else is known.
std::string_view reason_of(MemberState state, bool published) {
  switch (state) {
    case MemberState::accepted:
      return published ? "" : "the round was abandoned";
    case MemberState::invited:
      return "the round was closed before an update was offered";
    case MemberState::uploading:
    case MemberState::committing:
      return "the round was closed before the update was there";
    case MemberState::rejected:
      return "the update was at fault";
    case MemberState::declined:
      return "the device declined";
    case MemberState::discarded:
      return "the update was not needed any more";
  }
  return "";
}

}  // namespace

RoundRow JobRunner::round_row(RoundState state, std::string why) const {
  RoundRow row;
  row.job = row_.job;
  row.round = work_->round;
  row.state = state;
  row.why = std::move(why);
  row.cohort = work_->cohort;
  row.base_version = row_.current_version;
  row.goal = machine_.goal();
  for (const auto& [client, member] : machine_.members()) {
    const std::string outcome = outcome_of(member.state, state != RoundState::abandoned);
    if (outcome == "accepted") {
      ++row.accepted;
      row.examples.value += member.examples.value;
    }
    if (outcome == "rejected") ++row.rejected;
    if (outcome == "discarded" && state != RoundState::open) ++row.discarded;
  }
  row.bytes_up = traffic_->up;
  row.bytes_down = traffic_->down;
  row.opened_at = work_->opened_at;
  row.metrics = train_metrics();
  row.evaluated = machine_.evaluated();
  return row;
}

std::vector<ReceiptRow> JobRunner::receipts() const {
  std::vector<ReceiptRow> rows;
  const bool abandoned = machine_.phase() == RoundPhase::abandoning;
  const bool closed = machine_.phase() == RoundPhase::publishing || abandoned;
  for (const auto& [client, member] : machine_.members()) {
    ReceiptRow row;
    row.client = client;
    row.outcome =
        closed ? outcome_of(member.state, !abandoned) : std::string(to_string(member.state));
    if (const auto why = work_->reasons.find(client); why != work_->reasons.end()) {
      row.why = why->second;
    } else if (closed) {
      row.why = reason_of(member.state, !abandoned);
    }
    if (const auto meta = work_->metas.find(client); meta != work_->metas.end()) {
      row.examples = meta->second.examples;
      row.bytes = meta->second.bytes;
      row.seconds = meta->second.seconds;
      row.digest = hex(meta->second.digest);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

// What devices reported with their accepted updates.
std::vector<Metric> JobRunner::train_metrics() const {
  WeightedMeans reported;
  for (const auto& [client, member] : machine_.members()) {
    const auto meta = work_->metas.find(client);
    if (member.state != MemberState::accepted || meta == work_->metas.end()) continue;
    reported.add(meta->second.metrics, meta->second.examples);
  }
  return reported.means("train.");
}

}  // namespace chorus::server
