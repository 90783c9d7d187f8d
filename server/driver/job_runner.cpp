// What a job's actions mean: the mechanical switch between the machine and the world. The work
// that takes time is in job_work.cpp.
#include "server/driver/job_runner.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/base/assert.hpp"
#include "common/base/log.hpp"
#include "common/base/try.hpp"
#include "common/net/async.hpp"
#include "server/driver/audit_log.hpp"

namespace chorus::server {
namespace {

std::shared_ptr<const Selection> make_selection(const std::string& name) {
  for (const SelectionEntry& entry : all_selections()) {
    if (entry.name == name) return entry.make();
  }
  CHORUS_ASSERT(false && "parse_job() accepts known selections only");
}

std::unique_ptr<Strategy> make_strategy(const JobConfig& config) {
  const StrategyEntry* entry = find_strategy(config.strategy);
  CHORUS_ASSERT(entry != nullptr);
  StrategySetup setup;
  setup.plan = config.train;
  setup.examples_max = config.limits.examples_max;
  setup.options = config.strategy_options;
  return entry->make(setup);
}

JobState state_of(JobPhase phase) {
  switch (phase) {
    case JobPhase::running:
      return JobState::running;
    case JobPhase::paused:
      return JobState::paused;
    case JobPhase::finished:
      return JobState::finished;
    case JobPhase::stopped:
      return JobState::stopped;
    case JobPhase::degraded:
      return JobState::degraded;
  }
  return JobState::degraded;
}

}  // namespace

JobRunner::JobRunner(Context& context, DeviceDirectory& devices, JobConfig config, JobRow row)
    : context_(context),
      devices_(devices),
      config_(std::move(config)),
      row_(std::move(row)),
      strategy_(make_strategy(config_)),
      machine_(config_.round, make_selection(config_.selection)),
      layout_(layout_of(config_.model).value()),
      codecs_(context, config_, layout_),
      downlink_(context, config_, layout_),
      differences_(context, config_, layout_),
      traffic_(std::make_shared<RoundTraffic>()),
      wakeup_(context.control) {}

void JobRunner::feed(const Event& event) {
  const auto actions = machine_.step(event, context_.now());
  // Copied: performing an action never steps the machine, but the span dies with the next step.
  const std::vector<Action> todo(actions.begin(), actions.end());
  for (const Action& action : todo) {
    try {
      perform(action);
    } catch (...) {  // the other actions count all the same: the machine takes them for done
      trouble_ = net::failure_of_exception();
    }
  }
  arm_timer();
  tell_watchers();
  degrade_if_troubled();
}

void JobRunner::degrade_if_troubled() {
  // A resume asks for the present step again: there must not be two of it.
  if (!trouble_ || in_flight_ > 0) return;
  const Failure why = *std::exchange(trouble_, std::nullopt);
  spdlog::error("job {}: {}", row_.job.value, why.to_string());
  if (machine_.job_phase() == JobPhase::running) feed(StoreFailed{why.to_string()});
}

void JobRunner::forget_busy(bool JobRunner::*busy) {
  if (busy != nullptr) this->*busy = false;
  if (!committing_) {
    to_commit_.clear();
    commit_asked_.clear();
  }
  if (!folding_) {
    to_fold_.clear();
    fold_asked_.clear();
  }
}

void JobRunner::tell_watchers() {
  ++revision_;
  for (net::Timer* watcher : watchers_) watcher->cancel();
}

void JobRunner::perform(const Action& action) {
  std::visit([this](const auto& a) { perform(a); }, action);
}

void JobRunner::arm_timer() {
  const auto due = machine_.next_wakeup();
  if (!due) {
    wakeup_.cancel();
    return;
  }
  wakeup_.expires_after(std::max(Duration{1}, *due - context_.now()));
  wakeup_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    if (error) return;
    if (const auto self = weak.lock()) self->feed(Tick{});
  });
}

boost::asio::awaitable<void> JobRunner::changed(std::uint64_t known, Duration wait) {
  if (revision_ != known) co_return;
  const auto self = shared_from_this();
  net::Timer watcher(context_.control, wait);
  watchers_.insert(&watcher);
  co_await watcher.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  watchers_.erase(&watcher);
}

// ---- devices ----

void JobRunner::device_ready(const ClientId& client) {
  feed(DeviceReady{client});
}

void JobRunner::device_left(const ClientId& client) {
  feed(DeviceLeft{client});
}

void JobRunner::upload_complete(const ClientId& client, RoundId round) {
  feed(UploadComplete{client, round});
}

void JobRunner::upload_not_stored(const ClientId& client, RoundId round, const Failure& why) {
  context_.audit->add(
      client.value,
      "update_not_stored",
      row_.job.value + " round " + std::to_string(round.value) + ": " + why.to_string());
  feed(UploadFailed{client, round, false, why.detail});
  // A full disk may have room again by itself; anything else needs somebody to look.
  const bool open = machine_.phase() == RoundPhase::collecting && machine_.round() == round;
  if (why.code == errc::disk_full || !open) return;
  trouble_ = why;
  degrade_if_troubled();
}

