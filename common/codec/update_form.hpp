// What an update consists of: which runs of the flat vector travel, and how each is encoded. Device
// and server derive the same from the plan and the model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "chorus/model.hpp"
#include "chorus/plan.hpp"
#include "chorus/result.hpp"
#include "common/codec/method.hpp"

namespace chorus::codec {

struct Basis;

/// Elements that become one payload.
struct Piece {
  Codec codec;
  std::uint64_t first = 0;  ///< in the flat vector
  std::uint64_t count = 0;
  bool operator==(const Piece&) const = default;
};

/// The codec as it encodes a tensor: low_rank and subspace with the columns of the tensor's matrix,
/// whose rows are its first dimension, and float32 where what is sent of a piece would not be
/// smaller.
Codec for_tensor(Codec codec, const TensorSpec& tensor);

/// How many of a run's elements become one payload: kPieceElements; or, of a matrix, whole rows, as
/// many in all pieces but the last.
/// @param codec  of for_tensor()
std::uint64_t piece_elements(const Codec& codec, std::uint64_t count) noexcept;

/// Of all pieces of a run. @param codec  of for_tensor()
std::uint64_t bytes_max(const Codec& codec, std::uint64_t count);

/// A plain update is one piece of float32, and nothing else: 4 bytes an element.
///
/// A compressed one begins with a table (little-endian), then come the payloads in its order:
///
///   u32 table     Compression::table of the plan that it follows
///   u32 pieces
///   u32 bytes     of each payload
///
/// Neighbouring tensors with the same codec are a run; buffers go as float32, and what the plan
/// does not train or keeps on the device is left out. A run is cut into pieces of kPieceElements,
/// so that what a payload takes in memory is bounded and several threads can work on an update.
/// Under low_rank and subspace each tensor is a run, cut between rows into the fewest pieces, of
/// equal size, that have at most kMatrixElements.
class UpdateForm {
 public:
  static constexpr std::uint64_t kPieceElements = 1ULL << 18U;   ///< a multiple of every bucket
  static constexpr std::uint64_t kMatrixElements = 1ULL << 21U;  ///< thin factors want large ones

  /// Without compression.
  static UpdateForm plain(std::uint64_t parameters);
  /// Of the plan's compression, or plain.
  /// @param basis   of the round, where codecs have one; null: of a first round
  /// @errors invalid_argument: a codec's parameter, a pattern that names no tensor, too many
  /// pieces;
  ///         shape_mismatch: a basis of another form
  static Result<UpdateForm> of(const TrainPlan& plan,
                               const TensorLayout& layout,
                               std::shared_ptr<const Basis> basis = nullptr);

  bool compressed() const noexcept { return compressed_; }
  std::span<const Piece> pieces() const noexcept { return pieces_; }
  std::uint64_t parameters() const noexcept { return parameters_; }
  std::uint64_t largest_piece() const noexcept;  ///< elements
  /// Of the payloads that are read as a whole; of float32 as it is, parts are.
  std::uint64_t largest_payload() const noexcept;

  /// Of a piece. The device's part is of the plan's seed.
  Keys keys(std::size_t piece) const noexcept;

  /// Of all pieces: 0 where no codec has a basis.
  std::uint64_t basis_elements() const noexcept;

  std::uint64_t table_bytes() const noexcept;
  /// Of a whole update.
  std::uint64_t bytes_max() const noexcept;
  /// Largest |element| that a lane must have room for (Method::lane_value_max).
  double lane_value_max(double value_max) const noexcept;
  /// Elements of a lane (Method::lane_elements), all pieces one after the other.
  std::uint64_t lane_elements() const noexcept;

  /// The table of an update whose payloads have these sizes, one per piece.
  std::vector<std::byte> table_of(std::span<const std::uint32_t> bytes) const;
  /// Where each payload begins, and where the last one ends.
  /// @param table       table_bytes() of the update's first bytes; none of a plain one
  /// @param body_bytes  of the whole update
  /// @errors malformed_message, shape_mismatch: not of this form
  Result<std::vector<std::uint64_t>> offsets(std::span<const std::byte> table,
                                             std::uint64_t body_bytes) const;

 private:
  void add_run(const Codec& codec, std::uint64_t first, std::uint64_t count);

  bool compressed_ = false;
  std::uint64_t parameters_ = 0;
  std::uint32_t table_ = 0;
  Keys keys_;
  std::vector<Piece> pieces_;
  std::shared_ptr<const Basis> basis_;
  std::vector<std::uint64_t> basis_at_;  ///< where that of each piece begins
};

}  // namespace chorus::codec
