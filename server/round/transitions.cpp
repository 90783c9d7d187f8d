// What follows from the state of a round machine alone: opening, closing, ending a round.
#include <algorithm>
#include <cmath>
#include <utility>

#include "common/base/assert.hpp"
#include "common/base/limits.hpp"
#include "server/round/round_key.hpp"
#include "server/round/round_machine.hpp"
#include "server/round/weighted_means.hpp"

namespace chorus::server {
namespace {

std::string of_total(std::uint64_t part, std::uint64_t total) {
  return std::to_string(part) + " of " + std::to_string(total);
}

}  // namespace

// ---- transitions ----

void RoundMachine::advance() {
  if (job_phase_ == JobPhase::degraded) return;
  if (phase_ == RoundPhase::collecting || phase_ == RoundPhase::folding) {
    if (stop_requested_) {
      abandon("the job was stopped");
    } else if (phase_ == RoundPhase::collecting) {
      try_close();
    }
  }
  if (phase_ == RoundPhase::folding) try_finalise();
  if (phase_ == RoundPhase::evaluating) {
    const bool late = now_ >= evaluation_began_ + config_.evaluation.deadline;
    if (evaluators_.empty() || late || stop_requested_) finish_evaluation();
  }
  if (phase_ == RoundPhase::waiting) try_open();
}

void RoundMachine::try_open() {
  if (stop_requested_ && job_phase_ != JobPhase::stopped && job_phase_ != JobPhase::finished) {
    change_job(JobPhase::stopped, "stopped by an administrator");
  }
  if (job_phase_ != JobPhase::running) return;
  if (target_reached_ || round_.value >= config_.rounds) {
    change_job(JobPhase::finished,
               target_reached_ ? "reached its target for " + config_.target->metric
                               : "all rounds are done");
    return;
  }
  if (pause_requested_) {
    change_job(JobPhase::paused, "paused by an administrator");
    return;
  }
  const Pace& pace = config_.pace;
  const bool late =
      pace.selection_deadline != Duration{} && now_ >= waiting_since_ + pace.selection_deadline;
  if (ready_.size() >= invited()) {
    open(invited());
  } else if (late && ready_.size() >= pace.min_reports) {
    open(ready_.size());
  }
}

void RoundMachine::open(std::size_t wanted) {
  ++round_.value;
  const std::vector<ClientId> candidates(ready_.begin(), ready_.end());
  Rng rng(round_key(config_, "cohort", round_));
  std::vector<ClientId> cohort = selection_->choose(candidates, wanted, rng);
  members_.clear();
  for (const ClientId& client : cohort) {
    Member member;
    member.connected = true;
    members_.emplace(client, member);
    ready_.erase(client);
  }
  goal_ = std::min<std::uint64_t>(config_.pace.goal, members_.size());
  finish_requested_ = false;
  publish_tried_ = false;
  phase_ = RoundPhase::opening;
  opened_at_ = now_;
  act(OpenRound{round_, std::move(cohort)});
}

void RoundMachine::try_close() {
  if (count(MemberState::accepted) >= goal_) {
    begin_folding("the round has all the updates it needs");
    return;
  }
  if (count(MemberState::committing) > 0) return;
  if (finish_requested_) {
    begin_folding("finished by an administrator");
    return;
  }
  const std::uint64_t uploading = count(MemberState::uploading);
  if (uploading + count(MemberState::invited) == 0) {
    close_or_abandon("every invited device has answered");
    return;
  }
  if (accepts_uploads()) return;
  const TimePoint last = opened_at_ + config_.pace.deadline + config_.pace.grace;
  if (uploading == 0 || now_ >= last) close_or_abandon("the deadline passed");
}

void RoundMachine::close_or_abandon(const std::string& why) {
  const std::uint64_t accepted = count(MemberState::accepted);
  if (accepted >= config_.pace.min_reports) {
    begin_folding(why);
  } else {
    abandon(why + " with " + of_total(accepted, config_.pace.min_reports) + " required updates");
  }
}

// Members that do not count any more are told so; what they still send is discarded.
void RoundMachine::release_uncounted(const std::string& why) {
  for (auto& [client, member] : members_) {
    if (member.state != MemberState::invited && member.state != MemberState::uploading) continue;
    member.state = MemberState::discarded;
    if (member.connected) act(CancelTask{client, TaskKind::train, round_, why});
  }
}

void RoundMachine::begin_folding(const std::string& why) {
  release_uncounted(why);
  phase_ = RoundPhase::folding;
}

void RoundMachine::try_finalise() {
  for (const auto& [client, member] : members_) {
    if (member.state == MemberState::accepted && !member.folded) return;
  }
  phase_ = RoundPhase::finalising;
  act(FinaliseRound{round_});
}

void RoundMachine::abandon(const std::string& why) {
  release_uncounted(why);
  abandon_why_ = why;
  phase_ = RoundPhase::abandoning;
  act(AbandonRound{round_, why});
}

bool RoundMachine::evaluation_due() const {
  const EvaluationPace& evaluation = config_.evaluation;
  if (evaluation.fraction <= 0.0) return false;
  return round_.value % evaluation.every == 0 || round_.value >= config_.rounds;
}

void RoundMachine::begin_evaluation(const std::vector<ClientId>& candidates) {
  const double wanted =
      std::ceil(config_.evaluation.fraction * static_cast<double>(candidates.size()));
  Rng rng(round_key(config_, "evaluate", round_));
  const auto chosen = selection_->choose(candidates, static_cast<std::size_t>(wanted), rng);
  evaluators_ = std::set<ClientId>(chosen.begin(), chosen.end());
  reports_.clear();
  evaluation_began_ = now_;
  phase_ = RoundPhase::evaluating;
  for (const ClientId& client : chosen) {
    if (ready_.erase(client) > 0) act(SendWork{client, TaskKind::evaluate, round_});
  }
}

void RoundMachine::finish_evaluation() {
  for (const ClientId& client : evaluators_) {
    act(CancelTask{client, TaskKind::evaluate, round_, "the evaluation is over"});
  }
  evaluators_.clear();
  WeightedMeans reported;
  for (const auto& [client, report] : reports_) reported.add(report.metrics, report.examples);
  std::vector<Metric> means = reported.means("eval.");
  for (const Metric& mean : means) {
    if (config_.target && mean.name == "eval." + config_.target->metric &&
        mean.value >= config_.target->at_least) {
      target_reached_ = true;
    }
  }
  act(RecordEvaluation{round_, reports_.size(), std::move(means)});
  end_round();
}

void RoundMachine::end_round() {
  if (opened_at_ != TimePoint{}) {
    const Duration length = now_ - opened_at_;
    typical_round_ = typical_round_ == Duration{} ? length : (3 * typical_round_ + length) / 4;
  }
  members_.clear();
  reports_.clear();
  evaluators_.clear();
  phase_ = RoundPhase::waiting;
  waiting_since_ = now_;
}

void RoundMachine::change_job(JobPhase phase, std::string why) {
  job_phase_ = phase;
  why_ = std::move(why);
  act(JobChanged{phase, why_});
}

void RoundMachine::check() const {
  CHORUS_ASSERT(members_.size() <= limits::kCohortMax);
  CHORUS_ASSERT(count(MemberState::accepted) + count(MemberState::committing) <= goal_ ||
                members_.empty());
  const bool closed = phase_ != RoundPhase::opening && phase_ != RoundPhase::collecting;
  for (const auto& [client, member] : members_) {
    CHORUS_ASSERT(!closed || member.state != MemberState::uploading);
    CHORUS_ASSERT(!member.folded || member.state == MemberState::accepted);
    const bool written = phase_ == RoundPhase::finalising || phase_ == RoundPhase::publishing;
    CHORUS_ASSERT(!written || member.state != MemberState::accepted || member.folded);
  }
  CHORUS_ASSERT(phase_ == RoundPhase::evaluating || evaluators_.empty());
  for (const ClientId& client : evaluators_) CHORUS_ASSERT(!ready_.contains(client));
}

}  // namespace chorus::server
