// A lane: one exact accumulator of a round. Sums are 64-bit fixed point, so that addition is
// associative and the published model does not depend on the order in which updates arrive.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "chorus/result.hpp"
#include "common/codec/update_form.hpp"
#include "common/tensor/aligned_buffer.hpp"
#include "server/store/journal.hpp"
#include "server/update/update_body.hpp"

namespace chorus::server {

/// What a lane must have room for; every contribution is checked against it before it is folded.
struct LaneBounds {
  std::uint64_t contributions_max = 1;  ///< updates in one round
  std::uint64_t weight_max = 1;         ///< integer weight of one update
  double value_max = 1.0;               ///< |element| of one update, as the lane holds it

  bool operator==(const LaneBounds&) const = default;
};

/// The largest s <= 52 with contributions_max · weight_max · value_max · 2^s < 2^62: one unit of
/// the accumulator is 2^-s of weight · value.
/// @errors invalid_argument if even s = 8 does not fit (the sums would be too coarse)
Result<std::int32_t> lane_scale(const LaneBounds& bounds);

/// One update about to be folded.
struct Contribution {
  std::shared_ptr<const UpdateBody> update;  ///< of the lane's form
  std::uint64_t weight = 0;                  ///< 1..weight_max
};

/// Elements of a lane: [first, first + count).
struct LaneRange {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

/// Memory that a thread takes to fold limits::kFoldBatch updates, beyond a tile of half a MiB:
/// payloads that are read as a whole, and what codecs make of them.
std::uint64_t fold_bytes(const codec::UpdateForm& form);

/// The accumulators of one form's pieces, one piece after the other. An element of a plain piece is
/// a parameter; other pieces hold what codec::Method::lane_elements says.
class Lane {
 public:
  using Form = std::shared_ptr<const codec::UpdateForm>;

  /// All zero. @errors as lane_scale; busy (memory)
  static Result<Lane> create(Form form, const LaneBounds& bounds);
  /// Begins anew in the same memory, which costs nothing: the first fold overwrites the old sums.
  /// @pre form->lane_elements() == sums().size()
  /// @errors as lane_scale; the lane is then as before
  Result<void> restart(Form form, const LaneBounds& bounds);
  /// As a checkpoint left it. @errors corrupt_data if it does not belong to form and bounds
  static Result<Lane> restore(LaneCheckpoint checkpoint, Form form, const LaneBounds& bounds);

  /// All elements, cut into at most `count` ranges that may be folded at the same time.
  std::vector<LaneRange> shards(unsigned count) const;

  /// sums[i] += Σ_k round_half_even(weight_k · x_k[i] · 2^scale) for i in `range`, or as
  /// codec::Method::fold has it. When all ranges are done call count_weights() once.
  /// @param updates  1..kernels::kFoldInputsMax, checked
  /// @param range    of shards(), or of a float32 form any. What is folded leaves it: empty after
  ///                 success; after a failure (of reading an update) the same call goes on where it
  ///                 stopped, and nothing counts twice
  /// @determinism    bitwise equal whatever the order, the batches and the number of threads
  Result<void> fold(std::span<const Contribution> updates, LaneRange& range);
  void count_weights(std::span<const Contribution> updates);

  /// How many parameters from `first` on are best asked for at once: 1..kRunMax.
  static constexpr std::uint64_t kRunMax = codec::UpdateForm::kMatrixElements;
  /// @pre first < parameters()
  std::uint64_t run(std::uint64_t first) const;
  /// The mean update of parameters [first, first + into.size()):
  /// float(double(sum) / (denominator · 2^scale)), turned back where it is rotated or of a
  /// subspace; 0 for what is no part of the form. @pre denominator() > 0
  void mean(std::uint64_t first, std::span<float> into) const;

  /// The mean of a piece as the lane holds it. @pre denominator() > 0
  /// @returns f32[lane_elements() of the piece's codec]
  std::vector<float> piece_mean(std::size_t piece) const;

  const codec::UpdateForm& form() const noexcept { return *form_; }
  std::uint64_t parameters() const noexcept { return form_->parameters(); }
  std::int32_t scale() const noexcept { return scale_; }
  std::int64_t denominator() const noexcept { return denominator_; }
  std::span<const std::int64_t> sums() const noexcept { return {sums_.data(), sums_.size()}; }

 private:
  /// Where a piece lies in the sums.
  struct Part {
    std::size_t piece = 0;
    LaneRange at;
    std::uint64_t granule = 0;  ///< elements that can be folded by themselves; 0: only all of them
  };

  Lane() = default;
  void lay_out(Form form);
  const Part& part_at(std::uint64_t element) const;
  const codec::Piece& piece_of(const Part& part) const { return form_->pieces()[part.piece]; }
  class Staging;
  Result<void> fold_part(std::span<const Contribution> updates,
                         const Part& part,
                         LaneRange at,
                         Staging& staging);
  void sums_mean(std::uint64_t first, std::span<float> into) const;
  void part_mean(const Part& part, std::uint64_t from, std::span<float> into) const;
  double multiplier(const Contribution& update) const;

  Form form_;
  std::vector<Part> parts_;
  tensor::AlignedBuffer<std::int64_t> sums_;
  std::int32_t scale_ = 0;
  std::int64_t denominator_ = 0;
};

}  // namespace chorus::server
