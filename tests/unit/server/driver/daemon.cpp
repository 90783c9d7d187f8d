#include "tests/unit/server/driver/daemon.hpp"

#include <algorithm>
#include <chrono>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include "common/base/log.hpp"
#include "common/base/rng.hpp"
#include "common/codec/update.hpp"
#include "common/crypto/digest.hpp"

namespace chorus::server::test {

namespace asio = boost::asio;

Daemon::Daemon(const std::filesystem::path& folder, const DaemonOptions& options)
    : ledger(std::make_unique<FlakyLedger>(open_sqlite_ledger(folder / "ledger.sqlite").value())),
      versions(VersionStore::open(folder / "versions").value()),
      changes(ChangeStore::open(folder / "changes").value()),
      spare_segments(SpareSegments::open(folder / "journal-spare").value()),
      memory(options.memory),
      memories(options.memories) {
  spdlog::set_level(spdlog::level::off);
  context.control = control.get_executor();
  context.store = store->get_executor();
  context.compute = compute->get_executor();
  context.compute_threads = 2;
  context.ledger = ledger.get();
  context.versions = versions.get();
  context.changes = changes.get();
  context.memory = &memory;
  context.spare_segments = &spare_segments;
  context.journal_folder = folder / "journal";
  context.journal_segment_bytes = options.segment_bytes;
  context.checkpoint_after_bytes = options.checkpoint_after;
  context.durable = options.durable;
  context.now = [] {
    using std::chrono::duration_cast;
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return TimePoint(duration_cast<Duration>(since));
  };
  audit_log = std::make_unique<AuditLog>(context.store, *ledger, context.now);
  context.audit = audit_log.get();
  board = std::make_unique<Board>(context, options.devices_waiting_max);
}

// As a crash does it: nothing that is queued runs any more.
Daemon::~Daemon() {
  control.stop();
  store->stop();
  compute->stop();
  store->join();
  compute->join();
  board.reset();
  store.reset();
  compute.reset();
}

bool Daemon::run_until(const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + 60s;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    if (control.stopped()) control.restart();
    const auto guard = boost::asio::make_work_guard(control);
    control.run_one_for(100ms);
  }
  return true;
}

std::shared_ptr<JobRunner> Daemon::submit(const std::string& job_toml) {
  auto submitted = play(board->submit(job_toml, "job.toml"));
  EXPECT_TRUE(submitted) << submitted.error().to_string();
  return submitted ? *submitted : nullptr;
}

bool Daemon::over(const std::string& name) {
  const JobPhase phase = job(name)->machine().job_phase();
  return (phase == JobPhase::finished || phase == JobPhase::stopped) && job(name)->idle();
}

std::vector<AuditRow> Daemon::audit() {
  return ask([this] { return ledger->audit(200); }).value();
}

std::vector<RoundRow> Daemon::rounds(const std::string& name) {
  return ask([this, name] { return ledger->rounds(JobId{name}, 200); }).value();
}

// ---- devices ----

std::shared_ptr<FakeDevice> FakeDevice::join(Daemon& daemon,
                                             const std::string& name,
                                             std::uint64_t serial,
                                             std::vector<JobId> jobs) {
  auto device = std::make_shared<FakeDevice>(daemon, name, serial);
  daemon.board->connected(device->key_, device, std::move(jobs));
  device->ready();
  return device;
}

void FakeDevice::send(wire::Message message) {
  received.push_back(message);
  if (on_accepted && std::holds_alternative<wire::Accepted>(message)) on_accepted();
  // Like a session: what follows happens later.
  asio::post(daemon_.control, [self = shared_from_this(), message = std::move(message)] {
    if (self->automatic) self->on_message(message);
  });
}

void FakeDevice::assign(Assignment assignment) {
  ++tasks_held;
  EXPECT_LE(tasks_held, 1) << key_.client.value << " was given a second task";
  assigned.push_back(assignment);
  asio::post(daemon_.control, [self = shared_from_this(), assignment = std::move(assignment)] {
    if (self->automatic && self->trains) self->offer(assignment);
  });
}

void FakeDevice::close(Failure why) {
  closed = std::move(why);
}

std::vector<float> FakeDevice::update_for(const Assignment& assignment, const std::string& name) {
  const std::uint64_t parameters = assignment.model->layout().parameters;
  std::vector<float> base(parameters);
  EXPECT_TRUE(assignment.model->read_parameters(0, base));
  const std::string_view parts[] = {"update", name};
  Rng rng(stream_key(std::get<TrainPlan>(assignment.work.plan).seed, parts));
  for (float& value : base) {
    const double noise = rng.uniform() - 0.5;
    value = static_cast<float>(0.1 * noise - 0.01 * static_cast<double>(value));
    if (name.starts_with("liar")) value *= -100.0F;
  }
  return base;
}

codec::UpdateForm FakeDevice::form_of(const Assignment& assignment) {
  const auto basis = assignment.basis ? assignment.basis->basis : nullptr;
  return codec::UpdateForm::of(
             std::get<TrainPlan>(assignment.work.plan), assignment.model->layout(), basis)
      .value();
}

