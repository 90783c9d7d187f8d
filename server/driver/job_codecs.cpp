#include "server/driver/job_codecs.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "chorus/kernels/kernels.hpp"
#include "common/base/log.hpp"
#include "common/base/try.hpp"
#include "common/codec/basis.hpp"
#include "common/codec/names.hpp"
#include "common/crypto/digest.hpp"
#include "common/net/async.hpp"
#include "server/round/round_key.hpp"

namespace chorus::server {

namespace asio = boost::asio;

std::optional<Compression> JobCodecs::compression_of(RoundId round) const {
  if (!config_.train.compression) return std::nullopt;
  Compression compression = *config_.train.compression;
  compression.seed = round_key(config_.round, "compression", round);
  if (!state_.plan) return compression;
  const auto table = static_cast<std::uint32_t>(state_.plan->first_round.value);
  return with_plan(std::move(compression), state_.plan->tensors, table);
}

Result<Lane::Form> JobCodecs::form_of(RoundId round) const {
  TrainPlan plan = config_.train;
  plan.compression = compression_of(round);
  const auto basis = state_.basis ? state_.basis->basis : nullptr;
  CHORUS_TRY(auto form, codec::UpdateForm::of(plan, layout_, basis));
  return std::make_shared<const codec::UpdateForm>(std::move(form));
}

Result<std::vector<PlanLine>> JobCodecs::lines() const {
  TrainPlan plan = config_.train;
  plan.compression = compression_of(since());
  const auto& made = state_.plan;
  return plan_lines(
      plan, layout_, made ? std::span(made->tensors) : std::span<const PlannedTensor>());
}

bool JobCodecs::has_basis() const noexcept {
  const auto& compression = config_.train.compression;
  return compression && codec::find_codec(*compression, codec::has_basis) != nullptr;
}

Result<JobCodecs::State> JobCodecs::stored(RoundId round) const {
  State state;
  CHORUS_TRY(const auto row, context_.ledger->codec_plan(config_.round.job, round));
  if (row) {
    CHORUS_TRY(auto tensors, plan_from_text(row->plan));
    state.plan = Plan{row->first_round, std::move(tensors)};
  }
  if (has_basis()) {
    CHORUS_TRY(state.basis, stored_basis());
  }
  return state;
}

// Null before the first round has been published.
Result<std::shared_ptr<const BasisOffer>> JobCodecs::stored_basis() const {
  CHORUS_TRY(auto bytes, context_.ledger->round_basis(config_.round.job));
  if (bytes.empty()) return std::shared_ptr<const BasisOffer>();
  CHORUS_TRY(auto basis, codec::basis_from(bytes));
  BasisOffer offer;
  offer.ref = {sha256(bytes), bytes.size()};
  offer.bytes = std::move(bytes);
  offer.basis = std::make_shared<const codec::Basis>(std::move(basis));
  return std::make_shared<const BasisOffer>(std::move(offer));
}

bool JobCodecs::due(RoundId round) const {
  if (!config_.adapt) return false;
  const std::uint64_t since = state_.plan ? state_.plan->first_round.value : 1;
  return round.value >= since + config_.adapt->every;
}

// The version whose difference to the current one is measured; null when there is none.
Result<std::shared_ptr<const VersionReader>> JobCodecs::version_before(
    const Sha256& current) const {
  const std::shared_ptr<const VersionReader> none;
  CHORUS_TRY(const auto versions, context_.ledger->versions(config_.round.job));
  std::vector<VersionRow> kept;
  std::copy_if(
      versions.begin(), versions.end(), std::back_inserter(kept), [](const VersionRow& version) {
        return version.kept;
      });
  if (kept.size() < 2) return none;
  const std::size_t back = std::min<std::size_t>(config_.adapt->window, kept.size() - 1);
  const Sha256& wanted = kept[kept.size() - 1 - back].sha256;
  if (wanted == current) return none;
  return context_.versions->open_version(wanted);
}

asio::awaitable<Result<std::vector<PlannedTensor>>> JobCodecs::measure(
    std::shared_ptr<const VersionReader> current) const {
  std::shared_ptr<const VersionReader> before;
  auto find = [this, &before, &current]() -> Result<void> {
    CHORUS_TRY(before, version_before(current->info().sha256));
    return {};
  };
  CHORUS_CO_OK(co_await net::run_on(context_.store, std::move(find)));
  if (before == nullptr) co_return std::vector<PlannedTensor>();

  auto plan = [this, &before, &current] {
    const auto change = [&before, &current](std::uint64_t first,
                                            std::span<float> into) -> Result<void> {
      std::vector<float> old(into.size());
      CHORUS_OK(before->read_parameters(first, old));
      CHORUS_OK(current->read_parameters(first, into));
      kernels::subtract_f32(into, old, into);
      return {};
    };
    return plan_codecs(config_.train, layout_, config_.adapt->budget, change);
  };
  auto tensors = co_await net::run_on(context_.compute, std::move(plan));
  co_return tensors;
}

asio::awaitable<Result<void>> JobCodecs::renew(RoundId round,
                                               std::shared_ptr<const VersionReader> current) {
  std::vector<PlannedTensor> made;
  if (due(round)) {
    auto tensors = co_await measure(std::move(current));
    if (!tensors) {
      spdlog::warn("job {}: no new plan of codecs, the present one stays: {}",
                   config_.round.job.value,
                   tensors.error().to_string());
    } else {
      made = std::move(*tensors);
    }
  }
  if (made.empty() && !has_basis()) co_return Result<void>();

  State state;
  auto keep = [this, round, &made, &state]() -> Result<void> {
    if (!made.empty()) {
      CHORUS_OK(context_.ledger->add_codec_plan({config_.round.job, round, plan_text(made)}));
    }
    CHORUS_TRY(state, stored(round));  // of a round that was begun before, what it began with
    return {};
  };
  CHORUS_CO_OK(co_await net::run_on(context_.store, std::move(keep)));
  follow(std::move(state));
  if (made.empty()) co_return Result<void>();
  std::uint64_t bytes = 0;
  for (const PlannedTensor& tensor : state_.plan->tensors) bytes += tensor.bytes;
  spdlog::info("job {}: from round {} on updates follow a new plan of codecs, {} bytes each",
               config_.round.job.value,
               round.value,
               bytes);
  co_return Result<void>();
}

}  // namespace chorus::server
