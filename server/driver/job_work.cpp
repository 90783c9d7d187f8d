// The work behind a job's actions: what blocks runs on the store thread or the compute pool, and
// every end is told to the machine.
#include <algorithm>
#include <limits>
#include <utility>

#include "common/base/limits.hpp"
#include "common/base/log.hpp"
#include "common/base/try.hpp"
#include "common/crypto/digest.hpp"
#include "common/net/async.hpp"
#include "server/compress/round_basis.hpp"
#include "server/driver/audit_log.hpp"
#include "server/driver/combine.hpp"
#include "server/driver/fail_point.hpp"
#include "server/driver/job_runner.hpp"
#include "server/driver/parallel.hpp"

namespace chorus::server {

namespace asio = boost::asio;

namespace {

constexpr auto kStorePause = std::chrono::milliseconds(1);

/// Counts a coroutine from its start to its end, however it ends: also if it never runs.
class Counted {
 public:
  /// @param count  a part of `owner`
  Counted(std::shared_ptr<const void> owner, unsigned& count)
      : owner_(std::move(owner)), count_(&count) {
    ++count;
  }
  Counted(Counted&& other) noexcept
      : owner_(std::move(other.owner_)), count_(std::exchange(other.count_, nullptr)) {}
  Counted& operator=(Counted&&) = delete;
  ~Counted() { end(); }
  void end() {
    if (unsigned* const count = std::exchange(count_, nullptr)) --*count;
  }

