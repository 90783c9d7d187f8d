// A tensor as a matrix, and its two thin factors: what low_rank and subspace have in common.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "chorus/codec.hpp"

namespace chorus::codec {

/// Of `count` elements, row by row.
struct MatrixShape {
  std::size_t rows = 0;  ///< 0: no matrix
  std::size_t columns = 0;
  std::size_t rank = 0;  ///< the codec's, or the smaller dimension

  MatrixShape(const Codec& codec, std::uint64_t count);
};

/// The matrix P·R.
struct Factors {
  std::vector<float> p;  ///< f32[rows][rank]
  std::vector<float> r;  ///< f32[rank][columns]
};

/// Some rows of P·R, summed over the rank in order.
/// @param into  f32, whole rows from first_row on
void multiply(const MatrixShape& shape,
              const Factors& factors,
              std::size_t first_row,
              std::span<float> into);
/// p ← M·Rᵀ, summed in double
void set_left(const MatrixShape& shape, std::span<const float> x, Factors& factors);
/// r ← Pᵀ·M, summed row by row
void set_right(const MatrixShape& shape, std::span<const float> x, Factors& factors);

/// Which of the two.
enum class Factor : std::uint8_t { left, right };

/// The columns of P, or the rows of R, become orthonormal; those of which the ones before them
/// leave nothing become 0.
void make_orthonormal(const MatrixShape& shape, Factor which, std::span<float> factor);

/// Rows at a time, so that a product stays in the second-level cache.
std::size_t tile_rows(const MatrixShape& shape) noexcept;

/// Calls f(first row, number of rows) for one tile after the other.
template <class F>
void for_each_tile(const MatrixShape& shape, F f) {
  const std::size_t most = tile_rows(shape);
  for (std::size_t row = 0; row < shape.rows; row += most) f(row, std::min(most, shape.rows - row));
}

}  // namespace chorus::codec
