// Inner products of all pairs of rows in double, over the policy V of vector-inl.hpp. Rows are
// widened once, kGramPiece coordinates at a time; blocks of pairs keep their sums in registers.
#pragma once

#include <stddef.h>

#include "kernels/robust_table.hpp"

namespace chorus::kernels {
namespace {

constexpr size_t kGramPiece = 256;  // kGramScratch
constexpr size_t kGramWide = 8;     // kGramLanes

// Where the sums of rows a and b <= a are.
inline double* pair_of(double* sums, size_t a, size_t b) {
  return sums + (a * (a + 1) / 2 + b) * kGramWide;
}

// Rows a.. and b.. of a piece. kAcross: across the diagonal, where only pairs with b <= a have
// sums.
template <class V, size_t kRows, size_t kCols, bool kAcross>
void gram_block(const double* piece, size_t a, size_t b, size_t length, double* sums) {
  for (size_t lane = 0; lane < kGramWide; lane += V::kLanes) {
    typename V::F64 held[kRows][kCols];
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t c = 0; c < kCols; ++c) {
        held[r][c] =
            b + c <= a + r ? V::load_f64(pair_of(sums, a + r, b + c) + lane) : V::broadcast(0.0);
      }
    }
    const double* const left = piece + a * kGramPiece + lane;
    const double* const right = piece + b * kGramPiece + lane;
    for (size_t i = 0; i < length; i += kGramWide) {
      typename V::F64 across[kCols];
      for (size_t c = 0; c < kCols; ++c) across[c] = V::load_f64(right + c * kGramPiece + i);
      for (size_t r = 0; r < kRows; ++r) {
        const typename V::F64 down = V::load_f64(left + r * kGramPiece + i);
        for (size_t c = 0; c < kCols; ++c) held[r][c] = V::fma(down, across[c], held[r][c]);
      }
    }
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t c = 0; c < kCols; ++c) {
        if (!kAcross || b + c <= a + r)
          V::store_f64(pair_of(sums, a + r, b + c) + lane, held[r][c]);
      }
    }
  }
}

template <class V, size_t kRows, size_t kCols>
void gram_rows(const double* piece, size_t a, size_t length, double* sums) {
  size_t b = 0;
  for (; b + kCols <= a + 1; b += kCols) {
    gram_block<V, kRows, kCols, false>(piece, a, b, length, sums);
  }
  for (; b + kCols <= a + kRows; b += kCols) {
    gram_block<V, kRows, kCols, true>(piece, a, b, length, sums);
  }
  for (; b < a + kRows; ++b) gram_block<V, kRows, 1, true>(piece, a, b, length, sums);
}

template <class V, size_t kRows, size_t kCols>
void gram_last_rows(const double* piece, size_t a, size_t rows, size_t length, double* sums) {
  if (rows == kRows) return gram_rows<V, kRows, kCols>(piece, a, length, sums);
  if constexpr (kRows > 1) gram_last_rows<V, kRows - 1, kCols>(piece, a, rows, length, sums);
}

// Behind the last coordinate zeros up to a whole vector, which change no sum.
template <class V>
void widen_rows(const RawRows& x, size_t first, size_t count, double* piece) {
  const float* from = x.x + first;
  for (size_t k = 0; k < x.rows; ++k, from += x.stride, piece += kGramPiece) {
    size_t i = 0;
    for (; i + kGramWide <= count; i += kGramWide) {
      for (size_t lane = 0; lane < kGramWide; lane += V::kLanes) {
        V::store_f64(piece + i + lane, V::widen(from + i + lane));
      }
    }
    if (i == count) continue;
    for (size_t j = i; j < i + kGramWide; ++j) {
      piece[j] = j < count ? static_cast<double>(from[j]) : 0.0;
    }
  }
}

/// kRows · kCols sums, kCols + 1 operands: as many as there are registers.
template <class V, size_t kRows, size_t kCols>
void gram_add(const RawRows& x, double* piece, double* sums) {
  for (size_t first = 0; first < x.columns; first += kGramPiece) {
    const size_t count = x.columns - first < kGramPiece ? x.columns - first : kGramPiece;
    widen_rows<V>(x, first, count, piece);
    size_t a = 0;
    for (; a + kRows <= x.rows; a += kRows) gram_rows<V, kRows, kCols>(piece, a, count, sums);
    if (a < x.rows) gram_last_rows<V, kRows - 1, kCols>(piece, a, x.rows - a, count, sums);
  }
}

}  // namespace
}  // namespace chorus::kernels
