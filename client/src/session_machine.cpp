// The tasks of the session machine: from Work to Accepted. The link is in session_link.cpp.
#include "client/src/session_machine.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "common/base/assert.hpp"
#include "common/base/limits.hpp"

namespace chorus::client {
namespace {

// A body that arrives damaged this often is damaged here, not on its way.
constexpr std::uint32_t kDamagedOffersMax = 3;
constexpr std::uint32_t kBrokenDownloadsMax = 2;

State state_of(TaskKind kind) {
  return kind == TaskKind::train ? State::training : State::evaluating;
}

}  // namespace

SessionMachine::SessionMachine(SessionConfig config)
    : config_(std::move(config)), rng_(config_.seed) {}

std::span<const Action> SessionMachine::step(const Event& event, TimePoint now) {
  now_ = std::max(now_, now);
  actions_.clear();
  std::visit([this](const auto& e) { on(e); }, event);
  return actions_;
}

const wire::Work& SessionMachine::work() const {
  CHORUS_ASSERT(work_.has_value());
  return *work_;
}

void SessionMachine::on(const MessageReceived& event) {
  if (link_ != Link::online && link_ != Link::greeting) return;  // left behind by a closed link
  last_received_ = now_;
  if (const auto* welcome = std::get_if<wire::Welcome>(&event.message)) return receive(*welcome);
  if (const auto* error = std::get_if<wire::Error>(&event.message)) return receive(*error);
  if (const auto* goodbye = std::get_if<wire::Goodbye>(&event.message)) return receive(*goodbye);
  if (const auto* ping = std::get_if<wire::Ping>(&event.message)) {
    return send(wire::Pong{ping->number});
  }
  if (std::holds_alternative<wire::Pong>(event.message)) return;
  if (link_ == Link::greeting) {
    return break_off(fail(errc::unexpected_message,
                          "the server began with " + std::string(name_of(kind_of(event.message))) +
                              "; expected welcome"));
  }
  link_failures_ = 0;
  if (const auto* work = std::get_if<wire::Work>(&event.message)) return receive(*work);
  if (const auto* back = std::get_if<wire::ComeBack>(&event.message)) return receive(*back);
  if (const auto* chunk = std::get_if<wire::Chunk>(&event.message)) {
    return receive_chunk(*chunk, event.body_bytes);
  }
  if (const auto* take = std::get_if<wire::Take>(&event.message)) return receive(*take);
  if (const auto* refuse = std::get_if<wire::Refuse>(&event.message)) return receive(*refuse);
  if (const auto* accepted = std::get_if<wire::Accepted>(&event.message)) {
    return receive(*accepted);
  }
  if (const auto* cancel = std::get_if<wire::Cancel>(&event.message)) return receive(*cancel);
  if (const auto* enrolled = std::get_if<wire::Enrolled>(&event.message)) {
    return receive(*enrolled);
  }
  break_off(fail(errc::unexpected_message,
                 "the server sent " + std::string(name_of(kind_of(event.message))) +
                     ", which belongs to devices"));
}

// ---- getting work ----

// Free: ask for work, or stop when enough is done.
void SessionMachine::proceed() {
  CHORUS_ASSERT(task_ == Task::none || task_ == Task::sleeping);
  task_ = Task::none;
  if (link_ != Link::online) return;
  if (config_.tasks_max != 0 && summary_.accepted >= config_.tasks_max) {
    send(wire::Goodbye{"the device has done its tasks", Duration::zero()});
    finish(std::nullopt);
    return;
  }
  renew_if_due();
  task_ = Task::asking;
  act(AskEligibility{});
}

void SessionMachine::pause(Duration at_least, const std::string& why) {
  task_ = Task::none;
  if (link_ != Link::online) return;
  task_ = Task::sleeping;
  ready_at_ = now_ + at_least + backoff(task_failures_);
  ++task_failures_;
  report(State::waiting, why);
}

void SessionMachine::receive(const wire::ComeBack& come_back) {
  if (task_ != Task::ready) return;
  const std::string why = come_back.why.empty() ? "no task at present" : come_back.why;
  if (come_back.after <= heartbeat_) {
    task_ = Task::sleeping;
    ready_at_ = now_ + come_back.after;
    report(State::waiting, why);
  } else {
    leave(come_back.after, why);
  }
}

void SessionMachine::receive(const wire::Work& work) {
  if (task_ == Task::ready) {
    begin(work);
    return;
  }
  if (is_current(work.task)) return;  // given again after a lost connection
  decline(work.task, fail(errc::busy, "the device has another task"));
}

void SessionMachine::on(const WorkNotUnderstood& event) {
  if (link_ != Link::online) return;
  last_received_ = now_;
  decline(event.task, event.why);
  if (task_ == Task::ready) pause(Duration::zero(), event.why.to_string());
}

void SessionMachine::begin(wire::Work work) {
  ready_at_.reset();
  work_ = std::move(work);
  work_until_.reset();
  if (work_->deadline > Duration::zero()) work_until_ = now_ + work_->deadline;
  unwanted_ = false;
  link_changed_ = false;
  late_ = false;
  download_ = {};
  broken_downloads_ = 0;
  task_ = Task::looking_up;
  act(LookUpModel{});
}

void SessionMachine::drop_task() {
  task_ = Task::none;
  work_.reset();
  download_ = {};
}

void SessionMachine::decline(const TaskRef& task, const Failure& why) {
  wire::Decline message{task, why.code, why.detail};
  if (link_ == Link::online) {
    send(std::move(message));
  } else {
    decline_ = std::move(message);
  }
}

bool SessionMachine::is_current(const TaskRef& task) const {
  if (has_upload()) return offer_->task == task;
  return work_ && work_->task == task;
}

// ---- the model ----

void SessionMachine::on(const ModelLookedUp& event) {
  if (task_ != Task::looking_up) return;
  if (stopping_) {
    drop_task();
    finish(std::nullopt);
  } else if (event.download.there == event.download.total) {
    model_is_there();
  } else if (link_changed_ || unwanted_) {
    drop_task();
    proceed();
  } else {
    download_ = event.download;
    fetch();
  }
}

void SessionMachine::on(const ModelUnusable& event) {
  if (task_ != Task::looking_up) return;
  const TaskRef task = work_->task;
  drop_task();
  if (stopping_) return finish(std::nullopt);
  decline(task, event.why);
  pause(Duration::zero(), event.why.to_string());
}

void SessionMachine::fetch() {
  task_ = Task::fetching;
  const wire::ModelRef& wanted = download_.basis ? *work_->basis : work_->model;
  act(ReceiveModel{download_.there, download_.steps, download_.basis});
  send(wire::Fetch{wanted.sha256, download_.there, download_.steps});
  report_bytes(State::downloading, download_.there, download_.total);
}

void SessionMachine::receive_chunk(const wire::Chunk& chunk, std::uint32_t body_bytes) {
  if (task_ != Task::fetching) {
    return break_off(fail(errc::unexpected_message, "the server sent a chunk nobody asked for"));
  }
  if (chunk.offset != download_.there || body_bytes == 0 ||
      body_bytes > download_.total - download_.there) {
    return break_off(fail(errc::unexpected_message,
                          "the server sent " + std::to_string(body_bytes) + " bytes at offset " +
                              std::to_string(chunk.offset) +
                              (download_.basis ? " of the basis" : " of the model") +
                              "; expected offset " + std::to_string(download_.there) + " of " +
                              std::to_string(download_.total)));
  }
  act(KeepChunk{download_.there, body_bytes});
  download_.there += body_bytes;
  report_bytes(State::downloading, download_.there, download_.total);
  if (download_.there < download_.total) return;
  task_ = Task::verifying;
  act(VerifyModel{});
}

void SessionMachine::on(const ModelVerified&) {
  if (task_ != Task::verifying) return;
  if (stopping_) {
    drop_task();
    finish(std::nullopt);
  } else if (download_.basis) {
    start_work();
  } else {
    model_is_there();
  }
}

// A basis is of one round, and small: it is fetched anew where a connection is lost.
void SessionMachine::model_is_there() {
  if (!work_->basis || unwanted_) return start_work();
  if (link_changed_) {
    drop_task();
    return proceed();
  }
  download_ = {.total = work_->basis->bytes, .basis = true};
  fetch();
}

void SessionMachine::on(const ModelBroken& event) {
  if (task_ != Task::verifying) return;
  // Steps that do not come out right are no broken download: the file has not been tried yet.
  const bool by_steps = download_.steps > 0;
  const bool give_up = !by_steps && ++broken_downloads_ >= kBrokenDownloadsMax;
  if (stopping_) {
    drop_task();
    finish(std::nullopt);
  } else if (unwanted_ || (link_changed_ && !give_up)) {
    drop_task();
    proceed();
  } else if (!give_up) {
    const std::uint64_t bytes = download_.basis ? work_->basis->bytes : work_->model.bytes;
    download_ = {.total = bytes, .basis = download_.basis};
    fetch();
  } else {
    const TaskRef task = work_->task;
    drop_task();
    decline(task, event.why);
    pause(Duration::zero(), event.why.to_string());
  }
}

// ---- the work ----

void SessionMachine::start_work() {
  if (unwanted_) {  // the download stays in the cache: the next round begins from the same version
    drop_task();
    proceed();
    return;
  }
  task_ = Task::working;
  act(StartTask{});
  report(state_of(work_->task.kind));
}

void SessionMachine::on(const TaskFinished& event) {
  if (!runs_trainer()) return;
  const bool wanted = task_ == Task::working || stopping_;
  work_.reset();
  work_until_.reset();
  task_failures_ = 0;
  if (!wanted) {  // cancelled, but the trainer came to its end
    act(DropUpload{});
    drop_task();
    proceed();
    return;
  }
  offer_ = event.offer;
  offer_failures_ = 0;
  offered_ = false;
  task_ = Task::offering;
  if (stopping_) return finish(std::nullopt);
  if (link_ == Link::online) make_offer();
}

void SessionMachine::on(const TaskFailed& event) {
  if (!runs_trainer()) return;
  const bool cancelled = task_ == Task::cancelling;
  const TaskRef task = work_->task;
  drop_task();
  work_until_.reset();
  if (stopping_) return finish(std::nullopt);
  if (cancelled && late_) {
    decline(task,
            fail(errc::timed_out, "the device was not done when the round's deadline passed"));
  } else if (!cancelled) {
    decline(task, event.why);
  }
  if (cancelled) {
    proceed();
  } else {
    pause(Duration::zero(), event.why.to_string());
  }
}

void SessionMachine::receive(const wire::Cancel& cancel) {
  if (!is_current(cancel.task)) return;
  switch (task_) {
    case Task::looking_up:
    case Task::fetching:
    case Task::verifying:
      unwanted_ = true;
      return;
    case Task::working:
      task_ = Task::cancelling;
      act(CancelTask{});
      return;
    case Task::offering:
    case Task::uploading:
      settle(summary_.discarded);
      proceed();
      return;
    default:
      return;
  }
}

// ---- the update ----

void SessionMachine::make_offer() {
  offered_ = true;
  send(*offer_);
  Progress progress;
  progress.state = State::uploading;
  progress.job = offer_->task.job.value;
  progress.round = offer_->task.round.value;
  progress.total = offer_->bytes;
  act(Report{std::move(progress)});
}

void SessionMachine::receive(const wire::Take& take) {
  if (!has_upload() || !offered_ || offer_->task != take.task) return;
  if (task_ == Task::uploading || take.offset > offer_->bytes || offer_->bytes == 0) {
    return break_off(fail(errc::unexpected_message,
                          "the server wants the update from offset " + std::to_string(take.offset) +
                              " of " + std::to_string(offer_->bytes)));
  }
  task_ = Task::uploading;
  act(SendBody{take.offset});
  report_bytes(State::uploading, take.offset, offer_->bytes);
}

void SessionMachine::on(const BodyProgress& event) {
  if (task_ != Task::uploading) return;
  last_sent_ = now_;
  report_bytes(State::uploading, event.sent, offer_->bytes);
}

void SessionMachine::receive(const wire::Accepted& accepted) {
  if (!has_upload() || offer_->task != accepted.task) return;
  settle(offer_->task.kind == TaskKind::train ? summary_.accepted : summary_.evaluated,
         accepted.task);
  proceed();
}

void SessionMachine::receive(const wire::Refuse& refuse) {
  if (!has_upload() || offer_->task != refuse.task) return;
  refused(fail(refuse.code, refuse.detail), refuse.retry_after);
}

void SessionMachine::refused(const Failure& why, Duration retry_after) {
  const bool damaged_here =
      why.code == errc::digest_mismatch && offer_failures_ + 1 >= kDamagedOffersMax;
  if (may_retry(why.code) && !damaged_here) {
    postpone_offer(retry_after, why.to_string());
    return;
  }
  const bool closed = why.code == errc::task_closed || why.code == errc::not_invited ||
                      why.code == errc::wrong_state || why.code == errc::not_found;
  settle(closed ? summary_.discarded : summary_.rejected);
  if (closed) {
    proceed();
  } else {
    pause(Duration::zero(), why.to_string());
  }
}

void SessionMachine::postpone_offer(Duration at_least, const std::string& why) {
  if (task_ == Task::uploading) act(StopBody{});
  task_ = Task::offering;
  offered_ = false;
  offer_at_ = now_ + at_least + backoff(offer_failures_);
  ++offer_failures_;
  report(State::waiting, why);
}

// The update's fate is known.
void SessionMachine::settle(std::uint64_t& counter, std::optional<TaskRef> accepted) {
  if (task_ == Task::uploading) act(StopBody{});
  ++counter;
  task_ = Task::none;
  offer_.reset();
  offered_ = false;
  offer_at_.reset();
  act(DropUpload{std::move(accepted)});
}

// ---- helpers ----

void SessionMachine::send(wire::Message message) {
  last_sent_ = now_;
  act(Send{std::move(message)});
}

void SessionMachine::report(State state, std::string detail) {
  Progress progress;
  progress.state = state;
  progress.detail = std::move(detail);
  if (has_upload()) {
    progress.job = offer_->task.job.value;
    progress.round = offer_->task.round.value;
  } else if (work_) {
    progress.job = work_->task.job.value;
    progress.round = work_->task.round.value;
  }
  act(Report{std::move(progress)});
}

void SessionMachine::report_bytes(State state, std::uint64_t done, std::uint64_t total) {
  report(state);
  auto& progress = std::get<Report>(actions_.back()).progress;
  progress.done = done;
  progress.total = total;
}

std::string_view to_string(SessionMachine::Link link) noexcept {
  using Link = SessionMachine::Link;
  switch (link) {
    case Link::offline:
      return "offline";
    case Link::asking:
      return "asking";
    case Link::connecting:
      return "connecting";
    case Link::greeting:
      return "greeting";
    case Link::online:
      return "online";
    case Link::closed:
      return "closed";
  }
  return "?";
}

std::string_view to_string(SessionMachine::Task task) noexcept {
  using Task = SessionMachine::Task;
  switch (task) {
    case Task::none:
      return "none";
    case Task::asking:
      return "asking";
    case Task::ready:
      return "ready";
    case Task::sleeping:
      return "sleeping";
    case Task::looking_up:
      return "looking_up";
    case Task::fetching:
      return "fetching";
    case Task::verifying:
      return "verifying";
    case Task::working:
      return "working";
    case Task::cancelling:
      return "cancelling";
    case Task::offering:
      return "offering";
    case Task::uploading:
      return "uploading";
  }
  return "?";
}

}  // namespace chorus::client
