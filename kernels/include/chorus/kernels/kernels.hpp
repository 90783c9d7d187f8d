// Every numeric hot loop of Chorus: spans in, spans out. The variant (reference, AVX2, AVX-512,
// NEON) is chosen once at start-up; all variants give the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace chorus::kernels {

/// Updates folded at once into an accumulator at most.
inline constexpr std::size_t kFoldInputsMax = 32;

/// One contribution to a fold: `multiplier` is weight * 2^scale, formed once by the caller.
struct FoldInput {
  const float* x = nullptr;  ///< f32[acc.size()], any alignment, finite
  double multiplier = 0.0;   ///< finite, > 0
};

/// acc[i] += Σ_k round_half_even(double(inputs[k].x[i]) * inputs[k].multiplier)
///
/// @param inputs  1..kFoldInputsMax contributions; each product must be below 2^62 in magnitude
///                (the lane's scale guarantees it: see server/update/lane.hpp). Eight at a time are
///                added in registers, and more of them while acc is in the first-level cache.
/// @param acc     i64[n]  in/out, any alignment (fastest at 64)
/// @determinism   exact integer addition: bitwise equal on every variant, in any order of calls
void fold_f32(std::span<const FoldInput> inputs, std::span<std::int64_t> acc) noexcept;

/// acc[i] += other[i]: merges partial sums of threads, processes, or nodes.
/// @pre other.size() == acc.size(); no sum leaves int64 (it would wrap)
/// @determinism exact integer addition
void merge_i64(std::span<const std::int64_t> other, std::span<std::int64_t> acc) noexcept;

/// mean[i] = float(double(sum[i]) / divisor), where divisor = denominator * 2^scale.
/// @pre sum.size() == mean.size(), divisor finite and > 0
/// @determinism IEEE division and rounding, bitwise equal on every variant
void lane_mean_f32(std::span<const std::int64_t> sum,
                   double divisor,
                   std::span<float> mean) noexcept;

/// out[i] = float(double(base[i]) + alpha * double(x[i])), no fused multiply-add.
/// @pre all sizes equal; `out` may be `base` or `x` itself, but not overlap them otherwise
/// @determinism bitwise equal on every variant (which NaN comes out of a NaN is not specified)
void add_scaled_f32(std::span<const float> base,
                    double alpha,
                    std::span<const float> x,
                    std::span<float> out) noexcept;

/// out[i] = y[i] - x[i] in float (the update a device sends).
/// @pre and @determinism as add_scaled_f32
void subtract_f32(std::span<const float> y,
                  std::span<const float> x,
                  std::span<float> out) noexcept;

/// What validation needs to know of a vector, from one pass.
struct VectorStats {
  bool finite = true;        ///< false if any element is NaN or infinite; then the rest is 0
  float max_abs = 0.0F;      ///< max |x[i]|, 0 for an empty span
  double sum_squares = 0.0;  ///< Σ x[i]², see below
};

/// @determinism sum_squares is defined as 16 interleaved double accumulators (element i goes to
///   accumulator i mod 16, in index order), then added pairwise 8+8, 4+4, 2+2, 1+1. Bitwise equal
///   on every variant. Parts of a longer vector combine by adding their sum_squares in order; the
///   bits then depend on where it was cut, so cut at fixed places.
VectorStats stats_f32(std::span<const float> x) noexcept;

/// Name of the variant in use: "ref", "avx2", "avx512", "neon".
std::string_view active_variant() noexcept;

/// Chooses a variant by name, for tests, benchmarks and CHORUS_ISA=ref|avx2|avx512|neon. False if
/// this build or CPU does not have it (the choice is then unchanged). Not thread-safe: call before
/// other threads use kernels.
bool select_variant(std::string_view name) noexcept;

/// Variants this build and this CPU offer, best first.
std::span<const std::string_view> available_variants() noexcept;

}  // namespace chorus::kernels
