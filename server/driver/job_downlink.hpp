// How a job's versions reach its devices in fewer bytes: which steps can be fetched, and what the
// next round goes on from (server/compress/downlink.hpp).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
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

  /// The model that a round goes on from.
  std::shared_ptr<const VersionReader> going_on_from(
      std::shared_ptr<const VersionReader> version) const;

  /// Writes a round's version. On the compute pool.
  class Writer {
   public:
    VersionWriter& version() noexcept { return coded_ ? *coded_ : *plain_; }
    /// Step and rest, after the version; nothing of a version that goes as it is.
    Result<ChangeInfo> commit_change() {
      return coded_ ? coded_->commit_change() : Result<ChangeInfo>(ChangeInfo{});
    }

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
    std::string lost;  ///< why there is no rest though there should be one
  };
  /// As the ledger has it. On the store thread.
  /// @param verify  the rest's digest, which takes reading it: not right after it was written
  /// @errors of the ledger, of reading
  Result<State> stored(bool verify) const;
  void follow(State state);
  /// Files that nobody needs any more go: on the store thread, which writes none of a later round
  /// before.
  Result<void> prune(const State& state) const;
  /// The job is over: all its files go. On the store thread.
  Result<void> remove_all() const;

 private:
  std::uint64_t seed_of(RoundId round) const;
  Result<std::shared_ptr<const RestReader>> rest_of(const VersionRow& version,
                                                    bool verify,
                                                    std::string& lost) const;

  Context& context_;
  const JobConfig& config_;
  const TensorLayout& layout_;
  std::shared_ptr<const StepsOffer> steps_;
  std::shared_ptr<const RestReader> rest_;
};

}  // namespace chorus::server