void JobRunner::upload_failed(const ClientId& client,
                              RoundId round,
                              bool rejected,
                              const Failure& why) {
  if (work_ && work_->round == round && rejected) work_->reasons[client] = why.to_string();
  if (rejected) {
    context_.audit->add(
        client.value,
        "update_rejected",
        row_.job.value + " round " + std::to_string(round.value) + ": " + why.to_string());
  }
  feed(UploadFailed{client, round, rejected, why.detail});
}

void JobRunner::device_revoked(const ClientId& client) {
  const bool over = row_.state == JobState::finished || row_.state == JobState::stopped;
  if (over || !differences_.holds(client)) return;
  context_.audit->add(client.value, "differences_anew", row_.job.value + ": it was revoked");
  spawn(begin_differences(), "beginning differences anew");
}

void JobRunner::declined(const ClientId& client, const wire::Decline& decline) {
  const std::string why = std::string(to_string(decline.code)) + ": " + decline.detail;
  if (work_ && work_->round == decline.task.round) work_->reasons[client] = why;
  context_.audit->add(client.value, "task_declined", row_.job.value + ": " + why);
  feed(TaskDeclined{client, decline.task.kind, decline.task.round, why});
}

OfferDecision JobRunner::offer(const ClientId& client, const wire::Offer& offer) {
  decision_ = OfferDecision{};
  if (offer.task.kind == TaskKind::evaluate) {
    if (offer.examples.value > config_.limits.examples_max) {
      const auto why = fail(errc::weight_out_of_range,
                            "the report claims " + std::to_string(offer.examples.value) +
                                " examples; expected at most examples_max = " +
                                std::to_string(config_.limits.examples_max));
      context_.audit->add(client.value, "report_rejected", row_.job.value + ": " + why.detail);
      feed(TaskDeclined{client, TaskKind::evaluate, offer.task.round, why.detail});
      decision_ = OfferDecision{};
      decision_.kind = OfferDecision::Kind::refuse;
      decision_.refuse = wire::Refuse{offer.task, why.code, why.detail, Duration{}};
      return std::exchange(decision_, {});
    }
    feed(EvaluationReported{client, offer.task.round, offer.examples, offer.metrics});
    return std::exchange(decision_, {});
  }
  return offer_update(client, offer);
}

namespace {

// Strategies fold the difference of models and nothing else, and ask for nothing else.
Result<void> check_parts(const wire::Offer& offer, std::uint64_t parameters) {
  if (offer.parts.empty()) return {};
  const auto& first = offer.parts.front();
  if (offer.parts.size() == 1 && first.kind == ReportKind::delta && first.count == parameters) {
    return {};
  }
  return fail(errc::unsupported_feature,
              "the report has " + std::to_string(offer.parts.size()) +
                  " parts, the first of kind " + std::to_string(static_cast<unsigned>(first.kind)) +
                  "; this job takes the difference of models alone");
}

}  // namespace

OfferDecision JobRunner::offer_update(const ClientId& client, const wire::Offer& offer) {
  UpdateMeta meta;
  meta.client = client;
  meta.bytes = offer.bytes;
  meta.digest = offer.digest;
  meta.base = offer.base;
  meta.examples = offer.examples;
  meta.steps = offer.steps;
  meta.seconds = offer.seconds;
  meta.metrics = offer.metrics;
  if (counts_another(client, offer)) {
    OfferDecision decision;
    decision.kind = OfferDecision::Kind::refuse;
    decision.refuse = wire::Refuse{offer.task,
                                   errc::task_closed,
                                   "another update of this device counts in this round",
                                   Duration{}};
    return decision;
  }
  feed(OfferMade{client, offer.task.round, offer.examples});
  if (decision_.kind != OfferDecision::Kind::take) return std::exchange(decision_, {});
  const auto weight = [&]() -> Result<std::uint64_t> {
    CHORUS_OK(check_parts(offer, layout_.parameters));
    CHORUS_OK(check_kept(client, offer));
    return check_offer(*work_->form, meta);
  }();
  if (!weight) {
    decision_ = OfferDecision{};
    upload_failed(client, offer.task.round, true, weight.error());
    decision_.kind = OfferDecision::Kind::refuse;
    decision_.refuse =
        wire::Refuse{offer.task, weight.error().code, weight.error().detail, Duration{}};
    return std::exchange(decision_, {});
  }
  auto target = std::make_shared<UploadTarget>();
  target->form = work_->form;
  target->journal = work_->journal;
  target->traffic = work_->traffic;
  target->task = offer.task;
  target->meta = meta;
  target->value_max = static_cast<float>(config_.limits.value_max);
  work_->metas[client] = std::move(meta);
  work_->weights[client] = *weight;
  decision_.target = std::move(target);
  return std::exchange(decision_, {});
}

