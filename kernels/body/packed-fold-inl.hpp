// The fold of packed codes of at most 4 bits with AVX-512: sixteen addends lie in two registers,
// and a shift is all that it takes to find them. To be included by isa/avx512.cpp only.
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/body/fold-inl.hpp"

namespace chorus::kernels {
namespace {

// fma(unit, values[c], base) for c of 0 to 15, rounded to nearest, ties to even.
struct Addends {
  __m512i low, high;
};

inline Addends addends_of(const float* values, double base, double unit) {
  const __m512d units = _mm512_set1_pd(unit);
  const __m512d bases = _mm512_set1_pd(base);
  const __m512d low = _mm512_cvtps_pd(_mm256_loadu_ps(values));
  const __m512d high = _mm512_cvtps_pd(_mm256_loadu_ps(values + 8));
  return {_mm512_cvtpd_epi64(_mm512_fmadd_pd(units, low, bases)),
          _mm512_cvtpd_epi64(_mm512_fmadd_pd(units, high, bases))};
}

// acc[0..7] += the addends of eight codes, which begin so many bits after a place that has eight
// bytes. What a word has beyond a code is beyond the four bits that a permutation looks at, or
// values repeat.
template <size_t kCount>
inline void fold_group(const uint8_t* const* codes,
                       size_t place,
                       __m512i shifts,
                       const Addends* addends,
                       int64_t* acc) {
  __m512i sum = _mm512_loadu_si512(acc);
#pragma GCC unroll 8  // or the addends would be read from memory again and again
  for (size_t k = 0; k < kCount; ++k) {
    int64_t word;
    memcpy(&word, codes[k] + place, sizeof word);
    const __m512i index = _mm512_srlv_epi64(_mm512_set1_epi64(word), shifts);
    sum = _mm512_add_epi64(sum, _mm512_permutex2var_epi64(addends[k].low, index, addends[k].high));
  }
  _mm512_storeu_si512(acc, sum);
}

// Eight codes take `bits` bytes.
template <size_t kCount>
void fold_packed_pass(const uint8_t* const* codes,
                      unsigned bits,
                      const float* const* values,
                      const double* bases,
                      const double* units,
                      int64_t* acc,
                      size_t n) {
  constexpr size_t kGroup = 8;
  constexpr size_t kWord = sizeof(int64_t);
  Addends addends[kCount];
  for (size_t k = 0; k < kCount; ++k) addends[k] = addends_of(values[k], bases[k], units[k]);
  const __m512i shifts = _mm512_mullo_epi64(_mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0),
                                            _mm512_set1_epi64(static_cast<int64_t>(bits)));
  const size_t bytes = (n * bits + 7) / 8;
  size_t i = 0;
  size_t at = 0;
  for (; i + kGroup <= n && at + kWord <= bytes; i += kGroup, at += bits) {
    prefetch(acc, i + 2 * kFoldAhead);
    fold_group<kCount>(codes, at, shifts, addends, acc + i);
  }
  // Of the last word that is there.
  for (; i + kGroup <= n && bytes >= kWord; i += kGroup, at += bits) {
    const auto passed = static_cast<int64_t>(8 * (at + kWord - bytes));
    const __m512i further = _mm512_add_epi64(shifts, _mm512_set1_epi64(passed));
    for (size_t k = 0; k < kCount; ++k) {
      fold_group<1>(codes + k, bytes - kWord, further, addends + k, acc + i);
    }
  }
  if (i == n) return;
  int64_t table[kCount][16];
  for (size_t k = 0; k < kCount; ++k) {
    _mm512_storeu_si512(table[k], addends[k].low);
    _mm512_storeu_si512(table[k] + 8, addends[k].high);
  }
  const unsigned mask = (1U << bits) - 1U;
  for (; i < n; ++i) {
    const size_t bit = i * bits;
    int64_t sum = acc[i];
    for (size_t k = 0; k < kCount; ++k) {
      unsigned word = codes[k][bit / 8];
      if (bit % 8 + bits > 8) word |= unsigned{codes[k][bit / 8 + 1]} << 8U;
      sum = add_wrapping(sum, table[k][(word >> (bit % 8)) & mask]);
    }
    acc[i] = sum;
  }
}

// Eight at once, or one by one: a pass for each count would be several times the code, which every
// device has, too.
void fold_packed(const uint8_t* const* codes,
                 unsigned bits,
                 const float* const* values,
                 const double* bases,
                 const double* units,
                 size_t count,
                 int64_t* acc,
                 size_t n) {
  if (count == 8) return fold_packed_pass<8>(codes, bits, values, bases, units, acc, n);
  for (size_t k = 0; k < count; ++k) {
    fold_packed_pass<1>(codes + k, bits, values + k, bases + k, units + k, acc, n);
  }
}

}  // namespace
}  // namespace chorus::kernels
