// What compressing an update is made of: stochastic rounding to codes of 1 to 8 bits, packing them,
// half-precision floats, the Hadamard transform, and adding codes to a lane without expanding them.
// On the calling thread; all variants give the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace chorus::kernels {

/// Elements share their random words in groups of this size: a stream is read from its multiples.
inline constexpr std::size_t kDrawGroup = 64;

/// A part of a stream of uniform draws: draw i is the upper 24 bits of word (i / 16) mod 4 of block
/// (i / 64)·16 + i mod 16 of Philox 4x32-10 (common/base/rng.hpp), as a fraction in [0, 1).
struct Draws {
  std::uint64_t key = 0;
  std::uint64_t first = 0;  ///< a multiple of kDrawGroup, below 2^34
};

/// A bucket's grid: value = low + step·code, for codes 0..levels.
struct Grid {
  float low = 0.0F;
  float per_step = 0.0F;     ///< 1 / step
  std::uint32_t levels = 0;  ///< 1..255: the largest code
};

/// codes[i] = ⌊u⌋ + (draw_i < u − ⌊u⌋), at most levels, where u = (x[i] − low)·per_step: unbiased.
///
/// @param x  f32[n], finite, u in [0, levels] but for rounding
/// @pre sizes equal
void quantise_f32(std::span<const float> x,
                  const Grid& grid,
                  const Draws& draws,
                  std::span<std::uint8_t> codes) noexcept;

/// codes[i] = how many of the bounds x[i]·factor reaches (>=).
/// @param bounds  f32[1..15], ascending
void bin_f32(std::span<const float> x,
             float factor,
             std::span<const float> bounds,
             std::span<std::uint8_t> codes) noexcept;

/// values[i] = table[codes[i]]. @pre codes below table.size(), sizes of codes and values equal
void look_up_f32(std::span<const std::uint8_t> codes,
                 std::span<const float> table,
                 std::span<float> values) noexcept;

/// Bytes of `count` packed codes.
constexpr std::size_t packed_bytes(std::size_t count, unsigned bits) noexcept {
  return (count * bits + 7) / 8;
}

/// Code k occupies bits [k·bits, (k + 1)·bits) of a stream of bytes, each filled from its lowest
/// bit; what is left of the last byte is 0.
/// @param bits   1..8
/// @pre codes below 2^bits; bytes.size() == packed_bytes(codes.size(), bits)
void pack_codes(std::span<const std::uint8_t> codes,
                unsigned bits,
                std::span<std::uint8_t> bytes) noexcept;
/// The inverse. @pre as above
void unpack_codes(std::span<const std::uint8_t> bytes,
                  unsigned bits,
                  std::span<std::uint8_t> codes) noexcept;

/// The least and the largest element; {0, 0} for none. @pre finite; of zeros either sign may come
struct ValueRange {
  float low = 0.0F;
  float high = 0.0F;
};
ValueRange range_f32(std::span<const float> x) noexcept;

/// Σ |x[i]| in double, added as the squares of stats_f32.
double sum_magnitudes_f32(std::span<const float> x) noexcept;

/// IEEE binary16 and bfloat16, rounded to nearest, ties to even; what is too large becomes
/// infinite.
/// @pre sizes equal; x has no NaN
void to_half(std::span<const float> x, std::span<std::uint16_t> half) noexcept;
void from_half(std::span<const std::uint16_t> half, std::span<float> x) noexcept;
void to_bfloat(std::span<const float> x, std::span<std::uint16_t> bfloat) noexcept;
void from_bfloat(std::span<const std::uint16_t> bfloat, std::span<float> x) noexcept;

/// x ← H·x, unscaled, in place: Sylvester's order, stages of distance 1, 2, 4, … in turn.
/// @pre x.size() is a power of two
void hadamard_f32(std::span<float> x) noexcept;

/// x[i] ← −x[i] where bit i mod 128 of Philox block i / 128 of this key is 0 (the signs of
/// tensor::add_direction).
void flip_signs_f32(std::uint64_t key, std::span<float> x) noexcept;

/// Elements of magnitude >= least and where they are, in order of their index, at most
/// indices.size() of them.
/// @return how many there are in all
/// @pre indices and values of one size
std::size_t elements_above(std::span<const float> x,
                           float least,
                           std::span<std::uint32_t> indices,
                           std::span<float> values) noexcept;

/// One contribution of codes to a fold; base and unit have the weight and the lane's scale in them.
/// Of 5 to 8 bits, whole numbers as base and unit are added fastest.
struct FoldCodes {
  const std::uint8_t* codes = nullptr;  ///< acc.size() of them, packed
  double base = 0.0;
  double unit = 0.0;
  /// f32[2^bits]: what each code stands for, with at most 4 bits and base 0; null: itself. All
  /// inputs have it, or none.
  const float* values = nullptr;
};

/// acc[i] += Σ_k round_half_even(fma(unit_k, value of codes_k[i], base_k))
/// @param bits    of a code, 1..8
/// @param inputs  1..kFoldInputsMax; each addend below 2^62 in magnitude
void fold_codes(unsigned bits,
                std::span<const FoldCodes> inputs,
                std::span<std::int64_t> acc) noexcept;

}  // namespace chorus::kernels
