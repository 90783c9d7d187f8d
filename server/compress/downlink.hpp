// Versions that travel compressed. The server goes on from the model x as it is; what devices get,
// train from and measure, and what is published, is the version w that the codecs leave of it:
//
//   change  w' = w + C(x' − w)     every round says what has changed
//   model   w' = C(x')             every round says all
//
// What a codec leaves out, x' − w', is added before the next round is: x = w + rest, server-side
// error feedback.
//
// @source Gruntkowska, Tyurin, Richtárik 2023, "EF21-P and friends" (change); Philippenko,
//         Dieuleveut 2021, "Preserved central model" (the model that is kept beside w)
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "chorus/codec.hpp"
#include "chorus/model.hpp"
#include "chorus/plan.hpp"
#include "chorus/result.hpp"
#include "common/codec/version_steps.hpp"
#include "server/store/changes.hpp"
#include "server/store/versions.hpp"

namespace chorus::server {

/// [compress.down] of a job.
struct Downlink {
  enum class Sends : std::uint8_t { change = 1, model = 2 };
  Sends sends = Sends::change;
  Compression compression;

  bool operator==(const Downlink&) const = default;
};

/// "change", "model".
std::string_view name_of(Downlink::Sends sends) noexcept;

/// @errors invalid_argument: a codec that `sends` must not have, and what would do
Result<void> check_downlink(const Codec& codec, Downlink::Sends sends);

/// What devices are told of the steps of a job, without the steps.
/// @param plan  says what changes from version to version
codec::VersionSteps steps_of(const Downlink& downlink, const TrainPlan& plan);

/// The model that a round goes on from: parameters of `version` plus `rest`.
std::shared_ptr<const VersionReader> with_rest(std::shared_ptr<const VersionReader> version,
                                               std::shared_ptr<const RestReader> rest);

/// Takes x' and writes w', the step to it and the rest, a piece at a time.
class DownlinkWriter final : public VersionWriter {
 public:
  /// @param base     w; null for steps that say all
  /// @param version  gets w'
  /// @param change   gets step and rest
  DownlinkWriter(std::shared_ptr<const codec::UpdateForm> form,
                 std::shared_ptr<const VersionReader> base,
                 std::unique_ptr<VersionWriter> version,
                 std::unique_ptr<ChangeWriter> change);

  /// @errors as codec::encode_update: what has changed cannot be encoded
  Result<void> append(std::span<const float> parameters) override;
  Result<VersionInfo> commit() override { return version_->commit(); }
  /// Step and rest, after the version.
  Result<ChangeInfo> commit_change();

 private:
  /// Elements that are one piece of the form, or lie between pieces.
  struct Run {
    std::uint64_t end = 0;
    bool sent = false;
  };
  Run run_at(std::uint64_t first) const;
  Result<void> write_run();
  Result<void> encode(std::span<float> w);

  std::shared_ptr<const codec::UpdateForm> form_;
  std::shared_ptr<const VersionReader> base_;
  std::unique_ptr<VersionWriter> version_;
  std::unique_ptr<ChangeWriter> change_;
  std::size_t piece_ = 0;    ///< the next one of the form
  std::uint64_t first_ = 0;  ///< of what is gathered
  Run run_;                  ///< that is being gathered
  std::vector<float> gathered_;
  std::vector<std::uint32_t> sizes_;
};

}  // namespace chorus::server
