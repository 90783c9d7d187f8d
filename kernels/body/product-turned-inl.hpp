// C ← α·A·Bᵀ + β·C with one sum per number, for product-inl.hpp, which includes it; V as there.
#pragma once

#include <stddef.h>

#include "kernels/body/product-panel-inl.hpp"
#include "kernels/body/product-strided-inl.hpp"
#include "kernels/product_table.hpp"

namespace chorus::kernels {
namespace {

// C's rows i .. i + rows: Cᵀ = B·Aᵀ, so that B, the larger side, is read once as it lies.
template <class V, size_t kVectors>
void turned_panel(const RawProduct& p, size_t i, size_t rows) {
  constexpr size_t kStride = kVectors * kWide;
  constexpr size_t kColumns = 2 * kTileFloats / kStride;
  alignas(64) float panel[kPiece * kStride];
  alignas(64) float sums[kColumns * kStride];
  for (size_t j = 0; j < p.n; j += kColumns) {
    const size_t cols = least(p.n - j, kColumns);
    clear<V>(sums, cols * kStride);
    for (size_t q = 0; q < p.k; q += kPiece) {
      const size_t piece = least(p.k - q, kPiece);
      turn_panel<V, kVectors>({p.a + i * p.row + q, p.row, rows, piece}, panel);
      add_rows<V, kVectors>({p.b + j * p.ldb + q, p.ldb, 1}, panel, piece, sums, cols);
    }
    alignas(64) float lines[kWide * kWide];  // of C
    for (size_t r = 0; r < rows; r += kWide) {
      const size_t some = least(rows - r, kWide);
      for (size_t c = 0; c < cols; c += kWide) {
        const size_t wide = least(cols - c, kWide);
        V::turn({sums + c * kStride + r, kStride, wide, some}, lines, kWide);
        for (size_t s = 0; s < some; ++s) {
          float* const out = p.c + (i + r + s) * p.ldc + j + c;
          finish_vector<V>(p, V::load(lines + s * kWide), out, wide);
        }
      }
    }
  }
}

template <class V>
void turned_left(const RawProduct& p) {
  constexpr size_t kTwo = V::kVectors > 1 ? 2 : 1;
  size_t i = 0;
  for (; p.m - i > kWide; i += kTwo * kWide) {
    if (p.m - i <= kTwo * kWide) return turned_panel<V, kTwo>(p, i, p.m - i);
    turned_panel<V, kTwo>(p, i, kTwo * kWide);
  }
  if (i < p.m) turned_panel<V, 1>(p, i, p.m - i);
}

// Whether turning A, and C back, takes less than turning B; lanes that stay empty count, too.
inline bool left_is_cheaper(const RawProduct& p) {
  constexpr size_t kTurning = 12;  // multiplications that a turned number is worth
  const auto filled = [](size_t count) { return (count + kWide - 1) / kWide * kWide; };
  const size_t left = filled(p.m) * p.n * p.k + kTurning * p.m * (p.k + p.n);
  const size_t right = filled(p.n) * p.m * p.k + kTurning * p.n * p.k;
  return left < right;
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
