#include "server/admin/admin_handler.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "chorus/kernels/kernels.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/crypto/digest.hpp"
#include "common/net/async.hpp"
#include "server/admin/to_proto.hpp"
#include "server/driver/audit_log.hpp"

namespace chorus::server {

namespace asio = boost::asio;

namespace {

using Call = v1::AdminRequest::CallCase;

constexpr Duration kWatchMax = std::chrono::seconds(30);

Role needed(Call call) {
  switch (call) {
    case Call::kSubmitJob:
    case Call::kControlJob:
    case Call::kControlRound:
    case Call::kCreateToken:
      return Role::operator_;
    case Call::kRevokeDevice:
      return Role::owner;
    default:
      return Role::viewer;
  }
}

Result<void> read_call(const Peer& peer, const std::string& request, v1::AdminRequest& into) {
  if (!into.ParseFromString(request) || into.call_case() == Call::CALL_NOT_SET) {
    return fail(errc::malformed_message, "the administrator's request does not parse");
  }
  const Role role = needed(into.call_case());
  if (*peer.role >= role) return {};
  return fail(errc::permission_denied,
              "'" + peer.name + "' is a " + std::string(to_string(*peer.role)) + "; this needs " +
                  std::string(to_string(role)));
}

std::size_t page(std::uint32_t wanted) {
  return wanted == 0 ? limits::kPageRowsMax : std::min<std::size_t>(wanted, limits::kPageRowsMax);
}

Result<JobVerb> verb_of(v1::ControlJob::Verb verb) {
  switch (verb) {
    case v1::ControlJob::VERB_PAUSE:
      return JobVerb::pause;
    case v1::ControlJob::VERB_RESUME:
      return JobVerb::resume;
    case v1::ControlJob::VERB_STOP:
      return JobVerb::stop;
    default:
      return fail(errc::malformed_message, "control_job.verb is not pause, resume or stop");
  }
}

Result<JobVerb> verb_of(v1::ControlRound::Verb verb) {
  switch (verb) {
    case v1::ControlRound::VERB_ABORT:
      return JobVerb::abort_round;
    case v1::ControlRound::VERB_FINISH:
      return JobVerb::finish_round;
    default:
      return fail(errc::malformed_message, "control_round.verb is not abort or finish");
  }
}

}  // namespace

AdminHandler::AdminHandler(
    Context& context, Board& board, Access& access, Enrollment& enrollment, DaemonFacts facts)
    : context_(context),
      board_(board),
      access_(access),
      enrollment_(enrollment),
      facts_(std::move(facts)) {}

Result<std::uint64_t> AdminHandler::body_bytes(const Peer& peer, const std::string& request) const {
  v1::AdminRequest call;
  CHORUS_OK(read_call(peer, request, call));
  const std::uint64_t bytes = call.submit_job().initial_bytes();
  if (bytes % sizeof(float) == 0 && bytes <= limits::kModelBytesMax) return bytes;
  return fail(errc::invalid_argument,
              std::to_string(bytes) +
                  " bytes of first parameters were announced; expected a "
                  "multiple of 4 up to " +
                  std::to_string(limits::kModelBytesMax));
}

asio::awaitable<Result<std::string>> AdminHandler::handle(
    Peer peer, std::string request, std::shared_ptr<const InitialParameters> body) {
  v1::AdminRequest call;
  CHORUS_CO_OK(read_call(peer, request, call));
  // The board lives on the control executor: everything below runs there.
  std::optional<Result<v1::AdminReply>> outcome;
  auto work = [](AdminHandler& self,
                 Peer who,
                 const v1::AdminRequest& what,
                 Body with,
                 std::optional<Result<v1::AdminReply>>& into) -> asio::awaitable<void> {
    into = co_await self.dispatch(std::move(who), what, std::move(with));
  };
  auto running = work(*this, std::move(peer), call, std::move(body), outcome);
  co_await asio::co_spawn(context_.control, std::move(running), asio::use_awaitable);
  CHORUS_CO_TRY(const auto reply, std::move(*outcome));
  std::string bytes = reply.SerializeAsString();
  if (bytes.size() > limits::kMessageBytesMax) {
    co_return fail(errc::frame_too_large, "the answer is too long for one message; ask for less");
  }
  co_return bytes;
}

AdminHandler::Reply AdminHandler::dispatch(Peer peer, const v1::AdminRequest& request, Body body) {
  switch (request.call_case()) {
    case Call::kSubmitJob:
    case Call::kListJobs:
    case Call::kShowJob:
    case Call::kShowPlan:
    case Call::kControlJob:
      co_return co_await jobs(std::move(peer), request, std::move(body));
    case Call::kListRounds:
    case Call::kShowRound:
    case Call::kControlRound:
      co_return co_await rounds(std::move(peer), request);
    case Call::kListDevices:
    case Call::kShowDevice:
    case Call::kRevokeDevice:
    case Call::kCreateToken:
      co_return co_await devices(std::move(peer), request);
    case Call::kListModels:
    case Call::kShowModel:
      co_return co_await models(std::move(peer), request);
    case Call::kWatchJob:
      co_return co_await watch(request);
    case Call::kListAudit:
      co_return co_await audit(request);
    case Call::kServerStatus:
      co_return co_await status();
    case Call::CALL_NOT_SET:
      break;
  }
  co_return fail(errc::malformed_message, "the administrator's request is of an unknown kind");
}

AdminHandler::Reply AdminHandler::jobs(Peer peer, const v1::AdminRequest& request, Body body) {
  v1::AdminReply reply;
  if (request.has_list_jobs()) {
    for (const auto& [name, runner] : board_.jobs())
      put(*runner, *reply.mutable_jobs()->add_jobs());
    reply.mutable_jobs();
    co_return reply;
  }
  if (request.has_show_plan()) {
    CHORUS_CO_TRY(const auto runner, board_.find(JobId{request.show_plan().job()}));
    const bool down = request.show_plan().down();
    CHORUS_CO_TRY(const auto lines, down ? runner->downlink().lines() : runner->codecs().lines());
    v1::JobPlan& plan = *reply.mutable_plan();
    plan.set_job(runner->row().job.value);
    if (down) {
      if (const auto& link = runner->config().down)
        plan.set_down(std::string(name_of(link->sends)));
    } else {
      plan.set_first_round(runner->codecs().since().value);
      if (const auto& adapt = runner->config().adapt) plan.set_every(adapt->every);
    }
    plan.set_lines_total(static_cast<std::uint32_t>(lines.size()));
    const std::size_t first = std::min<std::size_t>(request.show_plan().first(), lines.size());
    const std::size_t last = std::min(lines.size(), first + limits::kPageRowsMax);
    for (std::size_t i = first; i < last; ++i) put(lines[i], *plan.add_lines());
    co_return reply;
  }
  std::shared_ptr<JobRunner> runner;
  if (request.has_submit_job()) {
    CHORUS_CO_TRY(
        runner,
        co_await board_.submit(
            request.submit_job().job_toml(), request.submit_job().file_name(), std::move(body)));
    context_.audit->add(peer.name, "job_submitted", runner->row().job.value);
  } else if (request.has_control_job()) {
    CHORUS_CO_TRY(runner, board_.find(JobId{request.control_job().job()}));
    CHORUS_CO_TRY(const JobVerb verb, verb_of(request.control_job().verb()));
    CHORUS_CO_OK(runner->control(verb));
    context_.audit->add(
        peer.name,
        "job_controlled",
        v1::ControlJob::Verb_Name(request.control_job().verb()) + " " + runner->row().job.value);
  } else {
    CHORUS_CO_TRY(runner, board_.find(JobId{request.show_job().job()}));
  }
  v1::JobDetail& detail = *reply.mutable_job();
  put(*runner, *detail.mutable_summary());
  detail.set_job_toml(runner->row().job_toml);
  if (const auto current = runner->current()) put(*current, *detail.mutable_current());
  auto read = [this, &runner] { return context_.ledger->rounds(runner->row().job, 1); };
  CHORUS_CO_TRY(const auto last, co_await net::run_on(context_.store, std::move(read)));
  if (!last.empty()) put(last.back().metrics, *detail.mutable_last_metrics());
  co_return reply;
}

AdminHandler::Reply AdminHandler::rounds(Peer peer, const v1::AdminRequest& request) {
  v1::AdminReply reply;
  if (request.has_list_rounds()) {
    CHORUS_CO_TRY(const auto runner, board_.find(JobId{request.list_rounds().job()}));
    const std::size_t last = page(request.list_rounds().last());
    auto read = [this, &runner, last] { return context_.ledger->rounds(runner->row().job, last); };
    CHORUS_CO_TRY(const auto rows, co_await net::run_on(context_.store, std::move(read)));
    reply.mutable_rounds()->set_job(runner->row().job.value);
    for (const RoundRow& row : rows) put(row, *reply.mutable_rounds()->add_rounds());
    const auto current = runner->current();
    if (current && (rows.empty() || rows.back().round < current->round)) {
      put(*current, *reply.mutable_rounds()->add_rounds());
    }
    co_return reply;
  }
  const bool control = request.has_control_round();
  const JobId job{control ? request.control_round().job() : request.show_round().job()};
  RoundId round{control ? request.control_round().round() : request.show_round().round()};
  CHORUS_CO_TRY(const auto runner, board_.find(job));
  if (control) {
    CHORUS_CO_TRY(const JobVerb verb, verb_of(request.control_round().verb()));
    if (round.value != 0 && round != runner->machine().round()) {
      co_return fail(errc::wrong_state,
                     "round " + std::to_string(round.value) + " is not the open one; that is " +
                         std::to_string(runner->machine().round().value));
    }
    CHORUS_CO_OK(runner->control(verb));
    context_.audit->add(
        peer.name,
        "round_controlled",
        v1::ControlRound::Verb_Name(request.control_round().verb()) + " " + job.value);
  }
  if (round.value == 0) round = runner->machine().round();
  v1::RoundDetail& detail = *reply.mutable_round();
  detail.set_job(job.value);
  const auto current = runner->current();
  if (current && current->round == round && runner->machine().phase() != RoundPhase::evaluating) {
    put(*current, *detail.mutable_summary());
    for (const ReceiptRow& row : runner->current_receipts()) put(row, *detail.add_devices());
    co_return reply;
  }
  auto read = [this, &job, round, &detail]() -> Result<void> {
    CHORUS_TRY(const RoundRow row, context_.ledger->round(job, round));
    put(row, *detail.mutable_summary());
    CHORUS_TRY(const auto parts, context_.ledger->receipts(job, round));
    for (const ReceiptRow& part : parts) put(part, *detail.add_devices());
    return {};
  };
  CHORUS_CO_OK(co_await net::run_on(context_.store, std::move(read)));
  co_return reply;
}

AdminHandler::Reply AdminHandler::devices(Peer peer, const v1::AdminRequest& request) {
  v1::AdminReply reply;
  if (request.has_create_token()) {
    const v1::CreateToken& wanted = request.create_token();
    Enrollment::TokenRequest ask;
    ask.device = wanted.device();
    ask.uses = std::max(1U, wanted.uses());
    ask.valid_for = Duration(static_cast<std::int64_t>(wanted.valid_for_ms()));
    CHORUS_CO_TRY(const auto token, co_await enrollment_.create_token(std::move(ask)));
    reply.mutable_token()->set_secret(token.secret);
    reply.mutable_token()->set_expires_ms(token.expires_at.time_since_epoch().count());
    reply.mutable_token()->set_ca_sha256(token.ca_sha256.bytes.data(),
                                         token.ca_sha256.bytes.size());
    context_.audit->add(peer.name,
                        "token_created",
                        wanted.device().empty() ? "for any name" : "for " + wanted.device());
    co_return reply;
  }
  if (request.has_list_devices()) {
    const std::string after = request.list_devices().after();
    auto read = [this, &after] { return context_.ledger->devices(after, limits::kPageRowsMax); };
    CHORUS_CO_TRY(const auto rows, co_await net::run_on(context_.store, std::move(read)));
    for (const DeviceRow& row : rows) {
      put(row, board_.is_connected(row.client), *reply.mutable_devices()->add_devices());
    }
    reply.mutable_devices()->set_next(rows.size() == limits::kPageRowsMax ? rows.back().client.value
                                                                          : "");
    co_return reply;
  }
  const bool revoke = request.has_revoke_device();
  const ClientId client{revoke ? request.revoke_device().device() : request.show_device().device()};
  v1::DeviceDetail& detail = *reply.mutable_device();
  DeviceRow row;
  std::vector<AuditRow> recent;
  auto work = [this, revoke, &client, &row, &recent]() -> Result<void> {
    if (revoke) CHORUS_OK(context_.ledger->revoke(client));
    CHORUS_TRY(row, context_.ledger->device(client));
    CHORUS_TRY(recent, context_.ledger->audit_of(client.value, 10));
    return {};
  };
  CHORUS_CO_OK(co_await net::run_on(context_.store, std::move(work)));
  if (revoke) {
    access_.revoke(client);
    board_.expel(client, fail(errc::revoked, "the device's certificate was revoked"));
    context_.audit->add(
        peer.name, "device_revoked", client.value + ": " + request.revoke_device().why());
  }
  put(row, board_.is_connected(client), *detail.mutable_summary());
  for (const AuditRow& entry : recent) put(entry, *detail.add_recent());
  co_return reply;
}

AdminHandler::Reply AdminHandler::models(Peer, const v1::AdminRequest& request) {
  v1::AdminReply reply;
  const bool list = request.has_list_models();
  const JobId job{list ? request.list_models().job() : request.show_model().job()};
  CHORUS_CO_TRY(const auto runner, board_.find(job));
  const Sha256 current = runner->row().current_version;
  std::string wanted = list ? std::string() : request.show_model().version();
  auto read = [this, list, &runner, &job, &current, &wanted, &reply]() -> Result<void> {
    CHORUS_TRY(const auto rows, context_.ledger->versions(job));
    if (list) {
      reply.mutable_models();
      const std::size_t first = rows.size() - std::min(rows.size(), limits::kPageRowsMax);
      for (std::size_t i = first; i < rows.size(); ++i) {
        put(rows[i], current, *reply.mutable_models()->add_models());
      }
      return {};
    }
    if (wanted.empty()) wanted = hex(current);
    CHORUS_TRY(const VersionRow row, context_.ledger->find_version(job, wanted));
    if (!row.kept) {
      return fail(errc::not_found,
                  "the file of version " + hex(row.sha256).substr(0, 12) + " (round " +
                      std::to_string(row.round.value) + ") was removed: job '" + job.value +
                      "' keeps the newest " + std::to_string(runner->config().keep_versions) +
                      "; 'chorus model list' shows them");
    }
    CHORUS_TRY(const auto version, context_.versions->open_version(row.sha256));
    put(row, current, *reply.mutable_model()->mutable_summary());
    for (const TensorSpec& tensor : version->layout().tensors) {
      v1::ModelTensor& out = *reply.mutable_model()->add_tensors();
      out.set_name(tensor.name);
      for (const std::uint64_t extent : tensor.shape) out.add_shape(extent);
    }
    if (row.round.value == 0) return {};
    CHORUS_TRY(const RoundRow round, context_.ledger->round(job, row.round));
    put(round.metrics, *reply.mutable_model()->mutable_summary()->mutable_metrics());
    return {};
  };
  CHORUS_CO_OK(co_await net::run_on(context_.store, std::move(read)));
  co_return reply;
}

AdminHandler::Reply AdminHandler::watch(const v1::AdminRequest& request) {
  const v1::WatchJob& ask = request.watch_job();
  CHORUS_CO_TRY(const auto runner, board_.find(JobId{ask.job()}));
  const Duration wait = std::min<Duration>(kWatchMax, std::chrono::milliseconds(ask.wait_ms()));
  if (wait > Duration{}) co_await runner->changed(ask.revision(), wait);
  v1::AdminReply reply;
  v1::JobProgress& progress = *reply.mutable_progress();
  progress.set_revision(runner->revision());
  put(*runner, *progress.mutable_summary());
  if (const auto current = runner->current()) put(*current, *progress.mutable_current());
  progress.set_devices_connected(board_.devices_connected());
  const std::size_t last = page(ask.last());
  auto read = [this, &runner, last] { return context_.ledger->rounds(runner->row().job, last); };
  CHORUS_CO_TRY(const auto rows, co_await net::run_on(context_.store, std::move(read)));
  for (const RoundRow& row : rows) put(row, *progress.add_rounds());
  co_return reply;
}

AdminHandler::Reply AdminHandler::audit(const v1::AdminRequest& request) {
  const std::size_t last = page(request.list_audit().last());
  auto read = [this, last] { return context_.ledger->audit(last); };
  CHORUS_CO_TRY(const auto rows, co_await net::run_on(context_.store, std::move(read)));
  v1::AdminReply reply;
  reply.mutable_audit();
  for (const AuditRow& row : rows) put(row, *reply.mutable_audit()->add_entries());
  co_return reply;
}

AdminHandler::Reply AdminHandler::status() {
  v1::AdminReply reply;
  v1::Status& status = *reply.mutable_status();
  status.set_software("chorusd " CHORUS_VERSION);
  status.set_started_ms(facts_.started_at.time_since_epoch().count());
  status.set_sessions(facts_.sessions());
  status.set_memory_granted_bytes(context_.memory->granted());
  status.set_memory_budget_bytes(context_.memory->budget());
  const auto open = std::count_if(board_.jobs().begin(), board_.jobs().end(), [](const auto& job) {
    const JobPhase phase = job.second->machine().job_phase();
    return phase != JobPhase::finished && phase != JobPhase::stopped;
  });
  status.set_jobs_open(static_cast<std::uint64_t>(open));
  status.set_kernels(std::string(kernels::active_variant()));
  co_return reply;
}

}  // namespace chorus::server