// What it offers now must not be confirmed in place of what counts: what the device keeps for the
// next round would be wrong.
bool JobRunner::counts_another(const ClientId& client, const wire::Offer& offer) const {
  if (!work_ || work_->round != offer.task.round) return false;
  const auto member = machine_.members().find(client);
  const auto meta = work_->metas.find(client);
  if (member == machine_.members().end() || meta == work_->metas.end()) return false;
  const MemberState state = member->second.state;
  return (state == MemberState::accepted || state == MemberState::committing) &&
         meta->second.digest != offer.digest;
}

// The next round begins with what it finds in the ledger.
Result<void> JobRunner::check_kept(const ClientId& client, const wire::Offer& offer) {
  auto kept = differences_.check(client, offer);
  if (kept || !differences_.holds(client)) return kept;
  context_.audit->add(
      client.value, "differences_anew", row_.job.value + ": " + kept.error().detail);
  spawn(begin_differences(), "beginning differences anew");
  return kept;
}

Result<std::uint64_t> JobRunner::check_offer(const codec::UpdateForm& form,
                                             const UpdateMeta& meta) const {
  const std::uint64_t most = form.bytes_max();
  const bool fits = form.compressed() ? meta.bytes >= form.table_bytes() && meta.bytes <= most
                                      : meta.bytes == most;
  if (!fits) {
    return fail(errc::shape_mismatch,
                "the update has " + std::to_string(meta.bytes) + " bytes; the model's " +
                    std::to_string(layout_.parameters) + " parameters need " +
                    (form.compressed() ? "at most " : "") + std::to_string(most));
  }
  if (meta.base != row_.current_version) {
    return fail(errc::shape_mismatch,
                "the update was trained from another version than this round's");
  }
  return strategy_->admit(meta);
}

// ---- administrators ----

Result<void> JobRunner::control(JobVerb verb) {
  const auto phase = machine_.job_phase();
  const auto wrong = [&](const std::string& hint) {
    return fail(errc::wrong_state,
                "job '" + row_.job.value + "' is " + std::string(to_string(phase)) + "; " + hint);
  };
  const bool over = phase == JobPhase::finished || phase == JobPhase::stopped;
  if (over) return wrong("it cannot be changed any more: submit a new job");
  if (verb == JobVerb::pause && phase != JobPhase::running)
    return wrong("only a running job pauses");
  if (verb == JobVerb::resume && phase == JobPhase::running) {
    // Takes back a pause that has not come into force; otherwise there is nothing to resume.
    if (machine_.pausing()) {
      feed(JobCommand{verb});
      return {};
    }
    return wrong("there is nothing to resume");
  }
  const bool too_late = verb == JobVerb::abort_round    ? !machine_.can_abort()
                        : verb == JobVerb::finish_round ? machine_.phase() != RoundPhase::collecting
                                                        : false;
  if (too_late) {
    return fail(errc::wrong_state,
                "no round of job '" + row_.job.value + "' is collecting updates; it is " +
                    std::string(to_string(machine_.phase())));
  }
  const std::uint64_t accepted = machine_.count(MemberState::accepted);
  if (verb == JobVerb::finish_round && accepted < config_.round.pace.min_reports) {
    return fail(errc::wrong_state,
                "round " + std::to_string(machine_.round().value) + " has " +
                    std::to_string(accepted) +
                    " updates; min_reports = " + std::to_string(config_.round.pace.min_reports) +
                    ": wait, or use 'chorus round abort'");
  }
  feed(JobCommand{verb});
  return {};
}

// ---- actions ----

bool JobRunner::expects(const SendWork& work) const {
  if (work.kind == TaskKind::evaluate) return machine_.holds_task(work.client);
  const auto member = machine_.members().find(work.client);
  return member != machine_.members().end() && member->second.connected;
}

void JobRunner::perform(const SendWork& action) {
  const auto link = devices_.link_of(action.client);
  if (link == nullptr) return;   // its DeviceLeft is on the way
  if (!expects(action)) return;  // another job took the device while this one's actions were done
  devices_.took(action.client, row_.job);
  auto work = work_message(action.client, action.kind, action.round);
  const auto basis = action.kind == TaskKind::train ? codecs_.basis() : nullptr;
  link->assign(Assignment{std::move(work), base_, downlink_.steps(), traffic_, basis});
}

void JobRunner::perform(const TakeUpload&) {
  decision_.kind = OfferDecision::Kind::take;
}

void JobRunner::perform(const RefuseOffer& action) {
  decision_.kind = OfferDecision::Kind::refuse;
  decision_.refuse = wire::Refuse{
      TaskRef{row_.job, action.round, action.kind}, action.code, action.why, Duration{}};
}

