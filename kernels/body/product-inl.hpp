// The loops of every vector variant of the products, written once over a policy V. Include it after
// the policy, from isa/*.cpp only; see vector-inl.hpp.
//
// V provides:
//   V16                      16 floats
//   zero(), splat(float), load(p), load_first(p, count), store(p, v), store_first(p, v, count)
//   fma(a, b, c)             a·b + c, rounded once
//   mul(a, b)
//   sum(v)                   the 16 lanes by halves: v[j] += v[j + h] for h = 8, 4, 2, 1
//   sum4(v0, v1, v2, v3, out) four of them
//   turn(from, to, ldt)      the Block turned: to[c * ldt + r] = from.at[r * from.ld + c], with
//                            zeros behind the last row
//   kDotRows                 rows of a block of dots (times 4 columns)
//   kVectors                 the most vectors of a block of strided
//   kSums                    its sums
// so that a block's sums stay in registers.
#pragma once

#include <stddef.h>

#include "kernels/body/product-packed-inl.hpp"
#include "kernels/body/product-strided-inl.hpp"
#include "kernels/body/product-turned-inl.hpp"
#include "kernels/product_table.hpp"

namespace chorus::kernels {
namespace {

constexpr size_t kDotColumns = 4;  // columns of a block of dots

// kRows × kCols sums of products, each over 16 lanes.
template <class V, size_t kRows, size_t kCols>
inline void dot_block(const RawProduct& p, size_t i, size_t j) {
  using V16 = typename V::V16;
  V16 sums[kRows][kCols];
  const float* a[kRows];
  const float* b[kCols];
  for (size_t r = 0; r < kRows; ++r) a[r] = p.a + (i + r) * p.row;
  for (size_t c = 0; c < kCols; ++c) b[c] = p.b + (j + c) * p.ldb;
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t c = 0; c < kCols; ++c) sums[r][c] = V::zero();
  }
  size_t q = 0;
  for (; q + kWide <= p.k; q += kWide) {
    V16 right[kCols];
    for (size_t c = 0; c < kCols; ++c) right[c] = V::load(b[c] + q);
    for (size_t r = 0; r < kRows; ++r) {
      const V16 left = V::load(a[r] + q);
      for (size_t c = 0; c < kCols; ++c) sums[r][c] = V::fma(left, right[c], sums[r][c]);
    }
  }
  if (q < p.k) {
    V16 right[kCols];
    for (size_t c = 0; c < kCols; ++c) right[c] = V::load_first(b[c] + q, p.k - q);
    for (size_t r = 0; r < kRows; ++r) {
      const V16 left = V::load_first(a[r] + q, p.k - q);
      for (size_t c = 0; c < kCols; ++c) sums[r][c] = V::fma(left, right[c], sums[r][c]);
    }
  }
  for (size_t r = 0; r < kRows; ++r) {
    float* const out = p.c + (i + r) * p.ldc + j;
    float whole[kDotColumns];
    if constexpr (kCols == kDotColumns) {
      V::sum4(sums[r][0], sums[r][1], sums[r][2], sums[r][3], whole);
    } else {
      for (size_t c = 0; c < kCols; ++c) whole[c] = V::sum(sums[r][c]);
    }
    for (size_t c = 0; c < kCols; ++c) out[c] = finish_one(p, whole[c], out + c);
  }
}

template <class V, size_t kRows>
inline void dot_rows(const RawProduct& p, size_t i, size_t j, size_t cols) {
  if (cols == kDotColumns) return dot_block<V, kRows, kDotColumns>(p, i, j);
  for (size_t c = 0; c < cols; ++c) dot_block<V, kRows, 1>(p, i, j + c);
}

template <class V, size_t kRows>
inline void dot_tail(const RawProduct& p, size_t i, size_t j, size_t cols, size_t rows) {
  if (rows == kRows) return dot_rows<V, kRows>(p, i, j, cols);
  if constexpr (kRows > 1) dot_tail<V, kRows - 1>(p, i, j, cols, rows);
}

template <class V>
void dots(const RawProduct& p) {
  for (size_t j = 0; j < p.n; j += kDotColumns) {
    const size_t cols = p.n - j < kDotColumns ? p.n - j : kDotColumns;
    // Rows in blocks of nearly one size: 10 is 5 + 5 where a block may have 6.
    const size_t blocks = (p.m + V::kDotRows - 1) / V::kDotRows;
    size_t i = 0;
    for (size_t block = 0; block < blocks; ++block) {
      const size_t rows = (p.m - i + blocks - block - 1) / (blocks - block);
      dot_tail<V, V::kDotRows>(p, i, j, cols, rows);
      i += rows;
    }
  }
}

}  // namespace
}  // namespace chorus::kernels
