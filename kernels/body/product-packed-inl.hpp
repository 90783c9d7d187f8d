// Products with a right side that was laid out in panels of kPackedColumns columns before, for
// being used many times. For product-inl.hpp, which includes it; V as there.
#pragma once

#include <stddef.h>

#include "kernels/body/product-panel-inl.hpp"
#include "kernels/product_table.hpp"

namespace chorus::kernels {
namespace {

constexpr size_t kPacked = 32;  // kPackedColumns
constexpr size_t kPackedRows = 32;
constexpr size_t kPackedGroup = kTileFloats / kPackedRows / kPacked;  // panels whose sums fit
constexpr size_t kPieceRow =
    kPiece + kWide;  // rows a power of two apart would share lines of cache

template <class V>
void pack(const RawPack& p) {
  float* to = p.to;
  for (size_t j = 0; j < p.n; j += kPacked, to += p.k * kPacked) {
    const size_t cols = least(p.n - j, kPacked);
    const float* const from = p.b + j * p.step;
    if (p.step == 1) {
      copy_panel<V, kPacked / kWide>({from, p.row, p.k, cols}, to);
    } else {
      turn_panel<V, kPacked / kWide>({from, p.step, cols, p.k}, to);
    }
  }
}

// sums += left · panel; vectors that do not fit into the registers together take turns.
template <class V>
inline void add_packed(const Left& left, const float* panel, size_t k, float* sums, size_t rows) {
  constexpr size_t kVectors = V::kVectors > 1 ? 2 : 1;
  for (size_t c = 0; c < kPacked; c += kVectors * kWide) {
    add_rows<V, kVectors, kPacked>(left, panel + c, k, sums + c, rows);
  }
}

// Some rows of C, in the columns of `count` panels from panel `first` on.
template <class V>
void packed_tile(const RawProduct& p, size_t first, size_t count, bool from_last) {
  alignas(64) float piece[kPackedRows * kPieceRow];
  alignas(64) float sums[kPackedGroup * kPackedRows * kPacked];
  clear<V>(sums, count * p.m * kPacked);
  for (size_t q = 0; q < p.k; q += kPiece) {
    const size_t some = least(p.k - q, kPiece);
    for (size_t r = 0; r < p.m; ++r) {
      const float* const from = p.a + r * p.row + q;
      float* const to = piece + r * kPieceRow;
      size_t s = 0;
      for (; s + kWide <= some; s += kWide) V::store(to + s, V::load(from + s));
      if (s < some) V::store(to + s, V::load_first(from + s, some - s));
    }
    for (size_t step = 0; step < count; ++step) {
      const size_t at = from_last ? count - 1 - step : step;
      const float* const panel = p.b + ((first + at) * p.k + q) * kPacked;
      add_packed<V>({piece, kPieceRow, 1}, panel, some, sums + at * p.m * kPacked, p.m);
    }
  }
  for (size_t at = 0; at < count; ++at) {
    const size_t j = (first + at) * kPacked;
    for (size_t r = 0; r < p.m; ++r) {
      const float* const row = sums + (at * p.m + r) * kPacked;
      finish_row<V>(p, row, p.c + r * p.ldc + j, least(p.n - j, kPacked));
    }
  }
}

template <class V>
void packed(const RawProduct& p, bool from_last) {
  const size_t panels = (p.n + kPacked - 1) / kPacked;
  const size_t groups = (panels + kPackedGroup - 1) / kPackedGroup;
  RawProduct rows = p;
  for (size_t i = 0; i < p.m; i += kPackedRows) {
    rows.m = least(p.m - i, kPackedRows);
    rows.a = p.a + i * p.row;
    rows.c = p.c + i * p.ldc;
    for (size_t step = 0; step < groups; ++step) {
      const size_t first = (from_last ? groups - 1 - step : step) * kPackedGroup;
      packed_tile<V>(rows, first, least(panels - first, kPackedGroup), from_last);
    }
  }
}

}  // namespace
}  // namespace chorus::kernels
