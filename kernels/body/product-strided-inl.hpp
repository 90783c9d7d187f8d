// C ← α·A·B + β·C, for product-inl.hpp, which includes it; V as there.
#pragma once

#include <stddef.h>

#include "kernels/body/product-panel-inl.hpp"
#include "kernels/product_table.hpp"

namespace chorus::kernels {
namespace {

constexpr size_t kPanelRows = 20;      // from where on copying a panel pays
constexpr size_t kPanelFloats = 8192;  // of B that stay in the first-level cache: 32 KiB

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

}  // namespace
}  // namespace chorus::kernels