std::vector<std::byte> FakeDevice::body_for(const Assignment& assignment, const std::string& name) {
  const auto values = update_for(assignment, name);
  const auto& plan = std::get<TrainPlan>(assignment.work.plan);
  if (plan.compression) {
    const auto form = form_of(assignment);
    return codec::encode_update(form, values).value();
  }
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

wire::Offer FakeDevice::offer_for(const Assignment& assignment, const std::string& name) {
  wire::Offer offer;
  offer.task = assignment.work.task;
  offer.base = assignment.model->info().sha256;
  offer.examples = Examples{10 + name.size() + static_cast<unsigned char>(name.back())};
  offer.steps = 3;
  offer.seconds = 0.5;
  offer.metrics = {{"loss", 0.25 * static_cast<double>(name.size())}};
  if (offer.task.kind == TaskKind::evaluate) return offer;
  const auto body = body_for(assignment, name);
  offer.bytes = body.size();
  offer.digest = body_digest(body);
  return offer;
}

void FakeDevice::offer(const Assignment& assignment) {
  const auto* const plan = std::get_if<TrainPlan>(&assignment.work.plan);
  if (plan != nullptr && plan->compression && plan->compression->feedback == Feedback::difference) {
    net::spawn(daemon_.context.control, offer_difference(assignment), "a difference");
    return;
  }
  const bool has_body = assignment.work.task.kind == TaskKind::train;
  decide(offer_for(assignment, key_.client.value),
         has_body ? body_for(assignment, key_.client.value) : std::vector<std::byte>());
}

void FakeDevice::decide(const wire::Offer& offer, std::vector<std::byte> body) {
  decisions.push_back(daemon_.board->offer(key_, offer));
  const OfferDecision& decision = decisions.back();
  if (decision.kind == OfferDecision::Kind::refuse && automatic) free();
  if (decision.kind != OfferDecision::Kind::take) return;
  net::spawn(daemon_.context.control, upload(decision.target, std::move(body)), "an upload");
}

// As client/src/update_encoder.cpp does it. What became of the last update is in the ledger, which
// a real device is told when it offers it again.
asio::awaitable<void> FakeDevice::offer_difference(Assignment assignment) {
  const auto self = shared_from_this();
  const auto& plan = std::get<TrainPlan>(assignment.work.plan);
  const auto& task = assignment.work.task;
  DeviceMemory& memory = (*daemon_.memories)[key_.client.value];
  if (memory.staged_round.value != 0 && memory.staged_round != task.round) {
    auto ask = [this, &memory, &task] {
      return daemon_.ledger->receipt(task.job, memory.staged_round, key_.client);
    };
    const auto receipt = co_await net::run_on(daemon_.context.store, std::move(ask));
    if (receipt && *receipt && (*receipt)->outcome == "accepted") memory.kept = memory.staged;
  }
  KeptByDevice next = memory.kept;
  const auto values = update_for(assignment, key_.client.value);
  if (next.since != plan.compression->since) {
    next = {std::vector<float>(values.size()), plan.compression->since, 0};
  }
  auto offer = offer_for(assignment, key_.client.value);
  offer.state_epoch = next.updates;
  codec::FeedbackMemory sent;
  sent.sent = next.sent;
  const auto form = form_of(assignment);
  auto body = codec::encode_update(form, values, sent).value();
  ++next.updates;
  memory.staged = std::move(next);
  memory.staged_round = task.round;
  offer.bytes = body.size();
  offer.digest = body_digest(body);
  decide(offer, std::move(body));
}

// As server/net/transfer.cpp does it, in two chunks.
asio::awaitable<void> FakeDevice::upload(std::shared_ptr<const UploadTarget> target,
                                         std::vector<std::byte> body) {
  const auto self = shared_from_this();
  const std::span<const std::byte> bytes(body);
  auto store = [&target, &bytes]() -> Result<void> {
    auto stored = target->journal->begin(target->meta);
    if (!stored) return std::move(stored).error();
    std::uint64_t at = *stored;
    while (at < bytes.size()) {
      const std::uint64_t length = std::min<std::uint64_t>(bytes.size() / 8 * 4, bytes.size() - at);
      auto appended = target->journal->append(
          target->meta.client, at, bytes.subspan(at, static_cast<std::size_t>(length)));
      if (!appended) return appended;
      at += length;
    }
    return {};
  };
  const auto stored = co_await net::run_on(daemon_.context.store, std::move(store));
  if (before_complete) before_complete();
  if (stored) {
    daemon_.board->upload_complete(key_, target->task);
  } else {
    daemon_.board->upload_failed(key_, target->task, false, stored.error());
    free();
  }
}

void FakeDevice::on_message(const wire::Message& message) {
  const bool ends = std::holds_alternative<wire::Accepted>(message) ||
                    std::holds_alternative<wire::Refuse>(message) ||
                    std::holds_alternative<wire::Cancel>(message);
  if (ends) free();
}

void FakeDevice::free() {
  tasks_held = 0;
  ready();
}

Devices join_all(Daemon& daemon, std::uint64_t serial) {
  Devices devices;
  for (const char* name : {"a", "b", "c"}) {
    devices.push_back(FakeDevice::join(daemon, name, serial));
  }
  return devices;
}

std::string job_toml(const std::string& rest, const std::string& name, int rounds) {
  return "[job]\nname = \"" + name + "\"\nseed = 5\nrounds = " + std::to_string(rounds) + "\n" +
         (rest.find("[model]") == std::string::npos
              ? "[model]\ninput_shape = [30]\n[[model.layers]]\ntype = \"dense\"\nunits = 3\n"
              : "") +
         (rest.find("[pace]") == std::string::npos
              ? "[pace]\ncohort = 3\nmin_reports = 2\ndeadline = \"0s\"\n"
                "selection_deadline = \"0s\"\n"
              : "") +
         rest;
}

}  // namespace chorus::server::test
