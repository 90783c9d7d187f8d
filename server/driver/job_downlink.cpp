#include "server/driver/job_downlink.hpp"

#include <limits>
#include <string>
#include <utility>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "server/round/round_key.hpp"

namespace chorus::server {

std::uint64_t JobDownlink::seed_of(RoundId round) const {
  return round_key(config_.round, "downlink", round);
}

Result<std::vector<PlanLine>> JobDownlink::lines() const {
  if (!config_.down) return plan_lines(TrainPlan{}, layout_, {});
  return plan_lines(codec::plan_of(steps_of(*config_.down, config_.train), 0), layout_, {});
}

std::shared_ptr<const VersionReader> JobDownlink::going_on_from(
    std::shared_ptr<const VersionReader> version) const {
  return rest_ == nullptr ? version : with_rest(std::move(version), rest_);
}

Result<JobDownlink::Writer> JobDownlink::begin(RoundId round,
                                               std::shared_ptr<const VersionReader> base) const {
  Writer writer;
  CHORUS_TRY(writer.plain_, context_.versions->begin(config_.model, config_.train.normalise));
  if (!config_.down) return writer;
  const auto steps = steps_of(*config_.down, config_.train);
  CHORUS_TRY(auto form, codec::form_of(steps, seed_of(round), layout_));
  CHORUS_TRY(auto change, context_.changes->begin(config_.round.job, round, form.table_bytes()));
  if (config_.down->sends == Downlink::Sends::model) base.reset();
  writer.coded_ =
      std::make_unique<DownlinkWriter>(std::make_shared<const codec::UpdateForm>(std::move(form)),
                                       std::move(base),
                                       std::move(writer.plain_),
                                       std::move(change));
  return writer;
}

// Without its rest a version is a model all the same, which is what there is to go on from after a
// backup that had none.
Result<std::shared_ptr<const RestReader>> JobDownlink::rest_of(const VersionRow& version,
                                                               bool verify,
                                                               std::string& lost) const {
  const auto open = [&]() -> Result<std::shared_ptr<const RestReader>> {
    CHORUS_TRY(auto rest,
               context_.changes->open_rest(version.job, version.round, layout_.parameters));
    if (verify) CHORUS_OK(rest->verify(version.change.rest));
    return rest;
  };
  auto rest = open();
  if (rest) return rest;
  const errc code = rest.error().code;
  if (code != errc::not_found && code != errc::corrupt_data) return rest;
  lost = rest.error().to_string();
  return std::shared_ptr<const RestReader>();
}

Result<JobDownlink::State> JobDownlink::stored(bool verify) const {
  State state;
  if (!config_.down) return state;
  CHORUS_TRY(const auto versions,
             context_.ledger->newest_versions(config_.round.job, limits::kVersionStepsMax + 1));
  const VersionRow& current = versions.back();  // there is always the initial one
  state.newest = current.round;
  state.oldest = RoundId{current.round.value + 1};
  if (current.change.bytes == 0) return state;  // the initial model
  const JobId& job = config_.round.job;
  CHORUS_TRY(state.rest, rest_of(current, verify, state.lost));

  // From the newest step back, as long as all of them are fewer bytes than the file.
  StepsOffer offer;
  offer.steps = steps_of(*config_.down, config_.train);
  std::uint64_t bytes = 0;
  const bool whole = config_.down->sends == Downlink::Sends::model;
  const std::size_t most = whole ? 1 : limits::kVersionStepsMax;
  for (std::size_t v = versions.size() - 1; v > 0 && offer.steps.steps.size() < most; --v) {
    const VersionRow& version = versions[v];
    bytes += version.change.bytes;
    if (version.change.bytes == 0 || bytes >= current.bytes) break;
    auto body = context_.changes->open_change(job, version.round, version.change);
    if (!body) break;  // a shorter way, or none, is as good
    codec::VersionStep step;
    if (!whole) step.base = versions[v - 1].sha256;
    step.sha256 = version.sha256;
    step.bytes = version.change.bytes;
    step.seed = seed_of(version.round);
    offer.steps.steps.insert(offer.steps.steps.begin(), step);
    offer.bodies.insert(offer.bodies.begin(), std::move(*body));
    state.oldest = version.round;
  }
  if (!offer.bodies.empty()) state.steps = std::make_shared<const StepsOffer>(std::move(offer));
  return state;
}

void JobDownlink::follow(State state) {
  steps_ = std::move(state.steps);
  rest_ = std::move(state.rest);
}

Result<void> JobDownlink::remove_all() const {
  constexpr RoundId kAll{std::numeric_limits<std::uint64_t>::max()};
  if (!config_.down) return {};
  return context_.changes->prune(config_.round.job, {.change = kAll, .rest = kAll});
}

Result<void> JobDownlink::prune(const State& state) const {
  if (!config_.down) return {};
  return context_.changes->prune(config_.round.job, {.change = state.oldest, .rest = state.newest});
}

}  // namespace chorus::server
