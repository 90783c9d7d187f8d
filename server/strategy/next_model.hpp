// Base version and mean update → next version: the loop around Strategy::finalise.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "chorus/result.hpp"
#include "server/store/versions.hpp"
#include "server/strategy/strategy.hpp"
#include "server/update/lane.hpp"

namespace chorus::server {

/// Writes the next model's parameters as the mean update becomes known, in order. Buffers (batch
/// norm's running statistics) become the mean of the devices' whatever the strategy does with
/// parameters: a step along them that is not of length 1 could make a variance negative. The base's
/// memory is given up on the way (VersionReader::forget): the next version takes its place.
class NextModel {
 public:
  /// All of them outlive it.
  NextModel(const Strategy& strategy, const VersionReader& base, VersionWriter& next);

  /// The next mean.size() parameters.
  /// @errors of reading the base and writing the next version
  Result<void> append(std::span<const float> mean);

 private:
  void finalise(std::span<const float> mean, std::span<float> x) const;

  const Strategy& strategy_;
  const VersionReader& base_;
  VersionWriter& next_;
  std::vector<LaneRange> buffers_;
  std::vector<float> tile_;
  std::uint64_t at_ = 0;
  std::uint64_t forgotten_ = 0;
};

/// What becomes of a mean before the strategy has it, run by run, in order and in place.
using OnMean = std::function<Result<void>(std::span<float> mean)>;

/// The mean of all parameters, from sums. @pre lane.denominator() > 0; lane and base have the same
/// parameters
/// @errors as NextModel::append and on_mean
Result<void> append_mean(const Lane& lane, NextModel& next, const OnMean& on_mean = {});

}  // namespace chorus::server
