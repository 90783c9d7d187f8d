#include "tests/unit/server/round/world.hpp"

#include <algorithm>
#include <cmath>

namespace chorus::server::test {
namespace {

constexpr std::uint64_t kDevices = 8;

}  // namespace

RoundConfig World::draw_config(Rng& rng) {
  RoundConfig config;
  config.job = JobId{"job"};
  config.seed = rng.next_u64();
  config.rounds = 2 + rng.below(4);
  config.pace.cohort = static_cast<std::uint32_t>(2 + rng.below(4));
  config.pace.over_select = rng.below(2) == 0 ? 1.0 : 1.5;
  const auto invited = static_cast<std::uint64_t>(
      std::ceil(static_cast<double>(config.pace.cohort) * config.pace.over_select));
  config.pace.goal = static_cast<std::uint32_t>(1 + rng.below(invited));
  config.pace.min_reports = static_cast<std::uint32_t>(1 + rng.below(config.pace.goal));
  if (rng.below(4) != 0) config.pace.deadline = Duration(500 + static_cast<int>(rng.below(5000)));
  if (rng.below(2) != 0) config.pace.grace = Duration(200);
  if (rng.below(2) != 0) config.pace.selection_deadline = Duration(300);
  config.evaluation.fraction = rng.below(3) == 0 ? 0.0 : 0.5;
  config.evaluation.every = static_cast<std::uint32_t>(1 + rng.below(2));
  config.evaluation.deadline = Duration(400);
  return config;
}

World::World(std::uint64_t seed)
    : rng_(seed), config_(draw_config(rng_)), calm_(TimePoint(30s)), limit_(TimePoint(600s)) {
  machine_.emplace(config_, uniform());
  for (std::uint64_t i = 0; i < kDevices; ++i) {
    const ClientId client = id("d" + std::to_string(i));
    devices_[client] = {};
    plan_for(client, delay(500), [this, client] { connect(client); });
  }
  plan(1s, [this] { operate(); });
}

bool World::run() {
  const auto over = [this] {
    const JobPhase phase = machine_->job_phase();
    return phase == JobPhase::finished || phase == JobPhase::stopped;
  };
  while (!over() && now_ < limit_ && violations_.empty()) {
    std::optional<TimePoint> wake = machine_->next_wakeup();
    if (wake) wake = std::max(*wake, now_ + 1ms);
    if (wake && (queue_.empty() || *wake < queue_.begin()->first.first)) {
      now_ = *wake;
      feed(Tick{});
      continue;
    }
    if (queue_.empty()) break;
    auto next = queue_.extract(queue_.begin());
    now_ = std::max(now_, next.key().first);
    next.mapped()();
  }
  return over();
}

void World::plan(Duration after, std::function<void()> what) {
  queue_.emplace(std::pair(now_ + after, sequence_++), std::move(what));
}

void World::plan_for(const ClientId& client, Duration after, std::function<void()> what) {
  const std::uint64_t turn = devices_.at(client).turn;
  plan(after, [this, client, turn, what = std::move(what)] {
    if (devices_.at(client).turn == turn) what();
  });
}

void World::require(bool holds, const std::string& what) {
  if (!holds) violations_.push_back(what);
}

// ---- devices ----

void World::connect(const ClientId& client) {
  Device& device = devices_.at(client);
  device.connected = true;
  if (fault(0.5)) plan(delay(3000), [this, client] { disconnect(client); });
  if (device.result && !fault(0.3)) {
    make_offer(client);
    return;
  }
  device.result.reset();
  feed(DeviceReady{client});
  if (fault(0.05)) feed(DeviceReady{client});
}

void World::disconnect(const ClientId& client) {
  Device& device = devices_.at(client);
  if (!device.connected) return;
  device.connected = false;
  device.uploading.reset();
  ++device.turn;
  plan_for(client, delay(2000), [this, client] { connect(client); });
  feed(DeviceLeft{client});
}

void World::set_free(const ClientId& client) {
  Device& device = devices_.at(client);
  device.result.reset();
  device.uploading.reset();
  ++device.turn;
  if (!device.connected) {
    plan_for(client, delay(2000), [this, client] { connect(client); });
    return;
  }
  plan_for(client, delay(50), [this, client] { feed(DeviceReady{client}); });
}

void World::make_offer(const ClientId& client) {
  const std::uint64_t round = *devices_.at(client).result;
  const std::uint64_t asked = fault(0.03) ? round + 1 : round;  // a confused device
  const Examples examples{1 + rng_.below(100)};
  feed(OfferMade{client, RoundId{asked}, examples});
  if (fault(0.1)) feed(OfferMade{client, RoundId{asked}, examples});
}

void World::end_upload(const ClientId& client, std::uint64_t round) {
  Device& device = devices_.at(client);
  if (device.uploading != round) return;
  device.uploading.reset();
  if (fault(0.1)) {
    feed(UploadFailed{client, RoundId{round}, true, "a NaN"});
    set_free(client);
  } else if (fault(0.1)) {
    feed(UploadFailed{client, RoundId{round}, false, "cut off"});
    plan_for(client, delay(200), [this, client] {
      if (devices_.at(client).result) make_offer(client);
    });
  } else {
    feed(UploadComplete{client, RoundId{round}});
  }
}

// ---- the store ----

// What it does and its answer are two moments: a crash may fall between them; and it may fail
// before or after the deed.
void World::store(Duration after, const std::function<void()>& effect, const Event& answer) {
  const bool early = chance(0.5);
  const bool fails = fault(0.08);
  const bool done = !fails || chance(0.3);
  if (early && done) effect();
  plan(after, [this, early, fails, done, effect, answer] {
    if (!early && done) effect();
    if (!fails) {
      feed(answer);
      return;
    }
    ++failures_;
    committing_.clear();
    feed(StoreFailed{"the disk"});
  });
}

void World::crash() {
  ++crashes_;
  trace_.emplace_back("--- crash ---");
  queue_.clear();
  committing_.clear();
  folding_.clear();
  finalised_.reset();
  abandoning_ = false;
  lane_ = checkpoint_;
  machine_.emplace(config_, uniform());
  RestoredJob job;
  job.phase = stored_phase_;
  job.last_round = RoundId{last_round_};
  if (open_) {
    RestoredRound round;
    round.round = RoundId{open_->round};
    round.cohort = open_->cohort;
    for (const auto& [client, examples] : journal_) round.accepted.push_back(client);
    round.folded.assign(checkpoint_.begin(), checkpoint_.end());
    round.examples = journal_;
    job.open = std::move(round);
  } else if (published_.contains(last_round_) && !evaluated_ && config_.evaluation.fraction > 0.0) {
    const auto& accepted = published_.at(last_round_);
    job.to_evaluate.assign(accepted.begin(), accepted.end());
  }
  for (auto& [client, device] : devices_) {
    device.connected = false;
    device.uploading.reset();
    ++device.turn;
    plan_for(client, delay(2000), [this, client = client] { connect(client); });
  }
  plan(1s, [this] { operate(); });
  const auto restored = machine_->restore(job, now_);
  const std::vector<Action> actions(restored.begin(), restored.end());
  perform_all(actions);
}

// The administrator, and now and then a power cut.
void World::operate() {
  if (fault(0.1)) {
    crash();
    return;
  }
  plan(1s, [this] { operate(); });
  const JobPhase phase = machine_->job_phase();
  if (phase == JobPhase::degraded || phase == JobPhase::paused || machine_->pausing()) {
    feed(JobCommand{JobVerb::resume});
  } else if (fault(0.1)) {
    constexpr JobVerb kVerbs[] = {JobVerb::pause, JobVerb::abort_round, JobVerb::finish_round};
    feed(JobCommand{kVerbs[rng_.below(3)]});
  }
}

// ---- actions ----

void World::feed(const Event& event) {
  ++events_;
  const auto actions = machine_->step(event, now_);
  const std::vector<Action> todo(actions.begin(), actions.end());
  perform_all(todo);
}

void World::perform_all(std::span<const Action> actions) {
  for (const Action& action : actions) {
    trace_.push_back(describe(action));
    std::visit([this](const auto& a) { perform(a); }, action);
  }
}

void World::perform(const OpenRound& action) {
  const std::uint64_t round = action.round.value;
  require(!published_.contains(round) && !abandoned_.contains(round), "a closed round opens again");
  require(round == last_round_ + 1, "rounds are not in line");
  require(action.cohort.size() >= config_.pace.min_reports, "a cohort too small to publish");
  require(action.cohort.size() <= machine_->invited(), "a cohort too large");
  require(std::is_sorted(action.cohort.begin(), action.cohort.end()), "an unsorted cohort");
  for (const ClientId& client : action.cohort) {
    // When the opening is repeated some may have left; at first everybody is there.
    if (!open_ && machine_->members().at(client).connected) {
      require(devices_.at(client).connected, "a device that is not there is invited");
    }
  }
  const auto effect = [this, round, cohort = action.cohort] {
    if (open_ && open_->round == round) return;
    open_ = Open{round, cohort};
    journal_.clear();
    checkpoint_.clear();
    lane_.clear();
  };
  store(delay(20), effect, RoundOpened{action.round});
}

void World::perform(const SendWork& action) {
  Device& device = devices_.at(action.client);
  require(device.connected, "work for a device that is not connected");
  if (action.kind == TaskKind::train) {
    require(open_ && open_->round == action.round.value, "work of a round that is not open");
    require(!journal_.contains(action.client), "work for a device whose update is accepted");
  } else {
    require(published_.contains(action.round.value), "evaluation of an unpublished version");
  }
  ++device.turn;
  const RoundId round = action.round;
  const ClientId client = action.client;
  plan_for(client, delay(800), [this, client, round, kind = action.kind] {
    if (fault(0.1)) {
      feed(TaskDeclined{client, kind, round, "cannot"});
      set_free(client);
    } else if (kind == TaskKind::evaluate) {
      feed(EvaluationReported{client, round, Examples{1 + rng_.below(50)}, {{"loss", 1.0}}});
    } else {
      devices_.at(client).result = round.value;
      make_offer(client);
    }
  });
}

void World::perform(const TakeUpload& action) {
  Device& device = devices_.at(action.client);
  if (device.uploading == action.round.value) return;  // the offer was repeated
  device.uploading = action.round.value;
  const std::uint64_t round = action.round.value;
  const ClientId client = action.client;
  plan_for(client, delay(400), [this, client, round] { end_upload(client, round); });
}

void World::perform(const ConfirmAccepted& action) {
  if (action.kind == TaskKind::train) {
    const std::uint64_t round = action.round.value;
    const bool durable =
        (open_ && open_->round == round && journal_.contains(action.client)) ||
        (published_.contains(round) && published_.at(round).contains(action.client)) ||
        abandoned_.contains(round);
    require(durable, "acknowledged before it is durable");
  }
  set_free(action.client);
}

void World::perform(const CommitUpdate& action) {
  const ClientId client = action.client;
  if (!committing_.insert(client).second) return;
  const Examples examples = machine_->members().at(client).examples;
  const auto effect = [this, client, examples] { journal_[client] = examples; };
  // Each commit answers for itself, or is asked for again after a failure.
  const bool early = chance(0.5);
  const bool fails = fault(0.05);
  if (early && !fails) effect();
  plan(delay(60), [this, client, effect, early, fails] {
    if (committing_.erase(client) == 0) return;
    if (fails) {
      ++failures_;
      feed(StoreFailed{"the journal"});
      return;
    }
    if (!early) effect();
    feed(UpdatesCommitted{{client}});
  });
}

void World::perform(const FoldUpdate& action) {
  const ClientId client = action.client;
  require(!lane_.contains(client), "folded twice: " + client.value);
  require(journal_.contains(client), "folded before it is durable: " + client.value);
  if (!folding_.insert(client).second) return;
  const bool fails = fault(0.05);
  plan(delay(60), [this, client, fails] {
    if (folding_.erase(client) == 0) return;
    if (fails) {
      ++failures_;
      feed(StoreFailed{"a body"});
      return;
    }
    lane_.insert(client);
    if (chance(0.3)) checkpoint_ = lane_;
    feed(UpdatesFolded{{client}});
  });
}

void World::perform(const CancelTask& action) {
  const ClientId client = action.client;
  const auto uploading = devices_.at(client).uploading;
  if (uploading && chance(0.5)) return;  // it does not see the message in time
  if (uploading) feed(UploadFailed{client, RoundId{*uploading}, false, "given up"});
  set_free(client);
}

void World::perform(const FinaliseRound& action) {
  require(open_ && open_->round == action.round.value, "finalising a round that is not open");
  std::set<ClientId> durable;
  for (const auto& [client, examples] : journal_) durable.insert(client);
  require(lane_ == durable, "finalising before every accepted update is folded");
  require(lane_.size() >= config_.pace.min_reports, "finalising too few updates");
  require(lane_.size() <= config_.pace.goal, "finalising more updates than the goal");
  const auto effect = [this, round = action.round.value] { finalised_ = round; };
  store(delay(40), effect, RoundFinalised{action.round, Sha256{}});
}

void World::perform(const PublishRound& action) {
  const std::uint64_t round = action.round.value;
  require(finalised_ == round, "publishing what was not finalised");
  require(!abandoned_.contains(round), "publishing an abandoned round");
  const auto effect = [this, round] {
    if (published_.contains(round)) return;
    published_[round] = lane_;
    last_round_ = round;
    evaluated_ = false;
    open_.reset();
  };
  // Published but not told: only a repeated publication follows, of the same round.
  const bool fails = fault(0.08);
  plan(delay(40), [this, effect, fails, round] {
    if (fails) {
      ++failures_;
      feed(StoreFailed{"the ledger"});
      return;
    }
    effect();
    if (faulty() && chance(0.05)) {
      crash();
      return;
    }
    feed(RoundPublished{RoundId{round}});
  });
}

void World::perform(const AbandonRound& action) {
  require(open_ && open_->round == action.round.value, "abandoning a round that is not open");
  require(!action.why.empty(), "abandoning without saying why");
  if (std::exchange(abandoning_, true)) return;  // asked for again while it is under way
  try_abandon(action);
}

// As the driver does: what is on its way to the disk arrives first.
void World::try_abandon(const AbandonRound& action) {
  if (!committing_.empty() || !folding_.empty()) {
    plan(1ms, [this, action] { try_abandon(action); });
    return;
  }
  const std::uint64_t round = action.round.value;
  const auto effect = [this, round] {
    if (!open_ || open_->round != round) return;
    abandoned_.insert(round);
    last_round_ = round;
    open_.reset();
  };
  const bool fails = fault(0.08);
  plan(delay(40), [this, effect, fails, round] {
    abandoning_ = false;
    if (fails) {
      ++failures_;
      feed(StoreFailed{"the ledger"});
      return;
    }
    effect();
    feed(RoundAbandoned{RoundId{round}});
  });
}

void World::perform(const RecordEvaluation& action) {
  require(published_.contains(action.round.value), "evaluation of an unpublished round");
  require(action.evaluated <= published_[action.round.value].size(), "more reports than devices");
  if (action.evaluated > 0) evaluated_ = true;
}

void World::perform(const JobChanged& action) {
  const bool over = stored_phase_ == JobPhase::finished;
  require(!over, "a finished job changes its state");
  stored_phase_ = action.phase;
}

}  // namespace chorus::server::test
