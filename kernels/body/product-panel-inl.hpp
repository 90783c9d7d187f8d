// Products whose sums are long: a panel of the right side is copied to where it stays in the
// first-level cache, and sums wait in a tile between one piece of k and the next. For
// product-inl.hpp, which includes it; V as there.
#pragma once

#include <stddef.h>

#include "kernels/product_table.hpp"

namespace chorus::kernels {
namespace {

constexpr size_t kWide = 16;          // floats of a V16
constexpr size_t kPiece = 256;        // of k
constexpr size_t kTileFloats = 8192;  // 32 KiB of sums; with the panel at most 96 KiB of stack
constexpr size_t kBlockRowsMax = 14;

inline float finish_one(const RawProduct& p, float sum, const float* c) {
  return p.beta == 0.0F ? p.alpha * sum : __builtin_fmaf(p.alpha, sum, p.beta * *c);
}

// A matrix whose element (i, q) lies at at[i * row + q * step].
struct Left {
  const float* at;
  size_t row, step;
};

// sums += left · panel for kRows rows; panel and sums have rows of kVectors vectors.
template <class V, size_t kRows, size_t kVectors>
inline void add_block(const Left& left, const float* panel, size_t k, float* sums) {
  using V16 = typename V::V16;
  constexpr size_t kStride = kVectors * kWide;
  V16 held[kRows][kVectors];
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t v = 0; v < kVectors; ++v) held[r][v] = V::load(sums + r * kStride + v * kWide);
  }
  const float* a = left.at;
  for (size_t q = 0; q < k; ++q, a += left.step, panel += kStride) {
    V16 right[kVectors];
    for (size_t v = 0; v < kVectors; ++v) right[v] = V::load(panel + v * kWide);
    for (size_t r = 0; r < kRows; ++r) {
      const V16 one = V::splat(a[r * left.row]);
      for (size_t v = 0; v < kVectors; ++v) held[r][v] = V::fma(one, right[v], held[r][v]);
    }
  }
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t v = 0; v < kVectors; ++v) V::store(sums + r * kStride + v * kWide, held[r][v]);
  }
}

template <class V, size_t kRows, size_t kVectors>
inline void add_tail(const Left& left, const float* panel, size_t k, float* sums, size_t rows) {
  if (rows == kRows) return add_block<V, kRows, kVectors>(left, panel, k, sums);
  if constexpr (kRows > 1) add_tail<V, kRows - 1, kVectors>(left, panel, k, sums, rows);
}

// The same for any number of rows, in blocks of nearly one size.
template <class V, size_t kVectors>
inline void add_rows(Left left, const float* panel, size_t k, float* sums, size_t rows) {
  constexpr size_t kFit = V::kSums / kVectors;
  constexpr size_t kMost = kFit < kBlockRowsMax ? kFit : kBlockRowsMax;
  for (size_t blocks = (rows + kMost - 1) / kMost; blocks > 0; --blocks) {
    const size_t some = (rows + blocks - 1) / blocks;
    add_tail<V, kMost, kVectors>(left, panel, k, sums, some);
    left.at += some * left.row;
    sums += some * kVectors * kWide;
    rows -= some;
  }
}

inline void clear(float* sums, size_t count) {
  for (size_t i = 0; i < count; ++i) sums[i] = 0.0F;
}

// C[.., j .. j + cols) for all rows of C.
template <class V, size_t kVectors>
void strided_panel(const RawProduct& p, size_t j, size_t cols) {
  constexpr size_t kStride = kVectors * kWide;
  constexpr size_t kRows = kTileFloats / kStride;
  alignas(64) float panel[kPiece * kStride];
  alignas(64) float sums[kRows * kStride];
  for (size_t i = 0; i < p.m; i += kRows) {
    const size_t rows = p.m - i < kRows ? p.m - i : kRows;
    clear(sums, rows * kStride);
    for (size_t q = 0; q < p.k; q += kPiece) {
      const size_t piece = p.k - q < kPiece ? p.k - q : kPiece;
      for (size_t r = 0; r < piece; ++r) {
        const float* const from = p.b + (q + r) * p.ldb + j;
        float* const to = panel + r * kStride;
        for (size_t c = 0; c < cols; ++c) to[c] = from[c];
        for (size_t c = cols; c < kStride; ++c) to[c] = 0.0F;
      }
      add_rows<V, kVectors>(
          {p.a + i * p.row + q * p.step, p.row, p.step}, panel, piece, sums, rows);
    }
    for (size_t r = 0; r < rows; ++r) {
      float* const out = p.c + (i + r) * p.ldc + j;
      for (size_t c = 0; c < cols; ++c) out[c] = finish_one(p, sums[r * kStride + c], out + c);
    }
  }
}

// Of at most kVectors vectors of columns.
template <class V, size_t kVectors>
void strided_last(const RawProduct& p, size_t j, size_t cols) {
  if (cols > (kVectors - 1) * kWide) return strided_panel<V, kVectors>(p, j, cols);
  if constexpr (kVectors > 1) strided_last<V, kVectors - 1>(p, j, cols);
}

template <class V>
void strided_in_panels(const RawProduct& p) {
  constexpr size_t kStep = V::kVectors * kWide;
  size_t j = 0;
  for (; j + kStep <= p.n; j += kStep) strided_panel<V, V::kVectors>(p, j, kStep);
  if (j < p.n) strided_last<V, V::kVectors>(p, j, p.n - j);
}

// C's rows i .. i + rows: Cᵀ = B·Aᵀ, so that B, the larger side, is read once as it lies.
template <class V, size_t kVectors>
void turned_panel(const RawProduct& p, size_t i, size_t rows) {
  constexpr size_t kStride = kVectors * kWide;
  constexpr size_t kColumns = 2 * kTileFloats / kStride;
  alignas(64) float panel[kPiece * kStride];
  alignas(64) float sums[kColumns * kStride];
  for (size_t j = 0; j < p.n; j += kColumns) {
    const size_t cols = p.n - j < kColumns ? p.n - j : kColumns;
    clear(sums, cols * kStride);
    for (size_t q = 0; q < p.k; q += kPiece) {
      const size_t piece = p.k - q < kPiece ? p.k - q : kPiece;
      for (size_t r = 0; r < rows; ++r) {
        const float* const from = p.a + (i + r) * p.row + q;
        for (size_t s = 0; s < piece; ++s) panel[s * kStride + r] = from[s];
      }
      for (size_t r = rows; r < kStride; ++r) {
        for (size_t s = 0; s < piece; ++s) panel[s * kStride + r] = 0.0F;
      }
      add_rows<V, kVectors>({p.b + j * p.ldb + q, p.ldb, 1}, panel, piece, sums, cols);
    }
    for (size_t r = 0; r < rows; ++r) {
      float* const out = p.c + (i + r) * p.ldc + j;
      for (size_t c = 0; c < cols; ++c) out[c] = finish_one(p, sums[c * kStride + r], out + c);
    }
  }
}

template <class V>
void turned(const RawProduct& p) {
  constexpr size_t kTwo = V::kVectors > 1 ? 2 : 1;
  size_t i = 0;
  for (; p.m - i > kWide; i += kTwo * kWide) {
    if (p.m - i <= kTwo * kWide) return turned_panel<V, kTwo>(p, i, p.m - i);
    turned_panel<V, kTwo>(p, i, kTwo * kWide);
  }
  if (i < p.m) turned_panel<V, 1>(p, i, p.m - i);
}

}  // namespace
}  // namespace chorus::kernels
