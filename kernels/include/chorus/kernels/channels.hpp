// Sums and affine maps per channel: what batch norm is made of. Float32 values, sums in double, on
// the calling thread. All variants give the same bits.
#pragma once

#include <cstddef>
#include <span>

namespace chorus::kernels {

/// How values lie: value (n, c, s) is at ((n·blocks + c / lanes)·positions + s)·lanes + c % lanes.
/// lanes = 1 is {n, channels, positions}; blocks = 1 has the channels innermost; lanes = 8 or 16
/// are the layouts in between that vector units like. Channels beyond the real ones (padding up to
/// blocks·lanes) are treated as any other.
struct ChannelLayout {
  std::size_t examples = 0;
  std::size_t blocks = 1;
  std::size_t positions = 1;
  std::size_t lanes = 1;
  std::size_t channels() const noexcept { return blocks * lanes; }
  std::size_t values() const noexcept { return examples * channels() * positions; }
};

/// sum[c] = Σ x, in double.
///
/// @param x    f32[at.values()]
/// @param sum  f64[at.channels()]
/// @determinism  of a channel, the values are added in the order of n, then s; with lanes = 1 those
///   of one n first in sixteen sums, of the s that are equal mod 16, added as in stats_f32
void channel_sums_f32(const ChannelLayout& at,
                      std::span<const float> x,
                      std::span<double> sum) noexcept;

/// sum[c] = Σ (x − mean[c])², the difference rounded to float. As above.
void channel_squares_f32(const ChannelLayout& at,
                         std::span<const float> x,
                         std::span<const float> mean,
                         std::span<double> sum) noexcept;

/// sum[c] = Σ (x − mean[c])·dy, the difference rounded to float. As above.
void channel_products_f32(const ChannelLayout& at,
                          std::span<const float> x,
                          std::span<const float> mean,
                          std::span<const float> dy,
                          std::span<double> sum) noexcept;

/// y = (x − mean[c])·scale[c] + shift[c]; y may be x itself.
/// @param mean, scale, shift  f32[at.channels()]
struct ChannelMap {
  std::span<const float> mean;
  std::span<const float> scale;
  std::span<const float> shift;
};
void channel_map_f32(const ChannelLayout& at,
                     const ChannelMap& map,
                     std::span<const float> x,
                     std::span<float> y) noexcept;

/// dx = (dy·scale[c] − (x − mean[c])·slope[c]) + shift[c]; dx may be dy or x itself.
struct ChannelSlopes {
  std::span<const float> slope;  ///< f32[at.channels()]
  std::span<const float> x;
  std::span<const float> dy;
  std::span<float> dx;
};
void channel_slopes_f32(const ChannelLayout& at,
                        const ChannelMap& map,
                        const ChannelSlopes& with) noexcept;

}  // namespace chorus::kernels
