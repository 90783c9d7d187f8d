// What each event does to the state. What follows from the state alone is in transitions.cpp.
#include "server/round/round_machine.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/base/assert.hpp"
#include "common/base/limits.hpp"

namespace chorus::server {
RoundMachine::RoundMachine(RoundConfig config, std::shared_ptr<const Selection> selection)
    : config_(std::move(config)), selection_(std::move(selection)) {
  const Pace& pace = config_.pace;
  CHORUS_ASSERT(selection_ != nullptr && config_.rounds >= 1);
  CHORUS_ASSERT(1 <= pace.min_reports && pace.min_reports <= pace.goal && pace.goal <= invited());
  CHORUS_ASSERT(invited() <= limits::kCohortMax);
}

std::uint32_t RoundMachine::invited() const noexcept {
  return static_cast<std::uint32_t>(std::ceil(config_.pace.cohort * config_.pace.over_select));
}

std::uint64_t RoundMachine::rounds_done() const noexcept {
  const bool closed = phase_ == RoundPhase::waiting || phase_ == RoundPhase::evaluating;
  return closed ? round_.value : round_.value - 1;
}

std::uint64_t RoundMachine::count(MemberState state) const noexcept {
  return static_cast<std::uint64_t>(
      std::count_if(members_.begin(), members_.end(), [state](const auto& entry) {
        return entry.second.state == state;
      }));
}

bool RoundMachine::holds_task(const ClientId& client) const {
  if (evaluators_.contains(client)) return true;
  const auto found = members_.find(client);
  if (found == members_.end()) return false;
  const bool open = phase_ == RoundPhase::opening || phase_ == RoundPhase::collecting;
  return open && (found->second.state == MemberState::invited ||
                  found->second.state == MemberState::uploading);
}

std::span<const Action> RoundMachine::restore(const RestoredJob& job, TimePoint now) {
  now_ = now;
  actions_.clear();
  job_phase_ = job.phase == JobPhase::degraded ? JobPhase::running : job.phase;
  why_ = job.why;
  round_ = job.last_round;
  waiting_since_ = now;
  if (job.open) {
    // A pause or stop that waited for this round to end still does.
    pause_requested_ = job_phase_ == JobPhase::paused;
    stop_requested_ = job_phase_ == JobPhase::stopped;
    job_phase_ = JobPhase::running;
    round_ = job.open->round;
    phase_ = RoundPhase::collecting;
    opened_at_ = now;
    for (const ClientId& client : job.open->cohort) members_.emplace(client, Member{});
    goal_ = std::min<std::uint64_t>(config_.pace.goal, members_.size());
    for (const auto& [client, examples] : job.open->examples) {
      Member& member = members_.at(client);
      member.state = MemberState::accepted;
      member.examples = examples;
      member.folded = std::binary_search(job.open->folded.begin(), job.open->folded.end(), client);
      if (!member.folded) act(FoldUpdate{client});
    }
  } else if (!job.to_evaluate.empty() && job_phase_ == JobPhase::running && evaluation_due()) {
    begin_evaluation(job.to_evaluate);
  }
  advance();
  check();
  return actions_;
}

std::span<const Action> RoundMachine::step(const Event& event, TimePoint now) {
  now_ = std::max(now_, now);
  actions_.clear();
  std::visit([this](const auto& e) { on(e); }, event);
  advance();
  check();
  return actions_;
}

std::optional<TimePoint> RoundMachine::next_wakeup() const {
  if (job_phase_ != JobPhase::running) return std::nullopt;
  const Pace& pace = config_.pace;
  switch (phase_) {
    case RoundPhase::waiting:
      if (pace.selection_deadline == Duration{} || ready_.size() < pace.min_reports) {
        return std::nullopt;
      }
      return waiting_since_ + pace.selection_deadline;
    case RoundPhase::collecting: {
      if (pace.deadline == Duration{}) return std::nullopt;
      const TimePoint deadline = opened_at_ + pace.deadline;
      return now_ < deadline ? deadline : deadline + pace.grace;
    }
    case RoundPhase::evaluating:
      return evaluation_began_ + config_.evaluation.deadline;
    default:
      return std::nullopt;
  }
}

// ---- devices ----

void RoundMachine::on(const DeviceReady& event) {
  const auto found = members_.find(event.client);
  if (found != members_.end()) {
    Member& member = found->second;
    member.connected = true;
    if (holds_task(event.client) && !evaluators_.contains(event.client)) {
      member.state = MemberState::invited;
      if (phase_ == RoundPhase::opening) return;  // RoundOpened hands out the work
      if (accepts_uploads()) {
        act(SendWork{event.client, TaskKind::train, round_});
        return;
      }
      member.state = MemberState::discarded;  // too late to begin: it is free
    }
  }
  if (evaluators_.contains(event.client)) {
    act(SendWork{event.client, TaskKind::evaluate, round_});
    return;
  }
  ready_.insert(event.client);
}

void RoundMachine::on(const DeviceLeft& event) {
  ready_.erase(event.client);
  evaluators_.erase(event.client);
  const auto found = members_.find(event.client);
  if (found == members_.end()) return;
  found->second.connected = false;
  if (found->second.state == MemberState::uploading) found->second.state = MemberState::invited;
}

RoundMachine::Member* RoundMachine::member_of(const ClientId& client, RoundId round) {
  if (round != round_) return nullptr;
  const auto found = members_.find(client);
  return found == members_.end() ? nullptr : &found->second;
}

bool RoundMachine::accepts_uploads() const {
  if (phase_ != RoundPhase::collecting || finish_requested_) return false;
  const Duration deadline = config_.pace.deadline;
  return deadline == Duration{} || now_ < opened_at_ + deadline;
}

void RoundMachine::on(const OfferMade& event) {
  Member* member = member_of(event.client, event.round);
  if (member == nullptr) {
    const bool past = event.round < round_ || (event.round == round_ && members_.empty());
    act(RefuseOffer{
        event.client,
        TaskKind::train,
        event.round,
        past ? errc::task_closed : errc::not_invited,
        past ? "round " + std::to_string(event.round.value) + " is closed"
             : "the device is not in the cohort of round " + std::to_string(event.round.value)});
    return;
  }
  member->connected = true;
  ready_.erase(event.client);
  if (member->state == MemberState::accepted) {
    act(ConfirmAccepted{event.client, TaskKind::train, event.round});
    return;
  }
  if (member->state == MemberState::committing) return;  // confirmed when durable
  const bool open =
      member->state == MemberState::invited || member->state == MemberState::uploading;
  const bool room = count(MemberState::accepted) + count(MemberState::committing) < goal_;
  if (open && room && accepts_uploads()) {
    member->state = MemberState::uploading;
    member->examples = event.examples;
    act(TakeUpload{event.client, event.round});
    return;
  }
  if (open) member->state = MemberState::discarded;
  const bool rejected = member->state == MemberState::rejected;
  act(RefuseOffer{event.client,
                  TaskKind::train,
                  event.round,
                  errc::task_closed,
                  rejected ? "an update of this device was rejected in this round"
                           : "the round has closed without this update"});
}

void RoundMachine::on(const UploadComplete& event) {
  Member* member = member_of(event.client, event.round);
  const bool room = count(MemberState::accepted) + count(MemberState::committing) < goal_;
  if (member != nullptr && member->state == MemberState::uploading &&
      phase_ == RoundPhase::collecting && !finish_requested_ && room) {
    member->state = MemberState::committing;
    act(CommitUpdate{event.client});
    return;
  }
  if (member != nullptr && member->state == MemberState::uploading) {
    member->state = MemberState::discarded;
  }
  act(DiscardUpdate{event.client, event.round, "the round has closed without this update"});
}

void RoundMachine::on(const UploadFailed& event) {
  Member* member = member_of(event.client, event.round);
  if (member == nullptr || member->state != MemberState::uploading) return;
  member->state = event.rejected ? MemberState::rejected : MemberState::invited;
}

void RoundMachine::on(const TaskDeclined& event) {
  if (event.kind == TaskKind::evaluate) {
    if (event.round == round_) evaluators_.erase(event.client);
    return;
  }
  Member* member = member_of(event.client, event.round);
  if (member != nullptr && holds_task(event.client)) member->state = MemberState::declined;
}

void RoundMachine::on(const UpdatesCommitted& event) {
  for (const ClientId& client : event.clients) {
    const auto found = members_.find(client);
    if (found == members_.end()) {  // the round was abandoned meanwhile
      act(DiscardUpdate{client, round_, "the round was abandoned"});
      continue;
    }
    CHORUS_ASSERT(found->second.state == MemberState::committing);
    found->second.state = MemberState::accepted;
    act(ConfirmAccepted{client, TaskKind::train, round_});
    if (phase_ == RoundPhase::collecting) act(FoldUpdate{client});
  }
}

void RoundMachine::on(const UpdatesFolded& event) {
  for (const ClientId& client : event.clients) {
    const auto found = members_.find(client);
    if (found == members_.end()) continue;  // the round was abandoned meanwhile
    CHORUS_ASSERT(!found->second.folded);
    found->second.folded = true;
  }
}

void RoundMachine::on(const EvaluationReported& event) {
  const bool expected = phase_ == RoundPhase::evaluating && event.round == round_;
  if (expected && reports_.contains(event.client)) {
    act(ConfirmAccepted{event.client, TaskKind::evaluate, event.round});
    return;
  }
  if (!expected || evaluators_.erase(event.client) == 0) {
    act(RefuseOffer{event.client,
                    TaskKind::evaluate,
                    event.round,
                    errc::task_closed,
                    "the evaluation of round " + std::to_string(event.round.value) +
                        " does not wait for this device"});
    return;
  }
  reports_.emplace(event.client, Report{event.examples, event.metrics});
  act(ConfirmAccepted{event.client, TaskKind::evaluate, event.round});
}

// ---- answers of the store ----

void RoundMachine::on(const RoundOpened& event) {
  CHORUS_ASSERT(phase_ == RoundPhase::opening && event.round == round_);
  phase_ = RoundPhase::collecting;
  opened_at_ = now_;
  for (const auto& [client, member] : members_) {
    if (member.connected) act(SendWork{client, TaskKind::train, round_});
  }
}

void RoundMachine::on(const RoundFinalised& event) {
  CHORUS_ASSERT(phase_ == RoundPhase::finalising && event.round == round_);
  phase_ = RoundPhase::publishing;
  publish_tried_ = true;
  act(PublishRound{round_, event.version});
}

void RoundMachine::on(const RoundPublished& event) {
  CHORUS_ASSERT(phase_ == RoundPhase::publishing && event.round == round_);
  std::vector<ClientId> candidates;
  for (const auto& [client, member] : members_) {
    if (member.state == MemberState::accepted && member.connected) candidates.push_back(client);
  }
  if (evaluation_due() && !candidates.empty() && !stop_requested_) {
    begin_evaluation(candidates);
  } else {
    end_round();
  }
}

void RoundMachine::on(const RoundAbandoned& event) {
  CHORUS_ASSERT(phase_ == RoundPhase::abandoning && event.round == round_);
  end_round();
}

void RoundMachine::on(const StoreFailed& event) {
  change_job(JobPhase::degraded, event.why);
}

void RoundMachine::on(const Tick&) {}

// ---- administrators ----

void RoundMachine::on(const JobCommand& event) {
  switch (event.verb) {
    case JobVerb::pause:
      if (job_phase_ != JobPhase::running || pause_requested_) break;
      pause_requested_ = true;
      if (phase_ != RoundPhase::waiting) {
        act(JobChanged{JobPhase::paused, "paused by an administrator"});
      }
      break;
    case JobVerb::resume:
      if (pause_requested_ && job_phase_ == JobPhase::running) {
        act(JobChanged{JobPhase::running, ""});
      }
      pause_requested_ = false;
      if (job_phase_ == JobPhase::paused) {
        waiting_since_ = now_;
        change_job(JobPhase::running, "");
      } else if (job_phase_ == JobPhase::degraded) {
        change_job(JobPhase::running, "");
        repeat_phase_action();
      }
      break;
    case JobVerb::stop:
      stop_requested_ = true;
      if (job_phase_ == JobPhase::degraded) {
        change_job(JobPhase::running, "stopping");
        repeat_phase_action();
      }
      if (phase_ != RoundPhase::waiting && phase_ != RoundPhase::evaluating) {
        act(JobChanged{JobPhase::stopped, "stopped by an administrator"});
      }
      break;
    case JobVerb::abort_round:
      if (can_abort()) abandon("aborted by an administrator");
      break;
    case JobVerb::finish_round:
      // Updates that are being made durable still count: advance() waits for them.
      if (phase_ == RoundPhase::collecting &&
          count(MemberState::accepted) >= config_.pace.min_reports) {
        finish_requested_ = true;
      }
      break;
  }
}

bool RoundMachine::can_abort() const noexcept {
  if (phase_ == RoundPhase::collecting || phase_ == RoundPhase::folding) return true;
  return phase_ == RoundPhase::finalising && job_phase_ == JobPhase::degraded && !publish_tried_;
}

// What failed before the job was degraded is asked for once more.
void RoundMachine::repeat_phase_action() {
  if (phase_ == RoundPhase::opening) {
    std::vector<ClientId> cohort;
    for (const auto& [client, member] : members_) cohort.push_back(client);
    act(OpenRound{round_, std::move(cohort)});
  }
  const bool open = phase_ == RoundPhase::collecting || phase_ == RoundPhase::folding;
  for (const auto& [client, member] : members_) {
    if (!open || stop_requested_) break;
    if (member.state == MemberState::committing) act(CommitUpdate{client});
    if (member.state == MemberState::accepted && !member.folded) act(FoldUpdate{client});
  }
  // Finalising writes the same version again, so that publishing needs no memory of it.
  if (phase_ == RoundPhase::finalising || phase_ == RoundPhase::publishing) {
    phase_ = RoundPhase::finalising;
    act(FinaliseRound{round_});
  }
  if (phase_ == RoundPhase::abandoning) act(AbandonRound{round_, abandon_why_});
}

}  // namespace chorus::server
