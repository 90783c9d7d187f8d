// How a job's versions reach its devices in fewer bytes: which steps can be fetched, and what the
// next round goes on from (server/compress/downlink.hpp).
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "chorus/model.hpp"
#include "chorus/result.hpp"
#include "common/codec/version_steps.hpp"
#include "server/compress/downlink.hpp"
#include "server/config/job_config.hpp"
#include "server/driver/context.hpp"
#include "server/driver/session_link.hpp"

namespace chorus::server {

/// Of a job without [compress.down] it does nothing: versions go as they are. steps() and what
/// changes it are for the control executor; the rest says where it belongs.
class JobDownlink {
 public:
  /// @param config  outlives it, as layout does
  JobDownlink(Context& context, const JobConfig& config, const TensorLayout& layout)
      : context_(context), config_(config), layout_(layout) {}

  /// The present steps; null without any.
  std::shared_ptr<const StepsOffer> steps() const noexcept { return steps_; }

  /// Tensor by tensor, for people: of a step, or of the file.
  Result<std::vector<PlanLine>> lines() const;

  /// The model that a round goes on from. On the compute pool.
  std::shared_ptr<const VersionReader> going_on_from(
      std::shared_ptr<const VersionReader> version) const;

  /// Writes a round's version. On the compute pool.
  class Writer {
   public:
    VersionWriter& version() noexcept { return coded_ ? *coded_ : *plain_; }
    /// @pre version().commit() succeeded
    ChangeInfo change() const { return coded_ ? coded_->change() : ChangeInfo{}; }

   private:
    friend class JobDownlink;
    std::unique_ptr<VersionWriter> plain_;
    std::unique_ptr<DownlinkWriter> coded_;
  };
  /// @param base  the version that devices have
  Result<Writer> begin(RoundId round, std::shared_ptr<const VersionReader> base) const;

  /// What the newest versions left: steps and rest.
  struct State {
    std::shared_ptr<const StepsOffer> steps;
    std::shared_ptr<const RestReader> rest;
    RoundId oldest;  ///< whose step is offered; beyond `newest` when there is none
    RoundId newest;
  };
  /// As the ledger has it. On the store thread.
  /// @errors of the ledger; corrupt_data, not_found: the rest of the current version
  Result<State> stored() const;
  void follow(State state);
  /// Files that nobody needs any more go. On the store thread.
  Result<void> prune(const State& state) const;

 private:
  std::uint64_t seed_of(RoundId round) const;

  Context& context_;
  const JobConfig& config_;
  const TensorLayout& layout_;
  std::shared_ptr<const StepsOffer> steps_;
  std::shared_ptr<const RestReader> rest_;
};

}  // namespace chorus::server
