// A lane: one exact accumulator of a round. Sums are 64-bit fixed point, so that addition is
// associative and the published model does not depend on the order in which updates arrive.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "chorus/result.hpp"
#include "common/tensor/aligned_buffer.hpp"
#include "server/store/journal.hpp"

namespace chorus::server {

/// What a lane must have room for; every contribution is checked against it before it is folded.
struct LaneBounds {
  std::uint64_t contributions_max = 1;  ///< updates in one round
  std::uint64_t weight_max = 1;         ///< integer weight of one update
  double value_max = 1.0;               ///< |element| of one update

  bool operator==(const LaneBounds&) const = default;
};

/// The largest s <= 52 with contributions_max · weight_max · value_max · 2^s < 2^62: one unit of
/// the accumulator is 2^-s of weight · value.
/// @errors invalid_argument if even s = 8 does not fit (the sums would be too coarse)
Result<std::int32_t> lane_scale(const LaneBounds& bounds);

/// One update about to be folded.
struct Contribution {
  std::shared_ptr<const UpdateReader> update;  ///< raw float32 little-endian
  std::uint64_t weight = 0;                    ///< 1..weight_max
};

/// Coordinates of a lane: [first, first + count).
struct LaneRange {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

class Lane {
 public:
  /// All zero. @errors as lane_scale
  static Result<Lane> create(std::uint64_t parameters, const LaneBounds& bounds);
  /// Begins anew in the same memory, which costs nothing: the first fold overwrites the old sums.
  /// @errors as lane_scale; the lane is then as before
  Result<void> restart(const LaneBounds& bounds);
  /// As a checkpoint left it. @errors corrupt_data if it does not belong to these bounds
  static Result<Lane> restore(LaneCheckpoint checkpoint, const LaneBounds& bounds);

  /// sums[i] += Σ_k round_half_even(weight_k · x_k[i] · 2^scale) for i in `range`. Disjoint ranges
  /// may be folded by several threads at once. When all ranges are done call count_weights() once.
  /// @param updates  1..kernels::kFoldInputsMax
  /// @param range    what is folded leaves it: empty after success; after a failure (of reading an
  ///                 update) the same call goes on where it stopped, and nothing counts twice
  /// @determinism    bitwise equal whatever the order, the batches and the number of threads
  Result<void> fold(std::span<const Contribution> updates, LaneRange& range);
  void count_weights(std::span<const Contribution> updates);

  /// mean[j] = float(double(sums[first + j]) / (denominator · 2^scale)). @pre denominator() > 0
  void mean(std::uint64_t first, std::span<float> into) const;

  std::uint64_t parameters() const noexcept { return sums_.size(); }
  std::int32_t scale() const noexcept { return scale_; }
  std::int64_t denominator() const noexcept { return denominator_; }
  std::span<const std::int64_t> sums() const noexcept { return {sums_.data(), sums_.size()}; }

 private:
  Lane() = default;
  tensor::AlignedBuffer<std::int64_t> sums_;
  std::int32_t scale_ = 0;
  std::int64_t denominator_ = 0;
};

}  // namespace chorus::server