 private:
  std::shared_ptr<const void> owner_;
  unsigned* count_;
};

}  // namespace

void JobRunner::spawn(asio::awaitable<void> work, const char* what, bool JobRunner::*busy) {
  auto guarded = [](std::shared_ptr<JobRunner> self,
                    Counted counted,
                    asio::awaitable<void> body,
                    std::string doing,
                    bool JobRunner::*flag) -> asio::awaitable<void> {
    std::optional<Failure> thrown;
    try {
      co_await std::move(body);
    } catch (...) {
      thrown = net::failure_of_exception().during(doing);
    }
    counted.end();
    if (thrown) {
      self->forget_busy(flag);
      self->trouble_ = std::move(thrown);
    }
    self->degrade_if_troubled();
  };
  const auto job = shared_from_this();
  auto running = guarded(job, Counted(job, in_flight_), std::move(work), what, busy);
  net::spawn(context_.control, std::move(running), what);
}

Result<std::unique_ptr<RoundJournal>> JobRunner::open_journal(
    RoundId round, RoundJournal::Recovered& found) const {
  JournalOptions options;
  options.name = row_.job.value + "/" + std::to_string(round.value);
  options.segment_bytes = context_.journal_segment_bytes;
  options.sync = context_.durable;
  options.spares = context_.spare_segments;
  options.disk = context_.disk;
  return RoundJournal::open(context_.journal_folder / options.name, options, found);
}

LaneBounds JobRunner::lane_bounds(const codec::UpdateForm& form) const {
  return LaneBounds{
      machine_.invited(), strategy_->weight_max(), form.lane_value_max(config_.limits.value_max)};
}

Result<void> JobRunner::make_lane(Work& work, std::optional<LaneCheckpoint> checkpoint) {
  const bool all_at_once = strategy_->set_rule() != nullptr;
  const LaneBounds bounds = lane_bounds(*work.form);
  const std::uint64_t elements = work.form->lane_elements();
  const auto fits = [&](const Sums& sums) {
    return sums.lane ? !checkpoint && sums.lane->sums().size() == elements : all_at_once;
  };
  if (spare_sums_ && !fits(*spare_sums_)) spare_sums_.reset();
  if (spare_sums_) {
    work.sums = std::exchange(spare_sums_, std::nullopt);
    return all_at_once ? Result<void>() : work.sums->lane->restart(work.form, bounds);
  }
  const std::uint64_t folding = context_.compute_threads * fold_bytes(*work.form);
  // Directions as they travel, as numbers, and those of the next round.
  const std::uint64_t shared = 3 * sizeof(float) * work.form->basis_elements();
  const std::uint64_t bytes = all_at_once
                                  ? combine_bytes(context_, *work.form, config_.round.pace.goal)
                                  : elements * sizeof(std::int64_t) + folding + shared;
  auto memory = context_.memory->take(bytes);
  if (!memory) {
    return fail(errc::busy,
                "a round of job '" + row_.job.value + "' needs " + std::to_string(bytes) +
                    " bytes for its " + (all_at_once ? "updates side by side" : "sums") + ", and " +
                    std::to_string(context_.memory->budget() - context_.memory->granted()) +
                    " of limits.memory_budget are left: raise it, or pause another job");
  }
  std::optional<Lane> lane;
  if (!all_at_once) {
    CHORUS_TRY(lane,
               checkpoint ? Lane::restore(std::move(*checkpoint), work.form, bounds)
                          : Lane::create(work.form, bounds));
  }
  work.sums.emplace(Sums{std::move(memory), std::move(lane)});
  return {};
}

asio::awaitable<Result<void>> JobRunner::load_base(Sha256 version) {
  auto open = [this, version] { return context_.versions->open_version(version); };
  CHORUS_CO_TRY(base_, co_await net::run_on(context_.store, std::move(open)));
  co_return Result<void>();
}

// ---- opening ----

asio::awaitable<void> JobRunner::open_round(OpenRound action) {
  work_.reset();  // after a failed attempt it would hold the memory that this one needs
  auto work = std::make_shared<Work>();
  work->round = action.round;
  work->traffic = traffic_;
  work->cohort = action.cohort;
  work->opened_at = context_.now();
  auto made = co_await codecs_.renew(work->round, base_);
  if (made) {
    made = [this, &work]() -> Result<void> {
      CHORUS_TRY(work->form, codecs_.form_of(work->round));
      return make_lane(*work, std::nullopt);
    }();
  }
  if (!made) {
    feed(StoreFailed{made.error().to_string()});
    co_return;
  }
  work_ = work;
  const RoundRow row = round_row(RoundState::open, "");
  JobDifferences::State differences;
  auto store = [this, &work, &row, &differences]() -> Result<void> {
    CHORUS_TRY(differences, differences_.renewed(work->round));
    RoundJournal::Recovered nothing;
    CHORUS_TRY(work->journal, open_journal(work->round, nothing));
    CHORUS_FAIL_POINT("open.before_ledger");
    CHORUS_TRY(const auto open, context_.ledger->open_round_of(row.job));
    if (open && open->round == row.round && open->cohort == row.cohort) return {};  // tried again
    return context_.ledger->open_round(row);
  };
  const auto stored = co_await net::run_on(context_.store, std::move(store));
  if (!stored) {
    feed(StoreFailed{stored.error().to_string()});
    co_return;
  }
  differences_.follow(std::move(differences));
  CHORUS_FAIL_POINT("open.after_ledger");
  feed(RoundOpened{action.round});
}

// ---- accepting ----

asio::awaitable<void> JobRunner::commit_updates() {
  while (!to_commit_.empty()) {
    const std::vector<ClientId> batch = std::exchange(to_commit_, {});
    const auto journal = work_->journal;
    auto commit = [&journal, &batch] {
      CHORUS_FAIL_POINT("commit.before_journal");
      return journal->commit(batch);
    };
    const auto committed = co_await net::run_on(context_.store, std::move(commit));
    if (!committed) {
      committing_ = false;
      to_commit_.clear();  // the machine asks again for all of them
      commit_asked_.clear();
      feed(StoreFailed{committed.error().to_string()});
      co_return;
    }
    for (const ClientId& client : batch) commit_asked_.erase(client);
    CHORUS_FAIL_POINT("commit.after_journal");
    feed(UpdatesCommitted{batch});
    CHORUS_FAIL_POINT("commit.after_acknowledge");
  }
  committing_ = false;
}

asio::awaitable<void> JobRunner::fold_updates() {
  while (!to_fold_.empty()) {
    choose_batch();
    const auto folded = co_await fold_batch();
    if (!folded) {
      folding_ = false;
      to_fold_.clear();  // the machine asks again for all of them
      fold_asked_.clear();
      feed(StoreFailed{folded.error().to_string()});
      co_return;
    }
    const std::vector<ClientId> clients = std::move(work_->batch->clients);
    work_->batch.reset();
    if (const auto kept = co_await checkpoint_if_large(); !kept) {
      // Nothing is lost, the bodies are still there; the next batch tries again.
      spdlog::warn("job {}: writing a checkpoint: {}", row_.job.value, kept.error().to_string());
    }
    for (const ClientId& client : clients) fold_asked_.erase(client);
    feed(UpdatesFolded{clients});
  }
  folding_ = false;
}

// The next updates, or those that a failure left half folded.
void JobRunner::choose_batch() {
  if (!work_->batch) {
    const auto count = static_cast<std::ptrdiff_t>(std::min(to_fold_.size(), limits::kFoldBatch));
    work_->batch.emplace();
    work_->batch->clients.assign(to_fold_.begin(), to_fold_.begin() + count);
    const auto& lane = work_->sums->lane;
    if (lane) work_->batch->left = lane->shards(context_.compute_threads);
  }
  const auto& chosen = work_->batch->clients;
  std::erase_if(to_fold_, [&chosen](const ClientId& client) {
    return std::find(chosen.begin(), chosen.end(), client) != chosen.end();
  });
}

// Without a lane updates that can be opened stay where they are until all are combined.
asio::awaitable<Result<void>> JobRunner::fold_batch() {
  const auto work = work_;
  FoldBatch& batch = *work->batch;
  std::vector<Contribution> updates;
  auto open = [&work, &batch, &updates]() -> Result<void> {
    for (const ClientId& client : batch.clients) {
      CHORUS_TRY(auto reader, work->journal->reader(client));
      CHORUS_TRY(auto body, UpdateBody::open(std::move(reader), *work->form));
      updates.push_back(Contribution{std::make_shared<const UpdateBody>(std::move(body)),
                                     work->weights.at(client)});
    }
    return {};
  };
  CHORUS_CO_OK(co_await net::run_on(context_.store, std::move(open)));
  if (auto& lane = work->sums->lane) {
    auto fold = [&lane, &updates, &batch](std::size_t shard) {
      return lane->fold(updates, batch.left[shard]);
    };
    CHORUS_CO_OK(co_await run_parts(context_, batch.left.size(), std::move(fold)));
    lane->count_weights(updates);
  }
  for (const ClientId& client : batch.clients) work->folded.push_back(work->metas.at(client));
  CHORUS_FAIL_POINT("fold.after");
  co_return Result<void>();
}

asio::awaitable<Result<void>> JobRunner::checkpoint_if_large() {
  const auto work = work_;
  if (!work->sums->lane) co_return Result<void>();
  auto checkpoint = [this, &work]() -> Result<void> {
    const std::uint64_t due = work->kept_bytes + context_.checkpoint_after_bytes;
    if (work->journal->disk_bytes() < due) return {};
    CHORUS_FAIL_POINT("checkpoint.before");
    const Lane& lane = *work->sums->lane;
    CHORUS_OK(work->journal->write_checkpoint(
        work->folded, lane.scale(), lane.denominator(), lane.sums()));
    work->kept_bytes = work->journal->disk_bytes();  // segments with unfinished uploads stay
    return {};
  };
  auto done = co_await net::run_on(context_.store, std::move(checkpoint));
  co_return done;
}

// ---- publishing ----

asio::awaitable<void> JobRunner::finalise_round(FinaliseRound action) {
  const auto version = co_await write_version();
  if (!version) {
    feed(StoreFailed{version.error().to_string()});
    co_return;
  }
  CHORUS_FAIL_POINT("finalise.after_commit");
  feed(RoundFinalised{action.round, version->sha256});
}

asio::awaitable<Result<VersionInfo>> JobRunner::write_version() {
  const auto work = work_;
  auto begin = [this, &work] { return downlink_.begin(work->round, base_); };
  CHORUS_CO_TRY(auto writer, co_await net::run_on(context_.compute, std::move(begin)));
  const auto from = downlink_.going_on_from(base_);
  NextModel next(*strategy_, *from, writer.version());
  std::unique_ptr<SentMean> sent;
  if (differences_.used()) {
    auto open = [this, &work] { return differences_.begin(work->round, work->folded); };
    CHORUS_CO_TRY(sent, co_await net::run_on(context_.store, std::move(open)));
  }
  if (const auto& lane = work->sums->lane) {
    OnMean on_mean;
    if (sent != nullptr) on_mean = [&sent](std::span<float> mean) { return sent->apply(mean); };
    auto fill = [&lane, &next, &on_mean, &work]() -> Result<void> {
      CHORUS_OK(append_mean(*lane, next, on_mean));
      if (work->form->basis_elements() > 0) work->basis = codec::to_bytes(basis_after(*lane));
      return {};
    };
    CHORUS_CO_OK(co_await net::run_on(context_.compute, std::move(fill)));
  } else {
    auto open = [&work] { return open_updates(*work->journal, work->form, work->folded); };
    CHORUS_CO_TRY(const auto updates, co_await net::run_on(context_.store, std::move(open)));
    CHORUS_CO_OK(co_await combine_updates(context_, *strategy_->set_rule(), *updates, next));
  }
  auto commit = [&writer, &work, &sent]() -> Result<VersionInfo> {
    CHORUS_FAIL_POINT("finalise.before_commit");
    CHORUS_TRY(const VersionInfo written, writer.version().commit());
    CHORUS_FAIL_POINT("finalise.before_change");
    CHORUS_TRY(work->change, writer.commit_change());
    if (sent != nullptr) {
      CHORUS_TRY(work->sent, sent->commit());
    }
    return written;
  };
  auto version = co_await net::run_on(context_.compute, std::move(commit));
  co_return version;
}

asio::awaitable<void> JobRunner::publish_round(PublishRound action) {
  const auto work = work_;
  RoundRow row = round_row(RoundState::published, "");
  row.version = action.version;
  row.closed_at = context_.now();
  const std::vector<ReceiptRow> parts = receipts();
  JobDownlink::State downlink;
  JobDifferences::State differences;
  auto publish = [this, &row, &parts, &work, &downlink, &differences]()
      -> Result<std::shared_ptr<const VersionReader>> {
    CHORUS_TRY(auto reader, context_.versions->open_version(*row.version));
    VersionRow version;
    version.sha256 = *row.version;
    version.job = row.job;
    version.round = row.round;
    version.bytes = reader->info().bytes;
    version.parameters = reader->layout().parameters;
    version.created_at = *row.closed_at;
    version.change = work->change;
    version.sent = work->sent;
    version.next_basis = work->basis;
    CHORUS_FAIL_POINT("publish.before_ledger");
    CHORUS_OK(context_.ledger->publish_round(row, version, parts));
    CHORUS_FAIL_POINT("publish.after_ledger");
    CHORUS_TRY(downlink, downlink_.stored(false));
    CHORUS_TRY(differences, differences_.after(work->round, work->folded));
    return reader;
  };
  auto published = co_await net::run_on(context_.store, std::move(publish));
  if (!published) {
    feed(StoreFailed{published.error().to_string()});
    co_return;
  }
  base_ = std::move(*published);
  row_.current_version = action.version;
  row_.last_round = action.round;
  traffic_ = std::make_shared<RoundTraffic>();
  spdlog::info("job {}: round {} published {} from {} updates ({} rejected, {} discarded)",
               row_.job.value,
               row.round.value,
               hex(action.version).substr(0, 12),
               row.accepted,
               row.rejected,
               row.discarded);
  downlink_.follow(downlink);
  differences_.follow(std::move(differences));
  auto tidy = [this, &work, &downlink]() -> Result<void> {
    CHORUS_OK(work->journal->remove());
    CHORUS_OK(downlink_.prune(downlink));
    CHORUS_OK(differences_.prune(work->round));
    return remove_old_versions();
  };
  spare_sums_ = std::exchange(work->sums, std::nullopt);
  feed(RoundPublished{action.round});
  const auto tidied = co_await net::run_on(context_.store, std::move(tidy));
  if (!tidied) spdlog::warn("removing what a round leaves: {}", tidied.error().to_string());
}

// The file first: a crash in between leaves a row whose file is gone already, and the next round
// finds it again.
Result<void> JobRunner::remove_old_versions() const {
  if (config_.keep_versions == 0) return {};
  CHORUS_TRY(const auto surplus,
             context_.ledger->surplus_versions(row_.job, config_.keep_versions));
  for (const VersionRow& version : surplus) {
    CHORUS_TRY(const bool shared, context_.ledger->shares_file(version));
    if (!shared) {
      const auto removed = context_.versions->remove(version.sha256);
      if (!removed && removed.error().code != errc::not_found) return removed;
    }
    CHORUS_OK(context_.ledger->set_version_removed(row_.job, version.round));
  }
  return {};
}

asio::awaitable<void> JobRunner::abandon_round(AbandonRound action) {
  const auto work = work_;
  // Updates on their way to the disk must have arrived before their journal goes.
  while (committing_ || folding_) (void)co_await net::sleep_for(kStorePause);
  RoundRow row = round_row(RoundState::abandoned, action.why);
  row.closed_at = context_.now();
  const std::vector<ReceiptRow> parts = receipts();
  const bool told =
      machine_.count(MemberState::accepted) > 0 || machine_.count(MemberState::committing) > 0;
  if (told && differences_.used()) {
    context_.audit->add("chorusd",
                        "differences_anew",
                        row_.job.value + ": round " + std::to_string(row.round.value) +
                            " was abandoned after devices had been told that they are accepted");
  }
  auto abandon = [this, &row, &parts, &work, told]() -> Result<void> {
    if (told) CHORUS_OK(differences_.begin_anew(RoundId{row.round.value + 1}));
    CHORUS_OK(context_.ledger->abandon_round(row, parts));
    if (const auto removed = work->journal->remove(); !removed) {
      spdlog::warn("removing a closed round's journal: {}", removed.error().to_string());
    }
    return {};
  };
  const auto abandoned = co_await net::run_on(context_.store, std::move(abandon));
  abandoning_ = false;
  if (!abandoned) {
    feed(StoreFailed{abandoned.error().to_string()});
    co_return;
  }
  row_.last_round = action.round;
  traffic_ = std::make_shared<RoundTraffic>();
  spdlog::warn("job {}: round {} abandoned: {}", row_.job.value, action.round.value, action.why);
  spare_sums_ = std::exchange(work->sums, std::nullopt);
  feed(RoundAbandoned{action.round});
}

asio::awaitable<void> JobRunner::begin_differences() {
  const RoundId first{std::max(row_.last_round, machine_.round()).value + 1};
  auto begin = [this, first] { return differences_.begin_anew(first); };
  const auto begun = co_await net::run_on(context_.store, std::move(begin));
  if (!begun) trouble_ = begun.error();
}

asio::awaitable<void> JobRunner::record_evaluation(RecordEvaluation action) {
  auto record = [this, &action] {
    return context_.ledger->add_round_metrics(
        row_.job, action.round, action.evaluated, action.metrics);
  };
  const auto recorded = co_await net::run_on(context_.store, std::move(record));
  if (!recorded) spdlog::error("storing an evaluation: {}", recorded.error().to_string());
  tell_watchers();
}

asio::awaitable<void> JobRunner::store_job_state(JobState state, std::string why) {
  auto write = [this, state, &why]() -> Result<void> {
    CHORUS_OK(context_.ledger->set_job_state(row_.job, state, why));
    const bool over = state == JobState::finished || state == JobState::stopped;
    if (!over) return {};
    CHORUS_OK(downlink_.remove_all());
    CHORUS_OK(context_.ledger->remove_round_basis(row_.job));
    return differences_.prune(RoundId{std::numeric_limits<std::uint64_t>::max()});
  };
  const auto written = co_await net::run_on(context_.store, std::move(write));
  if (!written) spdlog::error("storing a job's state: {}", written.error().to_string());
  if (state == JobState::degraded) context_.audit->add("chorusd", "job_degraded", why);
  tell_watchers();
}

}  // namespace chorus::server
