// How the updates of a job's rounds travel: the job's codecs, plans of codecs made on the way, and
// what devices share under the codec subspace.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "chorus/model.hpp"
#include "chorus/result.hpp"
#include "server/compress/codec_plan.hpp"
#include "server/config/job_config.hpp"
#include "server/driver/context.hpp"
#include "server/driver/session_link.hpp"
#include "server/update/lane.hpp"

namespace chorus::server {

/// On the control executor unless said otherwise. A round's answer never changes once it is open.
class JobCodecs {
 public:
  /// @param config  outlives it
  JobCodecs(Context& context, const JobConfig& config, const TensorLayout& layout)
      : context_(context), config_(config), layout_(layout) {}

  /// Of the newest round; none: updates are as they are.
  std::optional<Compression> compression_of(RoundId round) const;
  /// What the devices of the newest round share; null: it is drawn by them, or there is nothing.
  std::shared_ptr<const BasisOffer> basis() const noexcept { return state_.basis; }
  Result<Lane::Form> form_of(RoundId round) const;
  /// Tensor by tensor, for people.
  Result<std::vector<PlanLine>> lines() const;
  /// The round from which on the present plan is followed; 0: there is none.
  RoundId since() const noexcept { return state_.plan ? state_.plan->first_round : RoundId{}; }

  struct Plan {
    RoundId first_round;
    std::vector<PlannedTensor> tensors;
  };
  struct State {
    std::optional<Plan> plan;
    std::shared_ptr<const BasisOffer> basis;
  };
  /// What a round follows, from the ledger. On the store thread.
  Result<State> stored(RoundId round) const;
  void follow(State state) { state_ = std::move(state); }
  /// Makes a new plan if it is time, and finds the basis; before the round is opened. When no plan
  /// can be made the present one stays, with a line in the log.
  /// @param current  the version that the round begins with
  /// @errors of the ledger
  boost::asio::awaitable<Result<void>> renew(RoundId round,
                                             std::shared_ptr<const VersionReader> current);

 private:
  bool due(RoundId round) const;
  bool has_basis() const noexcept;
  Result<std::shared_ptr<const BasisOffer>> stored_basis() const;
  Result<std::shared_ptr<const VersionReader>> version_before(const Sha256& current) const;
  /// Nothing if the model has not changed.
  boost::asio::awaitable<Result<std::vector<PlannedTensor>>> measure(
      std::shared_ptr<const VersionReader> current) const;

  Context& context_;
  const JobConfig& config_;
  const TensorLayout& layout_;
  State state_;
};

}  // namespace chorus::server
