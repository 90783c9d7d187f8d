#include "client/src/driver.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>
#include <variant>

#include <boost/asio/post.hpp>

#include "common/base/assert.hpp"
#include "common/base/limits.hpp"
#include "common/base/log.hpp"
#include "common/base/try.hpp"
#include "common/crypto/digest.hpp"
#include "common/crypto/x509.hpp"

namespace chorus::client {

namespace asio = boost::asio;

namespace {

// Buffers up to this size are kept between tasks; larger ones are given back to the system.
constexpr std::size_t kKeepBytesMax = 64U << 20U;

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  if (const auto bytes = random_bytes(sizeof(seed))) {
    for (const std::byte b : *bytes) seed = (seed << 8U) | std::to_integer<std::uint64_t>(b);
  }
  return seed;
}

SessionConfig session_config(const ClientOptions& options) {
  SessionConfig config;
  config.software = options.software;
  for (const auto& job : options.jobs) config.jobs.push_back(JobId{job});
  config.tasks_max = options.tasks_max;
  config.eligibility_interval = options.eligibility_interval;
  config.seed = random_seed();
  return config;
}

}  // namespace

Result<std::unique_ptr<Driver>> Driver::create(Parts parts) {
  std::unique_ptr<Driver> driver(new Driver(std::move(parts)));
  CHORUS_OK(driver->use_certificate(driver->parts_.identity.certificate_pem));
  CHORUS_OK(driver->load_unfinished());
  return driver;
}

Driver::Driver(Parts parts)
    : parts_(std::move(parts)),
      began_(SteadyClock::now()),
      began_ms_(std::chrono::duration_cast<std::chrono::milliseconds>(
                    std::chrono::system_clock::now().time_since_epoch())
                    .count()),
      machine_(session_config(*parts_.options)),
      cache_(parts_.state->versions_path()),
      model_(parts_.options->cache_versions ? &cache_ : nullptr) {}

Driver::~Driver() {
  compute_.join();
  // Coroutines hold connections, which hold streams of this context: end them before it.
  connection_.reset();
}

Result<void> Driver::use_certificate(std::string certificate_pem) {
  net::TlsClientOptions options;
  options.ca_pem = parts_.identity.ca_pem;
  options.certificate_pem = certificate_pem;
  options.key_pem = parts_.identity.key_pem;
  CHORUS_TRY(tls_, net::TlsContext::client(options));
  parts_.identity.certificate_pem = std::move(certificate_pem);
  return {};
}

Result<void> Driver::load_unfinished() {
  std::string damage;
  CHORUS_TRY(unfinished_, parts_.state->unfinished_upload(&damage));
  if (!damage.empty()) spdlog::warn("an unfinished upload is dropped: {}", damage);
  if (!unfinished_) return KeptState::discard(parts_.state->kept_path(), parts_.state->disk());
  CHORUS_TRY(auto buffer, UpdateBuffer::create(unfinished_->bytes));
  CHORUS_OK(parts_.state->read_upload(buffer.span()));
  update_ = std::make_shared<UpdateBuffer>(std::move(buffer));
  return {};
}

Result<RunSummary> Driver::run() {
  Started started{std::exchange(unfinished_, std::nullopt)};
  asio::post(context_, [this, started = std::move(started)] { dispatch(started); });
  context_.run();
  CHORUS_ASSERT(finished_);
  if (failure_) return *failure_;
  RunSummary summary = machine_.summary();
  summary.bytes_sent = bytes_sent_;
  summary.bytes_received = bytes_received_;
  return summary;
}

void Driver::stop() {
  asio::post(context_, [this] { dispatch(StopRequested{}); });
}

TimePoint Driver::now() const {
  const auto passed = SteadyClock::now() - began_;
  return TimePoint(Duration(began_ms_) + std::chrono::duration_cast<Duration>(passed));
}

// ---- events ----

void Driver::dispatch(Event event) {
  events_.push_back(std::move(event));
  if (dispatching_) return;  // told by an action that is being performed: it has its turn below
  dispatching_ = true;
  while (!events_.empty()) {
    const Event next = std::move(events_.front());
    events_.pop_front();
    for (const Action& action : machine_.step(next, now())) {
      std::visit([this](const auto& a) { perform(a); }, action);
    }
  }
  dispatching_ = false;
  arm_timer();
}

