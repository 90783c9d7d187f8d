// The fold of codes whose unit and base are whole numbers of lane units: a 52-bit multiply-add in
// place of conversion, multiplication, rounding and addition. To be included by isa/avx512.cpp
// only; to be called where the CPU has IFMA, which is no part of that variant.
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/body/fold-inl.hpp"

namespace chorus::kernels {
namespace {

// Beyond the bucket, whose end the processor's own prefetching does not see past.
constexpr size_t kCodesAhead = 1024;

template <size_t kCount>
[[gnu::target("avx512ifma")]] void fold_products_pass(
    const uint8_t* const* codes, const uint64_t* units, int64_t base, int64_t* acc, size_t n) {
  constexpr size_t kCodesLine = 64;
  constexpr size_t kLanes = 8;
  __m512i unit[kCount];
  for (size_t k = 0; k < kCount; ++k) unit[k] = _mm512_set1_epi64(static_cast<int64_t>(units[k]));
  const __m512i bases = _mm512_set1_epi64(base);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    if (i % kCodesLine == 0) {
#pragma GCC unroll 8
      for (size_t k = 0; k < kCount; ++k) prefetch(codes[k], i + kCodesAhead);
    }
    prefetch(acc, i + 2 * kFoldAhead);
    __m512i sum = _mm512_add_epi64(bases, _mm512_loadu_si512(acc + i));
#pragma GCC unroll 8  // or the units would be read from memory again and again
    for (size_t k = 0; k < kCount; ++k) {
      const auto* eight = reinterpret_cast<const __m128i*>(codes[k] + i);
      const __m512i code = _mm512_cvtepu8_epi64(_mm_loadl_epi64(eight));
      sum = _mm512_madd52lo_epu64(sum, code, unit[k]);
    }
    _mm512_storeu_si512(acc + i, sum);
  }
  for (; i < n; ++i) {
    int64_t sum = add_wrapping(acc[i], base);
    for (size_t k = 0; k < kCount; ++k) {
      sum = add_wrapping(sum, static_cast<int64_t>(units[k] * codes[k][i]));
    }
    acc[i] = sum;
  }
}

// Eight at once, of which some may be no more than a repetition times 0; or one by one.
void fold_products(const uint8_t* const* codes,
                   const uint64_t* units,
                   int64_t base,
                   size_t count,
                   int64_t* acc,
                   size_t n) {
  if (count < 3) {
    fold_products_pass<1>(codes, units, base, acc, n);
    if (count == 2) fold_products_pass<1>(codes + 1, units + 1, 0, acc, n);
    return;
  }
  const uint8_t* all_codes[8];
  uint64_t all_units[8];
  for (size_t k = 0; k < 8; ++k) {
    all_codes[k] = codes[k < count ? k : 0];
    all_units[k] = k < count ? units[k] : 0;
  }
  fold_products_pass<8>(all_codes, all_units, base, acc, n);
}

}  // namespace
}  // namespace chorus::kernels
