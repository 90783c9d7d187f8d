#include "server/driver/job_differences.hpp"

#include <string>
#include <utility>

#include "common/base/log.hpp"
#include "common/base/try.hpp"
#include "server/driver/audit_log.hpp"

namespace chorus::server {

bool JobDifferences::used() const noexcept {
  const auto& compression = config_.train.compression;
  return compression && compression->feedback == Feedback::difference;
}

// Of the newest version: every round since differences count has published one.
Result<std::shared_ptr<const RestReader>> JobDifferences::open_mean(bool verify) const {
  const JobId& job = config_.round.job;
  CHORUS_TRY(const auto versions, context_.ledger->newest_versions(job, 1));
  const VersionRow& newest = versions.back();
  CHORUS_TRY(auto mean, context_.changes->open_sent(job, newest.round, layout_.parameters));
  if (!newest.sent) {
    return fail(errc::corrupt_data,
                "round " + std::to_string(newest.round.value) + " of job '" + job.value +
                    "' has no digest of what devices have sent");
  }
  if (verify) CHORUS_OK(mean->verify(*newest.sent));
  return mean;
}

Result<JobDifferences::State> JobDifferences::stored(RoundId round) const {
  State state;
  if (!used()) return state;
  const JobId& job = config_.round.job;
  CHORUS_TRY(state.since, context_.ledger->differences_since(job, round));
  CHORUS_TRY(state.accepted, context_.ledger->accepted_since(job, state.since));
  if (state.accepted.empty()) return state;
  auto mean = open_mean(true);
  if (mean) {
    state.mean = std::move(*mean);
    return state;
  }
  const errc code = mean.error().code;
  if (code != errc::not_found && code != errc::corrupt_data) return std::move(mean).error();
  state.lost = std::move(mean).error();
  return state;
}

Result<JobDifferences::State> JobDifferences::renewed(RoundId round) const {
  if (!used()) return State{};
  const JobId& job = config_.round.job;
  if (state_.lost) {
    const std::string what = job.value + ": the mean is lost: " + state_.lost->to_string();
    context_.audit->add("chorusd", "differences_anew", what);
    CHORUS_OK(begin_anew(round));
  }
  CHORUS_TRY(const RoundId since, context_.ledger->differences_since(job, round));
  if (since == state_.since) return state_;
  spdlog::info("job {}: differences begin anew with round {}", job.value, since.value);
  State state;
  state.since = since;
  return state;
}

Result<JobDifferences::State> JobDifferences::after(RoundId round,
                                                    std::span<const UpdateMeta> updates) const {
  State state = state_;
  if (!used()) return state;
  for (const UpdateMeta& update : updates) {
    AcceptedUpdates& accepted = state.accepted[update.client];
    if (accepted.count++ == 0) accepted.first = round;
  }
  CHORUS_TRY(state.mean, open_mean(false));
  state.lost.reset();
  return state;
}

// A device of whom nothing is held begins with this round, whatever it has kept of another life.
void JobDifferences::tell(Compression& compression, RoundId round, const ClientId& client) const {
  if (!used()) return;
  const auto found = state_.accepted.find(client);
  compression.since = (found == state_.accepted.end() ? round : found->second.first).value;
}

Result<void> JobDifferences::check(const ClientId& client, const wire::Offer& offer) const {
  if (!used()) return {};
  const auto found = state_.accepted.find(client);
  const std::uint64_t accepted = found == state_.accepted.end() ? 0 : found->second.count;
  if (offer.state_epoch == accepted) return {};
  const std::string kept =
      offer.state_epoch ? std::to_string(*offer.state_epoch) + " updates" : "nothing";
  return fail(errc::wrong_state,
              "the device differs from " + kept + " of its own, and " + std::to_string(accepted) +
                  " were accepted of it: it has lost what it kept, or has an older copy");
}

Result<void> JobDifferences::begin_anew(RoundId first) const {
  if (!used()) return {};
  return context_.ledger->begin_differences(config_.round.job, first);
}

Result<std::unique_ptr<SentMean>> JobDifferences::begin(RoundId round,
                                                        std::span<const UpdateMeta> updates) const {
  std::unique_ptr<SentMean> none;
  if (!used()) return none;
  auto mean = state_.mean;
  if (state_.lost) {  // unless it was restored meanwhile
    auto restored = open_mean(true);
    if (!restored) {
      return fail(errc::corrupt_data,
                  "the mean of what devices have sent is lost, so the round cannot be finished: "
                  "restore data/changes from a copy and resume the job, or abort the round (" +
                      restored.error().to_string() + ")");
    }
    mean = std::move(*restored);
  }
  SentMean::Devices devices;
  devices.before = state_.accepted.size();
  devices.round = updates.size();
  devices.all = devices.before;
  for (const UpdateMeta& update : updates) {
    if (!holds(update.client)) ++devices.all;
  }
  CHORUS_TRY(auto writer, context_.changes->begin_sent(config_.round.job, round));
  return std::make_unique<SentMean>(layout_, devices, std::move(mean), std::move(writer));
}

Result<void> JobDifferences::prune(RoundId newest) const {
  if (!used()) return {};
  return context_.changes->prune(config_.round.job, {.sent = newest});
}

}  // namespace chorus::server
