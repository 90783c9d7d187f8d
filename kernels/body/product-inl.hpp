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
//   turn(from, to, ldt)      to[c * ldt + r] = from.at[r * from.ld + c]; 16 numbers for every
//   column
//                            of `from`, zeros behind its last row
//   kDotRows                 rows of a block of dots (times 4 columns)
//   kVectors                 the most vectors of a block of strided
//   kSums                    its sums
// so that a block's sums stay in registers.
#pragma once

#include <stddef.h>

#include "kernels/body/product-packed-inl.hpp"
#include "kernels/body/product-panel-inl.hpp"
#include "kernels/product_table.hpp"

namespace chorus::kernels {
namespace {

constexpr size_t kPanelRows = 20;      // from where on copying a panel pays
constexpr size_t kPanelFloats = 8192;  // of B that stay in the first-level cache: 32 KiB
constexpr size_t kDotColumns = 4;      // columns of a block of dots

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

// kRows rows × kVectors vectors of C; unless kWhole, the last vector has fewer than 16 columns. No
// condition inside, or the compiler stores the sums at every step.
template <class V, size_t kRows, size_t kVectors, bool kWhole>
inline void strided_block(const RawProduct& p, size_t i, size_t j, size_t last) {
  using V16 = typename V::V16;
  V16 sums[kRows][kVectors];
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t v = 0; v < kVectors; ++v) sums[r][v] = V::zero();
  }
  const float* a = p.a + i * p.row;
  const float* b = p.b + j;
  for (size_t q = 0; q < p.k; ++q, a += p.step, b += p.ldb) {
    V16 right[kVectors];
    for (size_t v = 0; v + 1 < kVectors; ++v) right[v] = V::load(b + v * kWide);
    if constexpr (kWhole) {
      right[kVectors - 1] = V::load(b + (kVectors - 1) * kWide);
    } else {
      right[kVectors - 1] = V::load_first(b + (kVectors - 1) * kWide, last);
    }
    for (size_t r = 0; r < kRows; ++r) {
      const V16 left = V::splat(a[r * p.row]);
      for (size_t v = 0; v < kVectors; ++v) sums[r][v] = V::fma(left, right[v], sums[r][v]);
    }
  }
  for (size_t r = 0; r < kRows; ++r) {
    float* const out = p.c + (i + r) * p.ldc + j;
    for (size_t v = 0; v < kVectors; ++v) {
      finish_vector<V>(p, sums[r][v], out + v * kWide, kWhole || v + 1 < kVectors ? kWide : last);
    }
  }
}

template <class V, size_t kRows, size_t kVectors, bool kWhole>
inline void strided_tail(const RawProduct& p, size_t i, size_t j, size_t last, size_t rows) {
  if (rows == kRows) return strided_block<V, kRows, kVectors, kWhole>(p, i, j, last);
  if constexpr (kRows > 1) strided_tail<V, kRows - 1, kVectors, kWhole>(p, i, j, last, rows);
}

// All rows of C, in kVectors vectors of columns; rows in blocks of nearly one size.
template <class V, size_t kVectors>
inline void strided_rows(const RawProduct& p, size_t j, size_t cols) {
  constexpr size_t kMost = block_rows<V, kVectors>();
  const size_t last = cols - (kVectors - 1) * kWide;
  size_t i = 0;
  for (size_t blocks = (p.m + kMost - 1) / kMost; blocks > 0; --blocks) {
    const size_t rows = (p.m - i + blocks - 1) / blocks;
    if (last == kWide) {
      strided_tail<V, kMost, kVectors, true>(p, i, j, kWide, rows);
    } else {
      strided_tail<V, kMost, kVectors, false>(p, i, j, last, rows);
    }
    i += rows;
  }
}

// The same in as few vectors as it takes.
template <class V, size_t kVectors>
inline void strided_narrow(const RawProduct& p, size_t j, size_t cols) {
  if (cols > (kVectors - 1) * kWide) return strided_rows<V, kVectors>(p, j, cols);
  if constexpr (kVectors > 1) strided_narrow<V, kVectors - 1>(p, j, cols);
}

template <class V>
void strided(const RawProduct& p) {
  if (p.k > kPiece && p.m >= kPanelRows) return strided_in_panels<V, false>(p);
  // Panels of columns, so that k rows of B stay in the first-level cache for all rows of C.
  constexpr size_t kStep = V::kVectors * kWide;
  constexpr size_t kMost = block_rows<V, V::kVectors>();
  const size_t whole = p.n / kStep * kStep;
  size_t panel = p.k == 0 ? p.n : kPanelFloats / p.k / kStep * kStep;
  if (panel < kStep) panel = kStep;
  for (size_t begin = 0; begin < whole; begin += panel) {
    const size_t end = least(begin + panel, whole);
    size_t i = 0;
    for (size_t blocks = (p.m + kMost - 1) / kMost; blocks > 0; --blocks) {
      const size_t rows = (p.m - i + blocks - 1) / blocks;
      for (size_t j = begin; j < end; j += kStep) {
        strided_tail<V, kMost, V::kVectors, true>(p, i, j, kWide, rows);
      }
      i += rows;
    }
  }
  if (whole < p.n) strided_narrow<V, V::kVectors>(p, whole, p.n - whole);
}

// C[.., j .. j + cols) where B, turned, fits into one panel.
template <class V, size_t kVectors>
void turned_narrow(const RawProduct& p, size_t j, size_t cols) {
  if constexpr (kVectors > 1) {
    if (cols <= (kVectors - 1) * kWide) return turned_narrow<V, kVectors - 1>(p, j, cols);
  }
  constexpr size_t kStride = kVectors * kWide;
  alignas(64) float panel[kPiece * kStride];
  turn_panel<V, kVectors>({p.b + j * p.ldb, p.ldb, cols, p.k}, panel);
  RawProduct some = p;
  some.b = panel;
  some.ldb = kStride;
  some.c = p.c + j;
  strided_rows<V, kVectors>(some, 0, cols);
}

template <class V>
void turned(const RawProduct& p) {
  if (left_is_cheaper(p)) return turned_left<V>(p);
  if (p.k > kPiece) return strided_in_panels<V, true>(p);
  constexpr size_t kStep = V::kVectors * kWide;
  for (size_t j = 0; j < p.n; j += kStep) {
    turned_narrow<V, V::kVectors>(p, j, least(p.n - j, kStep));
  }
}

}  // namespace
}  // namespace chorus::kernels
