// What devices of a job with feedback = "difference" have sent so far, as the server has it: since
// which round it counts, how many updates of each device it holds, and its mean
// (server/compress/sent_mean.hpp).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>

#include "chorus/model.hpp"
#include "chorus/result.hpp"
#include "common/wire/messages.hpp"
#include "server/compress/sent_mean.hpp"
#include "server/config/job_config.hpp"
#include "server/driver/context.hpp"
#include "server/store/update_meta.hpp"

namespace chorus::server {

/// Of other jobs it does nothing. A round's answers never change once it is open.
///
/// What a device keeps and what the server has of it must not part. All begin anew, from 0, with
/// the round after one that was abandoned though devices had been told that they are accepted;
/// after one in which a device of whom updates are held says that it keeps something else; when
/// such a device is revoked, whose part would stay in the mean for ever; and when the mean is lost.
class JobDifferences {
 public:
  /// @param config  outlives it, as layout does
  JobDifferences(Context& context, const JobConfig& config, const TensorLayout& layout)
      : context_(context), config_(config), layout_(layout) {}

  bool used() const noexcept;

  /// As a round finds it.
  struct State {
    RoundId since{1};
    std::map<ClientId, AcceptedUpdates> accepted;  ///< since then
    std::shared_ptr<const RestReader> mean;        ///< null: 0, nothing was accepted
    std::optional<Failure> lost;                   ///< why there is no mean though there should be
  };

  // -- on the control executor --
  void follow(State state) { state_ = std::move(state); }
  /// What a device's plan says in a round.
  void tell(Compression& compression, RoundId round, const ClientId& client) const;
  /// Whether updates of it are held.
  bool holds(const ClientId& client) const { return state_.accepted.contains(client); }
  /// Whether a device keeps what the server has of it.
  /// @errors wrong_state
  Result<void> check(const ClientId& client, const wire::Offer& offer) const;

  // -- on the store thread --
  /// As ledger and disk have it, for a round: after a restart.
  /// @errors of the ledger, of reading
  Result<State> stored(RoundId round) const;
  /// For the round after the one that is known, which may begin anew.
  Result<State> renewed(RoundId round) const;
  /// After a round was published.
  Result<State> after(RoundId round, std::span<const UpdateMeta> updates) const;
  Result<void> begin_anew(RoundId first) const;
  /// Null of a job without differences.
  /// @param updates  of the round
  /// @errors corrupt_data: the mean is lost
  Result<std::unique_ptr<SentMean>> begin(RoundId round, std::span<const UpdateMeta> updates) const;
  /// Files of rounds before this one go.
  Result<void> prune(RoundId newest) const;

 private:
  Result<std::shared_ptr<const RestReader>> open_mean(bool verify) const;

  Context& context_;
  const JobConfig& config_;
  const TensorLayout& layout_;
  State state_;
};

}  // namespace chorus::server
