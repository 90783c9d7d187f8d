// EF21 on the server: devices send differences to what they have sent before, so that a round goes
// on from the mean of all that was sent, also by those that are absent.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "chorus/model.hpp"
#include "chorus/result.hpp"
#include "server/store/changes.hpp"

namespace chorus::server {

/// Turns the mean difference of a round's devices into the mean of what all devices have sent,
///
///   H' = (n·H + k·mean) / n'
///
/// and writes it down for the next round. Of buffers the round's mean stays, and nothing is kept:
/// along what an absent device has sent, running values must not be moved again and again.
/// @source Richtárik et al. 2021, "EF21: a new, simpler, theoretically better, and practically
///         faster error feedback"; with devices that come later, whose h is 0 before
class SentMean {
 public:
  struct Devices {
    std::uint64_t before = 0;  ///< n: whose updates are part of H
    std::uint64_t round = 0;   ///< k: of this round, 1 or more
    std::uint64_t all = 0;     ///< n': of this round or before
  };
  /// @param layout  outlives it
  /// @param before  H; null: 0
  SentMean(const TensorLayout& layout,
           const Devices& devices,
           std::shared_ptr<const RestReader> before,
           std::unique_ptr<SentWriter> writer);

  /// The next mean.size() parameters, in order; in place.
  /// @errors of reading H and writing H'
  /// @determinism  a function of H, the mean and the numbers of devices
  Result<void> apply(std::span<float> mean);
  /// @pre all parameters were applied
  Result<BodyDigest> commit() { return writer_->commit(); }

 private:
  const TensorLayout& layout_;
  double kept_;    // n / n'
  double weight_;  // k / n'
  std::shared_ptr<const RestReader> before_;
  std::unique_ptr<SentWriter> writer_;
  std::vector<float> sum_;
  std::uint64_t at_ = 0;
};

}  // namespace chorus::server
