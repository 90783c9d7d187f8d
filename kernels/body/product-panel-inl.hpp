// Products whose right side is copied, or turned, into a panel that stays in the first-level cache;
// where sums are long they wait in a tile between one piece of k and the next. For product-inl.hpp,
// which includes it; V as there.
#pragma once

#include <stddef.h>

#include "kernels/product_table.hpp"

// Of what a loop is made of; the compiler stops inlining in a file that grows as much as these.
#define CHORUS_INLINE [[gnu::always_inline]]

namespace chorus::kernels {
namespace {

constexpr size_t kWide = 16;          // floats of a V16
constexpr size_t kPiece = 256;        // of k
constexpr size_t kTileFloats = 8192;  // 32 KiB of sums; with the panel at most 96 KiB of stack
constexpr size_t kBlockRowsMax = 14;

// At most 16 × 16 numbers; rows are ld apart.
struct Block {
  const float* at;
  size_t ld;
  size_t rows, cols;
};

inline size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

CHORUS_INLINE inline float finish_one(const RawProduct& p, float sum, const float* c) {
  return p.beta == 0.0F ? p.alpha * sum : __builtin_fmaf(p.alpha, sum, p.beta * *c);
}

// The same for at most 16 sums in a row.
template <class V>
CHORUS_INLINE inline void finish_vector(const RawProduct& p,
                                        typename V::V16 sums,
                                        float* c,
                                        size_t count) {
  using V16 = typename V::V16;
  const V16 alpha = V::splat(p.alpha);
  V16 result = V::mul(alpha, sums);
  if (p.beta != 0.0F) {
    const V16 before = count == kWide ? V::load(c) : V::load_first(c, count);
    result = V::fma(alpha, sums, V::mul(V::splat(p.beta), before));
  }
  if (count == kWide) {
    V::store(c, result);
  } else {
    V::store_first(c, result, count);
  }
}

template <class V>
inline void finish_row(const RawProduct& p, const float* sums, float* c, size_t count) {
  for (size_t j = 0; j < count; j += kWide) {
    finish_vector<V>(p, V::load(sums + j), c + j, least(count - j, kWide));
  }
}

// A matrix whose element (i, q) lies at at[i * row + q * step].
struct Left {
  const float* at;
  size_t row, step;
};

// sums += left · panel for kRows rows; rows of panel and sums are kStride apart.
template <class V, size_t kRows, size_t kVectors, size_t kStride>
inline void add_block(const Left& left, const float* panel, size_t k, float* sums) {
  using V16 = typename V::V16;
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

template <class V, size_t kRows, size_t kVectors, size_t kStride>
inline void add_tail(const Left& left, const float* panel, size_t k, float* sums, size_t rows) {
  if (rows == kRows) return add_block<V, kRows, kVectors, kStride>(left, panel, k, sums);
  if constexpr (kRows > 1) add_tail<V, kRows - 1, kVectors, kStride>(left, panel, k, sums, rows);
}

// Rows of a block of so many vectors, so that its sums stay in registers.
template <class V, size_t kVectors>
constexpr size_t block_rows() {
  constexpr size_t kFit = V::kSums / kVectors;
  return kFit < kBlockRowsMax ? kFit : kBlockRowsMax;
}

// The same for any number of rows, in blocks of nearly one size.
template <class V, size_t kVectors, size_t kStride = kVectors* kWide>
inline void add_rows(Left left, const float* panel, size_t k, float* sums, size_t rows) {
  constexpr size_t kMost = block_rows<V, kVectors>();
  for (size_t blocks = (rows + kMost - 1) / kMost; blocks > 0; --blocks) {
    const size_t some = (rows + blocks - 1) / blocks;
    add_tail<V, kMost, kVectors, kStride>(left, panel, k, sums, some);
    left.at += some * left.row;
    sums += some * kStride;
    rows -= some;
  }
}

template <class V>
inline void clear(float* sums, size_t count) {
  for (size_t i = 0; i < count; i += kWide) V::store(sums + i, V::zero());
}

// to[c * kStride + r] = from.at[r * from.ld + c]: all cols of some rows, in kVectors vectors with
// zeros behind the last row.
template <class V, size_t kVectors, size_t kStride = kVectors* kWide>
inline void turn_panel(const Block& from, float* to) {
  for (size_t r = 0; r < kVectors * kWide; r += kWide) {
    const size_t rows = r < from.rows ? least(from.rows - r, kWide) : 0;
    const float* const at = rows > 0 ? from.at + r * from.ld : from.at;
    for (size_t c = 0; c < from.cols; c += kWide) {
      V::turn({at + c, from.ld, rows, least(from.cols - c, kWide)}, to + c * kStride + r, kStride);
    }
  }
}

// to[r * kStride + c] = from.at[r * from.ld + c], with zeros behind the last column.
template <class V, size_t kVectors, size_t kStride = kVectors* kWide>
inline void copy_panel(const Block& from, float* to) {
  for (size_t v = 0; v < kVectors; ++v) {
    const size_t c = v * kWide;
    const size_t cols = c < from.cols ? least(from.cols - c, kWide) : 0;
    for (size_t r = 0; r < from.rows; ++r) {
      const float* const at = from.at + r * from.ld + c;
      const auto line = cols == kWide ? V::load(at)
                        : cols == 0   ? V::zero()
                                      : V::load_first(at, cols);
      V::store(to + r * kStride + c, line);
    }
  }
}

// Columns j .. j + cols of C; kTurned: B's element (q, j) lies at b[j * ldb + q].
template <class V, size_t kVectors, bool kTurned>
void strided_panel(const RawProduct& p, size_t j, size_t cols) {
  constexpr size_t kStride = kVectors * kWide;
  constexpr size_t kRows = kTileFloats / kStride;
  alignas(64) float panel[kPiece * kStride];
  alignas(64) float sums[kRows * kStride];
  for (size_t i = 0; i < p.m; i += kRows) {
    const size_t rows = least(p.m - i, kRows);
    clear<V>(sums, rows * kStride);
    for (size_t q = 0; q < p.k; q += kPiece) {
      const size_t piece = least(p.k - q, kPiece);
      if constexpr (kTurned) {
        turn_panel<V, kVectors>({p.b + j * p.ldb + q, p.ldb, cols, piece}, panel);
      } else {
        copy_panel<V, kVectors>({p.b + q * p.ldb + j, p.ldb, piece, cols}, panel);
      }
      add_rows<V, kVectors>(
          {p.a + i * p.row + q * p.step, p.row, p.step}, panel, piece, sums, rows);
    }
    for (size_t r = 0; r < rows; ++r) {
      finish_row<V>(p, sums + r * kStride, p.c + (i + r) * p.ldc + j, cols);
    }
  }
}

// Of at most kVectors vectors of columns.
template <class V, size_t kVectors, bool kTurned>
void strided_last(const RawProduct& p, size_t j, size_t cols) {
  if (cols > (kVectors - 1) * kWide) return strided_panel<V, kVectors, kTurned>(p, j, cols);
  if constexpr (kVectors > 1) strided_last<V, kVectors - 1, kTurned>(p, j, cols);
}

template <class V, bool kTurned>
void strided_in_panels(const RawProduct& p) {
  constexpr size_t kStep = V::kVectors * kWide;
  size_t j = 0;
  for (; j + kStep <= p.n; j += kStep) strided_panel<V, V::kVectors, kTurned>(p, j, kStep);
  if (j < p.n) strided_last<V, V::kVectors, kTurned>(p, j, p.n - j);
}

}  // namespace
}  // namespace chorus::kernels
