// Taking up a job where a former process stopped: what ledger and journal say, told to the machine.
#include <algorithm>
#include <utility>

#include "common/base/log.hpp"
#include "common/base/try.hpp"
#include "common/net/async.hpp"
#include "server/driver/audit_log.hpp"
#include "server/driver/job_runner.hpp"

namespace chorus::server {

namespace asio = boost::asio;

asio::awaitable<Result<void>> JobRunner::restore() {
  CHORUS_CO_OK(co_await load_base(row_.current_version));
  RestoredJob job;
  job.phase = static_cast<JobPhase>(static_cast<int>(row_.state) - 1);
  job.why = row_.why;
  job.last_round = row_.last_round;
  std::optional<RoundRow> open;
  JobCodecs::State codecs;
  JobDownlink::State downlink;
  JobDifferences::State differences;
  auto read = [this, &open, &codecs, &downlink, &differences, &job]() -> Result<void> {
    const bool over = row_.state == JobState::finished || row_.state == JobState::stopped;
    if (!over) {
      CHORUS_TRY(downlink, downlink_.stored(true));
    }
    CHORUS_TRY(open, context_.ledger->open_round_of(row_.job));
    CHORUS_TRY(codecs, codecs_.stored(open ? open->round : job.last_round));
    if (!over) {
      const RoundId round = open ? open->round : RoundId{job.last_round.value + 1};
      CHORUS_TRY(differences, differences_.stored(round));
    }
    if (open || job.last_round.value == 0) return {};
    CHORUS_TRY(const RoundRow last, context_.ledger->round(row_.job, job.last_round));
    if (last.state != RoundState::published || last.evaluated > 0) return {};
    CHORUS_TRY(const auto parts, context_.ledger->receipts(row_.job, job.last_round));
    for (const ReceiptRow& part : parts) {
      if (part.outcome == "accepted") job.to_evaluate.push_back(part.client);
    }
    std::sort(job.to_evaluate.begin(), job.to_evaluate.end());
    return {};
  };
  CHORUS_CO_OK(co_await net::run_on(context_.store, std::move(read)));
  codecs_.follow(std::move(codecs));
  differences_.follow(std::move(differences));
  if (!downlink.lost.empty()) {
    spdlog::warn("job {}: it goes on from the version as it is published: {}",
                 row_.job.value,
                 downlink.lost);
    context_.audit->add("chorusd", "rest_lost", row_.job.value + ": " + downlink.lost);
  }
  downlink_.follow(std::move(downlink));
  if (open) CHORUS_CO_OK(co_await restore_open_round(std::move(*open), job));
  if (config_.round.evaluation.fraction <= 0.0) job.to_evaluate.clear();
  const auto actions = machine_.restore(job, context_.now());
  const std::vector<Action> todo(actions.begin(), actions.end());
  for (const Action& action : todo) perform(action);
  arm_timer();
  co_return Result<void>();
}

asio::awaitable<Result<void>> JobRunner::restore_open_round(RoundRow row, RestoredJob& job) {
  auto work = std::make_shared<Work>();
  work->round = row.round;
  work->traffic = traffic_;
  work->cohort = row.cohort;
  work->opened_at = row.opened_at;
  CHORUS_CO_TRY(work->form, codecs_.form_of(work->round));
  RoundJournal::Recovered found;
  auto open = [this, &work, &found]() -> Result<void> {
    CHORUS_TRY(work->journal, open_journal(work->round, found));
    return {};
  };
  CHORUS_CO_OK(co_await net::run_on(context_.store, std::move(open)));

  RestoredRound restored;
  restored.round = row.round;
  restored.cohort = row.cohort;
  if (found.checkpoint) work->folded = found.checkpoint->folded;
  for (const UpdateMeta& meta : work->folded) restored.folded.push_back(meta.client);
  std::sort(restored.folded.begin(), restored.folded.end());
  std::vector<UpdateMeta> accepted = work->folded;
  accepted.insert(accepted.end(), found.committed.begin(), found.committed.end());
  for (const UpdateMeta& meta : accepted) {
    CHORUS_CO_TRY(work->weights[meta.client], check_offer(*work->form, meta));
    work->metas[meta.client] = meta;
    restored.examples[meta.client] = meta.examples;
  }
  CHORUS_CO_OK(make_lane(*work, std::move(found.checkpoint)));
  spdlog::info("job {}: round {} resumes with {} durable updates and {} unfinished uploads",
               row_.job.value,
               row.round.value,
               accepted.size(),
               found.partial.size());
  work_ = std::move(work);
  job.open = std::move(restored);
  co_return Result<void>();
}

}  // namespace chorus::server
