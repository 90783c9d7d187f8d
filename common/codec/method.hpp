// What every codec can do. Device and server use the same code; one file each, all in all.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "chorus/codec.hpp"
#include "chorus/result.hpp"

namespace chorus::codec {

/// What an encoding depends on besides the values.
struct Keys {
  std::uint64_t round = 0;   ///< shared by all devices of a round: rotations, chosen elements
  std::uint64_t device = 0;  ///< of this device and round: stochastic rounding
  /// Of a subspace's piece (basis.hpp): f32[basis_elements()]; none: drawn by the round's key.
  std::span<const float> basis{};
};

/// One update in a fold: its payload, and weight · 2^scale of the lane.
struct FoldPart {
  std::span<const std::byte> payload;
  double multiplier = 0.0;
};

/// One kind of codec. A tensor, or any run of elements, becomes a payload; payloads of the same
/// codec and count are added to a lane without being expanded.
///
/// The lane of a rotated codec holds rotated elements, and some more of them, that of a subspace
/// holds coordinates, and fewer: lane_elements() says how many, from_lane() makes elements of their
/// mean, once for all updates.
class Method {
 public:
  Method() = default;
  Method(const Method&) = delete;
  Method& operator=(const Method&) = delete;
  virtual ~Method() = default;

  /// Largest payload of `count` elements; exactly its size if granule() is not 0.
  virtual std::uint64_t bytes_max(const Codec& codec, std::uint64_t count) const = 0;
  /// Elements that are encoded by themselves: the payload from any multiple of it on begins at
  /// bytes_max(codec, multiple). 0: the payload is one piece.
  virtual std::uint64_t granule(const Codec& codec) const = 0;

  /// Appends the payload of x.
  /// @pre every |x[i]| is at most kEncodableMax
  virtual void encode(const Codec& codec,
                      std::span<const float> x,
                      const Keys& keys,
                      std::vector<std::byte>& payload) const = 0;

  /// Whether a payload from elsewhere is one of `count` elements, none beyond value_max. Reads
  /// nothing beyond it.
  /// @errors shape_mismatch (its size), malformed_message, not_finite, value_out_of_range; the
  ///         detail says where
  virtual Result<void> check(const Codec& codec,
                             std::uint64_t count,
                             std::span<const std::byte> payload,
                             float value_max) const = 0;

  /// @pre check() passed
  virtual void decode(const Codec& codec,
                      std::span<const std::byte> payload,
                      const Keys& keys,
                      std::span<float> x) const = 0;

  /// lane[i] += Σ_k round_half_even(value_k[i] · multiplier_k), i counting from the first element
  /// of the payloads, or of a granule at which all of them begin; values as decode() gives them, or
  /// nearer than 2^-8 of a step of their codes.
  /// @param count  elements; lane.size() == lane_elements(codec, count)
  /// @param parts  1..kernels::kFoldInputsMax, each checked
  /// @determinism  bitwise equal whatever the order and the grouping
  virtual void fold(const Codec& codec,
                    std::uint64_t count,
                    std::span<const FoldPart> parts,
                    const Keys& keys,
                    std::span<std::int64_t> lane) const = 0;

  virtual std::uint64_t lane_elements(const Codec& /*codec*/, std::uint64_t count) const {
    return count;
  }
  /// Largest |element| of a lane of `count` elements of updates within value_max.
  virtual double lane_value_max(const Codec& /*codec*/,
                                std::uint64_t /*count*/,
                                double value_max) const {
    return value_max;
  }
  /// Whether a mean of lane elements is not that of the elements.
  virtual bool lane_is_turned(const Codec& /*codec*/) const { return false; }
  /// A mean of lane elements becomes the mean of the elements.
  /// @param mean  f32[lane_elements()]; of no use any more afterwards
  /// @param x     f32[count]
  /// @pre lane_is_turned()
  virtual void from_lane(const Codec& /*codec*/,
                         const Keys& /*keys*/,
                         std::span<float> /*mean*/,
                         std::span<float> /*x*/) const {}
};

/// Largest magnitude that encodes: sums and differences of two such floats stay finite.
inline constexpr float kEncodableMax = 0x1.0p126F;

/// @pre codec.kind is an enumerator
const Method& method_of(const Codec& codec) noexcept;

/// @errors invalid_argument: a parameter is out of range
Result<void> check_codec(const Codec& codec);

/// x as a payload.
/// @errors as check_codec; not_finite; value_out_of_range (beyond kEncodableMax; f16: 65504,
///         low_rank, subspace: 2^96)
Result<std::vector<std::byte>> encode(const Codec& codec,
                                      std::span<const float> x,
                                      const Keys& keys);

/// The values of a payload from elsewhere.
/// @errors as check_codec and Method::check
Result<void> decode(const Codec& codec,
                    std::span<const std::byte> payload,
                    const Keys& keys,
                    float value_max,
                    std::span<float> x);

}  // namespace chorus::codec
