#include "tests/sim/sim_device.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <utility>
#include <variant>

#include "client/src/basis_store.hpp"
#include "client/src/model_store.hpp"
#include "client/src/state_folder.hpp"
#include "client/src/task_runner.hpp"
#include "common/base/assert.hpp"
#include "common/crypto/digest.hpp"
#include "common/tensor/plan_rules.hpp"
#include "common/wire/frame.hpp"

namespace chorus::sim {

using namespace chorus::client;

namespace {

constexpr Micros kThinking{2'000};  ///< a look into the cache, a digest
constexpr const char* kFolder = "/state";

/// Trains in no time: what comes out is a function of the task's seed and the model.
class DrawnTrainer final : public Trainer {
 public:
  Result<TaskReport> train(const TrainTask& task, std::span<float> parameters) override {
    Rng rng(task.plan.seed);
    for (float& value : parameters) {
      const double noise = rng.uniform() - 0.5;
      value = static_cast<float>(0.99 * static_cast<double>(value) + 0.1 * noise);
    }
    TaskReport report;
    report.examples = 1 + rng.below(200);
    report.steps = 3;
    report.metrics = {{"loss", rng.uniform()}};
    return report;
  }
  Result<TaskReport> evaluate(const EvaluateTask& /*task*/,
                              std::span<const float> parameters) override {
    TaskReport report;
    report.examples = 10;
    double sum = 0.0;
    for (const float value : parameters) sum += static_cast<double>(value) * value;
    report.metrics = {{"accuracy", 1.0 / (1.0 + sum)}, {"loss", sum}};
    return report;
  }
};

SessionConfig config_of(std::uint64_t seed) {
  SessionConfig config;
  config.software = "sim";
  config.seed = seed;
  return config;
}

}  // namespace

/// From its start to its death. What is planned for it holds it weakly.
class SimDevice::Process : public std::enable_shared_from_this<Process> {
 public:
  Process(SimDevice& device, std::shared_ptr<Disk> disk)
      : device_(device),
        world_(*device.around_.world),
        disk_(std::move(disk)),
        machine_(config_of(device.rng_.next_u64())) {}

  ~Process() { let_go(); }

  /// False: its disk fails; whoever starts it does so again later.
  bool run();
  void tick_at();
  void hold(bool held) {
    if (connection_ == nullptr) return;
    connection_->up->hold(held);
    connection_->down->hold(held);
  }
  Connection* connection() { return connection_.get(); }
  /// The operating system closes what a dead process had open.
  void die() {
    if (connection_ != nullptr) connection_->up->reset();
  }

 private:
  void dispatch(Event event);
  void perform(const AskEligibility& action);
  void perform(const Connect& action);
  void perform(const Disconnect& action);
  void perform(const Send& action);
  void perform(const LookUpModel& action);
  void perform(const ReceiveModel& action);
  void perform(const KeepChunk& action);
  void perform(const VerifyModel& action);
  void perform(const StartTask& action);
  void perform(const CancelTask& action);
  void perform(const SendBody& action);
  void perform(const StopBody& action);
  void perform(const DropUpload& action);
  void perform(const MakeRenewalRequest& /*action*/) {}
  void perform(const StoreCertificate& /*action*/) {}
  void perform(const RenewalRefused& /*action*/) {}
  void perform(const Report& /*action*/) {}
  void perform(const Finish& /*action*/) {}

  /// Later, unless it has died.
  template <class F>
  void later(Micros delay, F what) {
    world_.after(delay, [weak = weak_from_this(), what = std::move(what)]() mutable {
      if (const auto self = weak.lock()) what(*self);
    });
  }
  TimePoint now() const {
    return TimePoint(std::chrono::duration_cast<Duration>(world_.elapsed() + device_.wall_offset_));
  }
  void lie(wire::Offer& offer);
  void arrived();
  void read();
  bool take_frame();
  void lost(const std::string& why);
  void let_go();
  void pump();
  Result<std::span<std::byte>> place_of_body(std::uint32_t bytes);

  SimDevice& device_;
  World& world_;
  std::shared_ptr<Disk> disk_;
  SessionMachine machine_;
  std::optional<StateFolder> state_;
  ModelStore model_{nullptr};
  BasisStore basis_;
  DrawnTrainer trainer_;
  std::optional<CancelToken> cancel_;
  std::shared_ptr<UpdateBuffer> update_;
  std::optional<wire::Offer> offer_;
  std::optional<wire::Offer> old_offer_;
  Lie lie_ = Lie::none;
  std::deque<Event> events_;
  bool dispatching_ = false;
  std::uint64_t ticks_ = 0;