void JobRunner::perform(const ConfirmAccepted& action) {
  const auto link = devices_.link_of(action.client);
  if (link == nullptr) return;  // it will offer again and be told then
  const auto durability = context_.durable ? wire::Durability::full : wire::Durability::process;
  link->send(wire::Accepted{TaskRef{row_.job, action.round, action.kind}, durability});
  decision_.kind = OfferDecision::Kind::accepted;
}

void JobRunner::perform(const DiscardUpdate& action) {
  if (work_ && work_->round == action.round) work_->reasons[action.client] = action.why;
  const auto link = devices_.link_of(action.client);
  if (link == nullptr) return;
  link->send(wire::Refuse{
      TaskRef{row_.job, action.round, TaskKind::train}, errc::task_closed, action.why, Duration{}});
}

void JobRunner::perform(const CancelTask& action) {
  if (work_ && work_->round == action.round && action.kind == TaskKind::train) {
    work_->reasons[action.client] = action.why;
  }
  const auto link = devices_.link_of(action.client);
  if (link == nullptr) return;
  link->send(wire::Cancel{TaskRef{row_.job, action.round, action.kind}, action.why});
}

void JobRunner::perform(const OpenRound& action) {
  // From now on, not only when the work is handed out: two jobs must not invite the same device.
  for (const ClientId& client : action.cohort) {
    const auto member = machine_.members().find(client);
    if (member == machine_.members().end() || !member->second.connected) continue;
    devices_.took(client, row_.job);
  }
  spawn(open_round(action), "opening a round");
}

void JobRunner::perform(const CommitUpdate& action) {
  if (!commit_asked_.insert(action.client).second) return;  // asked for again after a failure
  to_commit_.push_back(action.client);
  if (std::exchange(committing_, true)) return;
  spawn(commit_updates(), "committing updates", &JobRunner::committing_);
}

void JobRunner::perform(const FoldUpdate& action) {
  if (!fold_asked_.insert(action.client).second) return;
  to_fold_.push_back(action.client);
  if (std::exchange(folding_, true)) return;
  spawn(fold_updates(), "folding updates", &JobRunner::folding_);
}

void JobRunner::perform(const FinaliseRound& action) {
  spawn(finalise_round(action), "finalising a round");
}

void JobRunner::perform(const PublishRound& action) {
  spawn(publish_round(action), "publishing a round");
}

void JobRunner::perform(const AbandonRound& action) {
  if (std::exchange(abandoning_, true)) return;  // asked for again while it is under way
  for (const ClientId& client : std::exchange(to_fold_, {})) fold_asked_.erase(client);
  spawn(abandon_round(action), "abandoning a round", &JobRunner::abandoning_);
}

void JobRunner::perform(const RecordEvaluation& action) {
  spawn(record_evaluation(action), "recording an evaluation");
}

void JobRunner::perform(const JobChanged& action) {
  row_.state = state_of(action.phase);
  row_.why = action.why;
  if (row_.state != JobState::running) spare_sums_.reset();
  spdlog::info("job {}: {}{}{}",
               row_.job.value,
               to_string(action.phase),
               action.why.empty() ? "" : ": ",
               action.why);
  spawn(store_job_state(row_.state, action.why), "storing a job's state");
}

// ---- what others see ----

wire::Work JobRunner::work_message(const ClientId& client, TaskKind kind, RoundId round) const {
  wire::Work work;
  work.task = TaskRef{row_.job, round, kind};
  work.model = wire::ModelRef{base_->info().sha256, base_->info().bytes};
  work.spec = config_.model;
  if (const auto offer = downlink_.steps()) work.steps = offer->steps;
  const RoundContext where{row_.job, round, config_.round.seed};
  if (kind == TaskKind::train) {
    TrainPlan plan = strategy_->plan(where, client);
    plan.compression = codecs_.compression_of(round);
    if (plan.compression) differences_.tell(*plan.compression, round, client);
    if (const auto basis = codecs_.basis()) work.basis = basis->ref;
    work.plan = std::move(plan);
  } else {
    work.plan = config_.evaluate;
  }
  if (const auto due = machine_.next_wakeup(); due && kind == TaskKind::train) {
    work.deadline = std::max(Duration{1}, *due - context_.now());
  }
  return work;
}

std::optional<RoundRow> JobRunner::current() const {
  const bool between = machine_.phase() == RoundPhase::waiting || work_ == nullptr;
  if (between) return std::nullopt;
  return round_row(RoundState::open, std::string(to_string(machine_.phase())));
}

std::vector<ReceiptRow> JobRunner::current_receipts() const {
  return current() ? receipts() : std::vector<ReceiptRow>{};
}

}  // namespace chorus::server