void Driver::arm_timer() {
  const auto at = finished_ ? std::nullopt : machine_.next_wakeup();
  if (!at) {
    timer_.cancel();
    return;
  }
  // One more, because now() is rounded down.
  timer_.expires_after(std::max(*at - now(), Duration::zero()) + Duration(1));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) dispatch(Tick{});
  });
}

void Driver::on_connected() {
  dispatch(Connected{});
}

void Driver::on_message(wire::Message message, std::uint32_t body_bytes) {
  dispatch(MessageReceived{std::move(message), body_bytes});
}

void Driver::on_not_understood(TaskRef task, Failure why) {
  dispatch(WorkNotUnderstood{std::move(task), std::move(why)});
}

void Driver::on_lost(Failure why) {
  forget_connection();
  dispatch(ConnectionLost{std::move(why)});
}

void Driver::on_body_progress(std::uint64_t sent) {
  dispatch(BodyProgress{sent});
}

Result<std::span<std::byte>> Driver::place_of_body(std::uint32_t body_bytes) {
  const Download& download = machine_.download();
  if (machine_.task() != SessionMachine::Task::fetching ||
      body_bytes > download.total - download.there) {
    return fail(errc::unexpected_message,
                "the server sent a chunk of " + std::to_string(body_bytes) +
                    " bytes that nobody asked for");
  }
  if (download.basis) return basis_.place(download.there, body_bytes);
  return model_.place(download.there, body_bytes);
}

// ---- actions ----

// Runs `job`, which gives an Event, on the compute thread.
template <class Job>
void Driver::compute(Job job) {
  auto keep_running = asio::make_work_guard(context_);
  asio::post(compute_, [this, job = std::move(job), guard = std::move(keep_running)]() mutable {
    Event event = job();
    asio::post(context_,
               [this, event = std::move(event)]() mutable { dispatch(std::move(event)); });
    guard.reset();
  });
}

void Driver::perform(const AskEligibility&) {
  bool eligible = true;
  try {
    if (parts_.options->eligible) eligible = parts_.options->eligible();
  } catch (const std::exception& error) {
    spdlog::error("the eligibility callback threw: {}; taken as not eligible", error.what());
    eligible = false;
  }
  dispatch(EligibilityKnown{eligible});
}

void Driver::perform(const Connect&) {
  tell_certificate();
  ConnectionOwner* const owner = this;
  connection_ = std::make_shared<Connection>(context_.get_executor(), owner);
  connection_->start({parts_.server, tls_});
}

void Driver::perform(const Disconnect&) {
  if (connection_ == nullptr) return;
  connection_->close();
  forget_connection();
}

void Driver::forget_connection() {
  if (connection_ == nullptr) return;
  bytes_sent_ += connection_->bytes_written();
  bytes_received_ += connection_->bytes_read();
  connection_.reset();
}

void Driver::perform(const Send& action) {
  if (connection_ != nullptr) connection_->send(action.message);
}

void Driver::perform(const LookUpModel&) {
  compute([this]() -> Event {
    auto download = model_.look_up(machine_.work());
    if (!download) return ModelUnusable{std::move(download).error()};
    return ModelLookedUp{*download};
  });
}

void Driver::perform(const ReceiveModel& action) {
  if (action.basis) return basis_.begin(*machine_.work().basis);
  if (action.offset == 0 && action.steps == 0) model_.restart();
}

void Driver::perform(const KeepChunk& action) {
  if (!machine_.download().basis) model_.keep(action.offset, action.bytes);
}

void Driver::perform(const VerifyModel&) {
  compute([this, basis = machine_.download().basis]() -> Event {
    if (auto verified = basis ? basis_.verify() : model_.verify(); !verified) {
      return ModelBroken{std::move(verified).error()};
    }
    return ModelVerified{};
  });
}

void Driver::perform(const StartTask&) {
  cancel_.emplace();
  update_.reset();
  compute([this]() -> Event {
    TaskInput input;
    input.work = &machine_.work();
    input.layout = &model_.layout();
    input.parameters = model_.parameters();
    input.cancel = &*cancel_;
    input.durable = parts_.options->durable_upload ? parts_.state : nullptr;
    if (input.work->basis) input.basis = basis_.take();
    input.scratch = std::exchange(scratch_, nullptr);
    StateFolder& folder = *parts_.state;
    KeptState state({folder.kept_path(), input.work->task, input.layout, &folder.disk()});
    input.state = &state;
    auto finished = run_task(*parts_.trainer, input);
    model_.release();
    if (!finished) return TaskFailed{std::move(finished).error()};
    update_ = std::move(finished->update);
    scratch_ = std::move(finished->scratch);
    return TaskFinished{std::move(finished->offer)};
  });
}

