// What rules that look at all updates at once are made of: the mean of what is left of each
// coordinate without its extremes (the median among them), and the inner products of all pairs. On
// the calling thread; all variants give the same bits. Only the server uses them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace chorus::kernels {

/// Rows looked at together at most: 16 bits number them.
inline constexpr std::size_t kRowsMax = 4096;

/// Some coordinates of several updates, one update to a row: x[k·stride + i] is coordinate i of
/// update k.
struct Rows {
  const float* x = nullptr;  ///< f32, finite
  std::size_t rows = 0;      ///< 1..kRowsMax
  std::size_t columns = 0;
  std::size_t stride = 0;  ///< floats from one row to the next, at least `columns`
};

/// One step of a sorting network: afterwards row `low` has the lesser of the two, `high` the other.
struct Exchange {
  std::uint16_t low = 0;
  std::uint16_t high = 0;
};

/// Rows that are sorted in registers, by a network of their own, before the rest of the exchanges.
inline constexpr std::size_t kRowBlock = 16;

/// How columns of so many values are put in order, but for `trim` values at either end.
class ColumnOrder {
 public:
  /// Batcher's odd-even merges: of blocks of kRowBlock rows first, which is implied, then those of
  /// exchanges(), without the steps that reach no value that is wanted.
  /// @pre 1 <= rows <= kRowsMax, 2·trim < rows
  /// @source Batcher 1968, "Sorting networks and their applications"
  ColumnOrder(std::size_t rows, std::size_t trim);

  std::size_t rows() const noexcept { return rows_; }
  std::size_t trim() const noexcept { return trim_; }
  std::span<const Exchange> exchanges() const noexcept { return exchanges_; }
  /// Floats of working memory, of each thread.
  std::size_t scratch_floats() const noexcept;

 private:
  std::size_t rows_;
  std::size_t trim_;
  std::vector<Exchange> exchanges_;
};

/// The values to leave out at either end so that the median is left: (rows − 1) / 2.
constexpr std::size_t median_trim(std::size_t rows) noexcept {
  return (rows - 1) / 2;
}

/// mean[i] = float(Σ_{trim <= r < rows − trim} x_(r) / (rows − 2·trim)), x_(0) <= x_(1) <= … being
/// the values of column i in ascending order: added in this order in double, divided in double.
/// With median_trim() it is the median: the middle value, or the mean of the two in the middle.
/// Zeros count as +0. Equal values are alike, so it does not matter which of them is left out.
///
/// @param x        f32[rows][columns], finite; rows as in `order`
/// @param scratch  f32[order.scratch_floats()], aligned to 64 bytes
/// @param mean     f32[columns]
/// @determinism a function of the column's values, not of the order of the rows; bitwise equal on
///              every variant
/// @source Yin et al. 2018, arXiv:1803.01498, Definitions 1 and 2
void trimmed_mean_f32(const Rows& x,
                      const ColumnOrder& order,
                      std::span<float> scratch,
                      std::span<float> mean) noexcept;

/// Sums that one inner product is kept in while it grows: coordinate i belongs to number i mod 8.
inline constexpr std::size_t kGramLanes = 8;
/// Of working memory for gram_add_f32, for each row.
inline constexpr std::size_t kGramScratch = 256;

/// Doubles that the products of all pairs of rows grow in.
constexpr std::size_t gram_doubles(std::size_t rows) noexcept {
  return rows * (rows + 1) / 2 * kGramLanes;
}

/// sums[(a·(a + 1)/2 + b)·8 + i mod 8] += x_a[i]·x_b[i] for all rows b <= a, i ascending, in
/// double: each product is exact and each addition is rounded once.
///
/// @param x        f32[rows][columns], finite, below 2^511 in magnitude
/// @param scratch  f64[rows · kGramScratch], aligned to 64 bytes
/// @param sums     f64[gram_doubles(rows)], begun with zeros, aligned to 64 bytes
/// @determinism where a run of coordinates is cut in parts, at multiples of 8, does not matter;
///              bitwise equal on every variant
void gram_add_f32(const Rows& x, std::span<double> scratch, std::span<double> sums) noexcept;

/// gram[a·rows + b] and gram[b·rows + a] += the eight sums of rows a and b, by halves: 4 + 4,
/// 2 + 2, 1 + 1. The sums are 0 afterwards.
/// @param gram  f64[rows²]
void gram_finish(std::size_t rows, std::span<double> sums, std::span<double> gram) noexcept;

}  // namespace chorus::kernels
