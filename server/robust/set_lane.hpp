// A set lane: all updates of a round, looked at a tile of coordinates at a time, under a fixed
// budget of memory. Sum lanes (server/update/lane.hpp) forget an update when it is added; rules
// that must see all of them at once stream them from here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "chorus/kernels/robust.hpp"
#include "chorus/result.hpp"
#include "common/tensor/aligned_buffer.hpp"
#include "server/robust/update_set.hpp"

namespace chorus::server {

inline constexpr std::size_t kSetUpdatesMax = kernels::kRowsMax;  ///< looked at together
inline constexpr std::size_t kGramUpdatesMax = 1024;              ///< of which all pairs are
inline constexpr std::uint64_t kSetLaneBytesMax = 256ULL << 20U;  ///< for tiles, all threads

/// What looking at a set may cost.
struct SetLaneBudget {
  unsigned threads = 1;                    ///< that look at it at once
  std::uint64_t bytes = kSetLaneBytesMax;  ///< all of them together, for tiles
};

class SetLane {
 public:
  /// @param updates  outlives the lane
  /// @errors invalid_argument: no update, more than kSetUpdatesMax, or a budget too small
  ///         for tiles of so many
  static Result<SetLane> create(const UpdateSet& updates, const SetLaneBudget& budget);

  /// Of one thread's tile, at most, in lanes of up to so many updates that are not short of memory.
  static std::uint64_t tile_bytes_max(std::uint64_t updates) noexcept;

  /// The tile of one thread: a window that is moved over the coordinates.
  class Tile {
   public:
    /// The updates' coordinates [first, first + count), one update to a row, in the set's order.
    /// Valid until the next call. @pre count <= width()
    /// @errors of reading an update
    Result<kernels::Rows> load(std::uint64_t first, std::uint64_t count);
    std::uint64_t width() const noexcept { return width_; }

   private:
    friend class SetLane;
    Tile(const UpdateSet& updates, std::uint64_t width, tensor::AlignedBuffer<float> rows)
        : updates_(&updates), width_(width), rows_(std::move(rows)) {}
    const UpdateSet* updates_;
    std::uint64_t width_;
    tensor::AlignedBuffer<float> rows_;
  };
  /// @errors busy: there is not enough memory
  Result<Tile> tile() const;

  std::size_t updates() const noexcept { return updates_->updates(); }
  std::uint64_t parameters() const noexcept { return updates_->parameters(); }
  /// Coordinates of a tile: what the budget allows, but no more than the second-level cache holds.
  std::uint64_t tile_width() const noexcept { return width_; }

 private:
  SetLane(const UpdateSet& updates, std::uint64_t width) : updates_(&updates), width_(width) {}
  const UpdateSet* updates_;
  std::uint64_t width_;
};

/// mean[i] = the mean of coordinate first + i over the updates without the order.trim() least and
/// largest values; with kernels::median_trim(lane.updates()) the coordinate-wise median. Formula,
/// ties and zeros: kernels::trimmed_mean_f32. Every update counts alike.
///
/// @param order  of lane.updates() rows; made once for all ranges: of thousands that takes
/// milliseconds
/// @param mean   f32[n]. Disjoint ranges may be asked for by several threads at once
/// @pre the range lies within the parameters
/// @errors of reading an update; busy: there is not enough memory
/// @determinism a function of the set of updates: neither their order, nor the budget, the ranges,
///              the threads or the instruction set matter
Result<void> trimmed_mean(const SetLane& lane,
                          const kernels::ColumnOrder& order,
                          std::uint64_t first,
                          std::span<float> mean);

/// Inner products of all pairs of updates, in parts that several threads may sum at once: the
/// coordinates are always cut in kParts runs, whoever sums them.
class Gram {
 public:
  static constexpr std::size_t kParts = 16;

  /// @errors invalid_argument: more than kGramUpdatesMax updates; busy: no memory
  static Result<Gram> create(const SetLane& lane);

  /// Sums one part, once. Different parts on several threads at once.
  /// @errors of reading an update; busy: there is not enough memory
  Result<void> sum_part(std::size_t part);

  /// <x_a, x_b> = products()[a·updates + b], f64, symmetric: the parts in order, each of them
  /// kernels::gram_add_f32 over its coordinates. @pre all parts are summed
  /// @determinism neither budget nor threads nor instruction set matter; rows and columns follow
  ///              the order of the set, and their numbers do not depend on it
  std::vector<double> products() const;

 private:
  Gram(const SetLane& lane, tensor::AlignedBuffer<double> parts)
      : lane_(&lane), parts_(std::move(parts)) {}
  const SetLane* lane_;
  tensor::AlignedBuffer<double> parts_;  // f64[kParts][updates²]
};

}  // namespace chorus::server