void Driver::perform(const CancelTask&) {
  if (cancel_) cancel_->cancel();
}

void Driver::perform(const SendBody& action) {
  if (connection_ == nullptr || update_ == nullptr) return;
  connection_->send_body({update_, update_->span()}, action.offset);
}

void Driver::perform(const StopBody&) {
  if (connection_ != nullptr) connection_->stop_body();
}

void Driver::perform(const DropUpload& action) {
  // Before the upload is forgotten: a power cut between the two repeats the offer, and its answer.
  const auto kept = parts_.state->kept_path();
  Disk& disk = parts_.state->disk();
  const auto settled = action.accepted ? KeptState::accept(kept, *action.accepted, disk)
                                       : KeptState::discard(kept, disk);
  if (!settled) spdlog::warn("local state of the last task: {}", settled.error().to_string());
  const auto worth_keeping = [this](const std::shared_ptr<UpdateBuffer>& buffer) {
    return buffer != nullptr && buffer.use_count() == 1 &&
           (!parts_.options->cache_versions || buffer->size() <= kKeepBytesMax);
  };
  if (!worth_keeping(scratch_)) scratch_.reset();
  if (scratch_ == nullptr && worth_keeping(update_)) scratch_ = std::move(update_);
  update_.reset();
  if (auto dropped = parts_.state->drop_upload(); !dropped) {
    spdlog::warn("a settled upload stays in the state folder: {}", dropped.error().to_string());
  }
}

void Driver::perform(const Report& action) {
  if (!parts_.options->on_progress) return;
  try {
    parts_.options->on_progress(action.progress);
  } catch (const std::exception& error) {
    spdlog::error("the progress callback threw: {}", error.what());
  }
}

void Driver::perform(const Finish& action) {
  finished_ = true;
  failure_ = action.why;
  timer_.cancel();
}

// ---- the certificate ----

// At each connection anew, because the wall clock may have been set meanwhile.
void Driver::tell_certificate() {
  const auto read = [this]() -> Result<CertificateInfo> {
    CHORUS_TRY(const auto certificate, Certificate::from_pem(parts_.identity.certificate_pem));
    return certificate.info();
  };
  const auto info = read();
  if (!info) {
    spdlog::warn("reading the certificate: {}", info.error().to_string());
    return;
  }
  using std::chrono::duration_cast;
  const auto left = duration_cast<Duration>(info->not_after - std::chrono::system_clock::now());
  const auto third = duration_cast<Duration>(info->not_after - info->not_before) / 3;
  dispatch(CertificateInUse{now() + left - third, now() + left});
}

void Driver::perform(const MakeRenewalRequest&) {
  const auto make = [this]() -> Result<std::vector<std::byte>> {
    CHORUS_TRY(const auto key, PrivateKey::from_pem(parts_.identity.key_pem));
    return make_csr(key, parts_.identity.name);
  };
  auto csr = make();
  if (!csr) {
    spdlog::warn("renewing the certificate: {}", csr.error().to_string());
    return;
  }
  dispatch(RenewalRequestMade{std::move(*csr)});
}

void Driver::perform(const RenewalRefused& action) {
  spdlog::warn("renewing the certificate: {}", action.why.to_string());
}

// Same key, new certificate: a file replaced as one step, so that a power cut leaves one or the
// other.
void Driver::perform(const StoreCertificate& action) {
  const auto store = [&]() -> Result<void> {
    CHORUS_TRY(const auto certificate, Certificate::from_der(action.enrolled.certificate));
    CHORUS_TRY(const auto key, PrivateKey::from_pem(parts_.identity.key_pem));
    if (!certificate.belongs_to(key)) {
      return fail(errc::malformed_message, "the server sent a certificate for another key");
    }
    CHORUS_TRY(const std::string pem, certificate.to_pem());
    CHORUS_OK(parts_.state->store_certificate(pem));
    return use_certificate(pem);
  };
  if (auto stored = store(); !stored) {
    spdlog::warn("renewing the certificate: {}", stored.error().to_string());
  } else {
    spdlog::info("the device's certificate was renewed");
    tell_certificate();
  }
}

}  // namespace chorus::client