  std::shared_ptr<Connection> connection_;
  bool closing_ = false;
  wire::FrameReader reader_;
  std::size_t filled_ = 0;
  bool reading_ = false;
  std::deque<std::byte> outbox_;
  std::optional<std::uint64_t> body_at_;
};

bool SimDevice::Process::run() {
  auto folder = StateFolder::open(kFolder, *disk_);
  if (!folder) return false;
  state_.emplace(std::move(*folder));
  std::string damage;
  auto unfinished = state_->unfinished_upload(&damage);
  if (!unfinished) return false;
  if (*unfinished) {
    auto buffer = UpdateBuffer::create((*unfinished)->bytes);
    if (!state_->read_upload(buffer->span())) return false;
    update_ = std::make_shared<UpdateBuffer>(std::move(*buffer));
    offer_ = **unfinished;
    device_.around_.observer->offered(device_.name(), *offer_, update_->span());
  } else if (!KeptState::discard(state_->kept_path(), *disk_)) {
    return false;
  }
  dispatch(Started{*unfinished});
  return true;
}

void SimDevice::Process::dispatch(Event event) {
  events_.push_back(std::move(event));
  if (dispatching_) return;
  dispatching_ = true;
  while (!events_.empty()) {
    const Event next = std::move(events_.front());
    events_.pop_front();
    const auto span = machine_.step(next, now());
    const std::vector<Action> actions(span.begin(), span.end());
    for (const Action& action : actions) {
      std::visit([this](const auto& a) { perform(a); }, action);
    }
  }
  dispatching_ = false;
  tick_at();
}

void SimDevice::Process::tick_at() {
  const auto at = machine_.next_wakeup();
  const std::uint64_t tick = ++ticks_;
  if (!at) return;
  const auto left = std::max(*at - now(), Duration::zero()) + Duration(1);
  later(left, [tick](Process& self) {
    if (self.ticks_ == tick) self.dispatch(Tick{});
  });
}

// ---- actions ----

void SimDevice::Process::perform(const AskEligibility&) {
  const bool eligible = device_.rng_.below(20) != 0;
  dispatch(EligibilityKnown{eligible});
}

void SimDevice::Process::perform(const Connect&) {
  let_go();
  auto& rng = device_.rng_;
  const Micros round_trip =
      2 * between(rng, device_.traits_.link.delay_min, device_.traits_.link.delay_max);
  later(round_trip, [](Process& self) {
    if (!self.device_.cut_off_) {
      self.connection_ =
          self.device_.around_.connect(self.device_.name(), self.device_.traits_.link);
    }
    if (self.connection_ == nullptr) {
      self.dispatch(ConnectionLost{fail(errc::connection_failed, "nobody listens")});
      return;
    }
    self.closing_ = false;
    self.connection_->down->on_arrival = [weak = self.weak_from_this()] {
      if (const auto me = weak.lock()) me->arrived();
    };
    self.connection_->up->on_room = [weak = self.weak_from_this()] {
      if (const auto me = weak.lock()) me->pump();
    };
    self.dispatch(Connected{});
  });
}

void SimDevice::Process::let_go() {
  if (connection_ == nullptr) return;
  connection_->down->on_arrival = nullptr;
  connection_->up->on_room = nullptr;
  connection_->up->end();
  connection_.reset();
  outbox_.clear();
  body_at_.reset();
  reader_.reset();
  filled_ = 0;
}

void SimDevice::Process::perform(const Disconnect&) {
  closing_ = true;
  pump();
}

void SimDevice::Process::perform(const Send& action) {
  if (connection_ == nullptr) return;
  if (std::holds_alternative<wire::Offer>(action.message) && lie_ == Lie::garbage) {
    outbox_.insert(outbox_.end(), 40, std::byte{0x55});
    lie_ = Lie::none;
  }
  const auto frame = wire::encode(action.message, 0);
  CHORUS_ASSERT(frame.has_value());
  outbox_.insert(outbox_.end(), frame->begin(), frame->end());
  pump();
}

void SimDevice::Process::perform(const LookUpModel&) {
  later(kThinking, [](Process& self) {
    auto download = self.model_.look_up(self.machine_.work());
    if (download) {
      self.dispatch(ModelLookedUp{*download});
    } else {
      self.dispatch(ModelUnusable{download.error()});
    }
  });
}

void SimDevice::Process::perform(const ReceiveModel& action) {
  if (action.basis) return basis_.begin(*machine_.work().basis);
  if (action.offset == 0 && action.steps == 0) model_.restart();
}

void SimDevice::Process::perform(const KeepChunk& action) {
  if (!machine_.download().basis) model_.keep(action.offset, action.bytes);
}

void SimDevice::Process::perform(const VerifyModel&) {
  later(kThinking, [basis = machine_.download().basis](Process& self) {
    const auto verified = basis ? self.basis_.verify() : self.model_.verify();
    if (verified) {
      self.dispatch(ModelVerified{});
    } else {
      self.dispatch(ModelBroken{verified.error()});
    }
  });
}

void SimDevice::Process::perform(const StartTask&) {
  cancel_.emplace();
  update_.reset();
  const Micros training =
      between(device_.rng_, device_.traits_.training_min, device_.traits_.training_max);
  later(training, [](Process& self) {
    TaskInput input;
    input.work = &self.machine_.work();
    input.layout = &self.model_.layout();
    input.parameters = self.model_.parameters();
    input.cancel = &*self.cancel_;
    input.durable = &*self.state_;
    if (input.work->basis) input.basis = self.basis_.take();
    KeptState kept(
        {self.state_->kept_path(), input.work->task, input.layout, &self.state_->disk()});
    input.state = &kept;
    auto finished = run_task(self.trainer_, input);
    self.model_.release();
    if (!finished) {
      self.dispatch(TaskFailed{finished.error()});
      return;
    }
    self.update_ = std::move(finished->update);
    const auto body =
        self.update_ ? std::span<const std::byte>(self.update_->span()) : std::span<std::byte>();
    DeviceObserver& observer = *self.device_.around_.observer;
    observer.offered(self.device_.name(), finished->offer, body);  // what it offers after a death
    self.lie(finished->offer);
    if (self.lie_ != Lie::none) observer.offered(self.device_.name(), finished->offer, body);
    self.offer_ = finished->offer;
    self.dispatch(TaskFinished{std::move(finished->offer)});
  });
}

void SimDevice::Process::perform(const CancelTask&) {
  if (cancel_) cancel_->cancel();
}

void SimDevice::Process::perform(const SendBody& action) {
  if (lie_ == Lie::no_upload) return;
  body_at_ = action.offset;
  pump();
}

void SimDevice::Process::perform(const StopBody&) {
  body_at_.reset();
}

void SimDevice::Process::perform(const DropUpload& action) {
  const auto kept = state_->kept_path();
  static_cast<void>(action.accepted ? KeptState::accept(kept, *action.accepted, *disk_)
                                    : KeptState::discard(kept, *disk_));
  if (action.accepted && offer_) device_.around_.observer->acknowledged(device_.name(), *offer_);
  if (offer_ && device_.rng_.below(2) == 0) old_offer_ = offer_;
  offer_.reset();
  update_.reset();
  lie_ = Lie::none;
  static_cast<void>(state_->drop_upload());
}

// ---- lies ----

void SimDevice::Process::lie(wire::Offer& offer) {
  lie_ = Lie::none;
  Rng& rng = device_.rng_;
  const double chance = rng.uniform();
  if (chance >= device_.traits_.lies) return;
  lie_ = static_cast<Lie>(1 + rng.below(kLies - 1));
  if (offer.task.kind == TaskKind::evaluate) {
    if (lie_ == Lie::examples) offer.examples = Examples{0};
    return;
  }
  const auto floats = [this] {
    return std::span(reinterpret_cast<float*>(update_->data()), update_->size() / sizeof(float));
  };
  switch (lie_) {
    case Lie::digest:
      offer.digest.bytes[3] ^= std::byte{1};
      break;
    case Lie::nan:
      floats().back() = std::numeric_limits<float>::quiet_NaN();
      offer.digest = body_digest(update_->span());
      break;
    case Lie::too_large:
      floats().front() = 1e9F;
      offer.digest = body_digest(update_->span());
      break;
    case Lie::examples:
      offer.examples = Examples{rng.below(2) == 0 ? 0 : std::uint64_t{1} << 40U};
      break;
    case Lie::size:
      offer.bytes += 4;
      break;
    case Lie::old_task:
      if (old_offer_ && old_offer_->task.kind == TaskKind::train) offer.task = old_offer_->task;
      break;
    default:
      break;
  }
}

// ---- the connection ----

void SimDevice::Process::arrived() {
  if (reading_) return;
  if (device_.reads_each_ > Micros::zero()) {
    reading_ = true;
    later(device_.reads_each_, [](Process& self) {
      self.reading_ = false;
      self.read();
    });
    return;
  }
  read();
}

void SimDevice::Process::read() {
  while (connection_ != nullptr) {
    Pipe& from = *connection_->down;
    const auto want = reader_.want().subspan(filled_);
    const std::size_t bytes = std::min(want.size(), from.arrived.size());
    if (bytes == 0) {
      if (from.ended) lost("the server closed the connection");
      return;
    }
    std::copy_n(from.arrived.begin(), bytes, want.begin());
    filled_ += bytes;
    from.took(bytes);
    if (connection_ != nullptr && bytes == want.size() && !take_frame()) return;
  }
}

/// False when the connection is over.
bool SimDevice::Process::take_frame() {
  filled_ = 0;
  const auto stage = reader_.filled();
  if (!stage) {
    lost(stage.error().detail);
    return false;
  }
  if (*stage == wire::FrameReader::Stage::body) {
    const auto place = place_of_body(reader_.header().body_bytes);
    if (!place) {
      lost(place.error().detail);
      return false;
    }
    reader_.set_body_buffer(*place);
  }
  if (*stage != wire::FrameReader::Stage::complete) return true;
  auto message = wire::decode(reader_.header().kind, reader_.message());
  const auto body_bytes = static_cast<std::uint32_t>(reader_.body().size());
  reader_.reset();
  if (!message) {
    lost(message.error().detail);
    return false;
  }
  dispatch(MessageReceived{std::move(*message), body_bytes});
  return connection_ != nullptr;
}

Result<std::span<std::byte>> SimDevice::Process::place_of_body(std::uint32_t bytes) {
  const Download& download = machine_.download();
  if (machine_.task() != SessionMachine::Task::fetching ||
      bytes > download.total - download.there) {
    return fail(errc::unexpected_message, "a chunk that nobody asked for");
  }
  if (download.basis) return basis_.place(download.there, bytes);
  return model_.place(download.there, bytes);
}

void SimDevice::Process::lost(const std::string& why) {
  const bool wanted = closing_;
  let_go();
  if (!wanted) dispatch(ConnectionLost{fail(errc::connection_failed, why)});
}

void SimDevice::Process::pump() {
  while (connection_ != nullptr) {
    Pipe& to = *connection_->up;
    while (!outbox_.empty() && to.room() > 0) {
      const std::size_t bytes = std::min(to.room(), outbox_.size());
      const std::vector<std::byte> part(outbox_.begin(),
                                        outbox_.begin() + static_cast<std::ptrdiff_t>(bytes));
      outbox_.erase(outbox_.begin(), outbox_.begin() + static_cast<std::ptrdiff_t>(bytes));
      to.send(part);
    }
    if (!outbox_.empty()) return;
    if (closing_) return let_go();
    if (!body_at_ || update_ == nullptr) return;
    const std::uint64_t at = *body_at_;
    const std::uint64_t third = update_->size() / 3 / 4 * 4 + 4;
    const std::uint64_t bytes = std::min<std::uint64_t>(third, update_->size() - at);
    const auto part = std::span<const std::byte>(update_->span()).subspan(at, bytes);
    const auto head = wire::encode(wire::Chunk{at}, static_cast<std::uint32_t>(bytes));
    outbox_.insert(outbox_.end(), head->begin(), head->end());
    outbox_.insert(outbox_.end(), part.begin(), part.end());
    body_at_ = at + bytes;
    if (*body_at_ == update_->size() || lie_ == Lie::stall) body_at_.reset();
    if (lie_ == Lie::stall) lie_ = Lie::none;
    dispatch(BodyProgress{at + bytes});
  }
}

// ---- the device ----

SimDevice::SimDevice(Surroundings surroundings, DeviceTraits traits)
    : around_(std::move(surroundings)),
      traits_(std::move(traits)),
      rng_(around_.world->stream("device " + traits_.name)),
      disk_(around_.world->stream("disk " + traits_.name).next_u64()) {
  disk_.observer = [this](DiskWork work, std::uint64_t offset, std::uint64_t bytes) {
    around_.world->trace(static_cast<std::uint64_t>(work) ^ (offset << 8U) ^ (bytes << 40U));
  };
}

SimDevice::~SimDevice() = default;

void SimDevice::start() {
  CHORUS_ASSERT(process_ == nullptr);
  wall_offset_ = between(rng_, Micros(3'600'000'000), Micros(7'200'000'000));
  if (disk_.is_alive()) disk_.kill();
  process_ = std::make_shared<Process>(*this, disk_.process());
  if (process_->run()) return;
  disk_.kill();
  process_.reset();
}

void SimDevice::die() {
  if (process_ == nullptr) return;
  disk_.kill();
  process_->die();
  process_.reset();
}

void SimDevice::lose_power() {
  if (process_ == nullptr) return;
  if (Connection* const connection = process_->connection()) connection->up->vanish();
  disk_.power_cut();
  process_.reset();
}

void SimDevice::die_at(std::uint64_t work) {
  // It goes on until it comes back here; nothing that it does has any effect.
  disk_.die_at(work, [this] { around_.world->after(Micros(0), [this] { die(); }); });
}

void SimDevice::cut_off(bool is) {
  cut_off_ = is;
  if (process_ != nullptr) process_->hold(is);
}

void SimDevice::break_connection() {
  if (process_ != nullptr && process_->connection() != nullptr) process_->connection()->reset();
}

void SimDevice::lose_connection_silently() {
  if (process_ == nullptr || process_->connection() == nullptr) return;
  process_->connection()->up->vanish();
  process_->connection()->down->vanish();
}

void SimDevice::read_slowly(Micros each) {
  reads_each_ = each;
}

}  // namespace chorus::sim
