// Philox 4x32-10 for sixteen neighbouring blocks at once, so that the compiler makes vectors of it.
// The definition is philox4x32 of common/base/rng.cpp.
#pragma once

#if defined(__AVX512F__)
#include <immintrin.h>
#endif
#include <stddef.h>
#include <stdint.h>

#include "kernels/body/loops-inl.hpp"

namespace chorus::kernels {
namespace {

constexpr size_t kPhiloxBlocks = 16;

/// word[w][j] = word w of block first + j.
struct PhiloxWords {
  alignas(64) uint32_t word[4][kPhiloxBlocks];
};

/// The keys of the rounds, for many blocks.
struct PhiloxKeys {
  uint64_t low[10];
  uint64_t high[10];

  explicit PhiloxKeys(uint64_t key) {
    uint32_t of_low = static_cast<uint32_t>(key);
    uint32_t of_high = static_cast<uint32_t>(key >> 32U);
    for (int round = 0; round < 10; ++round) {
      low[round] = of_low;
      high[round] = of_high;
      of_low += 0x9E3779B9U;
      of_high += 0xBB67AE85U;
    }
  }
};

#if defined(__AVX512F__)
// GCC 12 makes 64-bit products of these, three times as dear as the 32-bit ones there are. Eight
// blocks to a vector, a word in the lower half of each lane; what is in the upper halves is never
// looked at.
struct Philox8 {
  __m512i a, b, c, d;
};

inline void philox_round(Philox8& x, __m512i low, __m512i high) {
  const __m512i p0 = _mm512_mul_epu32(x.a, _mm512_set1_epi64(0xD2511F53));
  const __m512i p1 = _mm512_mul_epu32(x.c, _mm512_set1_epi64(0xCD9E8D57));
  constexpr int kXor3 = 0x96;
  x.a = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p1, 32), x.b, low, kXor3);
  x.b = p1;
  x.c = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p0, 32), x.d, high, kXor3);
  x.d = p0;
}

inline Philox8 philox_counters(uint64_t first) {
  const __m512i block = _mm512_add_epi64(_mm512_set1_epi64(static_cast<long long>(first)),
                                         _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0));
  const __m512i none = _mm512_setzero_si512();
  return {block, _mm512_srli_epi64(block, 32), none, none};
}

// The lower halves of both.
inline void philox_store(__m512i x, __m512i y, uint32_t* to) {
  const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  _mm512_store_si512(to, _mm512_permutex2var_epi32(x, even, y));
}

inline void philox_blocks(const PhiloxKeys& keys, uint64_t first, PhiloxWords& out) {
  Philox8 x = philox_counters(first);
  Philox8 y = philox_counters(first + 8);
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const __m512i low = _mm512_set1_epi64(static_cast<long long>(keys.low[round]));
    const __m512i high = _mm512_set1_epi64(static_cast<long long>(keys.high[round]));
    philox_round(x, low, high);
    philox_round(y, low, high);
  }
  philox_store(x.a, y.a, out.word[0]);
  philox_store(x.b, y.b, out.word[1]);
  philox_store(x.c, y.c, out.word[2]);
  philox_store(x.d, y.d, out.word[3]);
}
#else
inline void philox_blocks(const PhiloxKeys& keys, uint64_t first, PhiloxWords& out) {
  uint32_t a[kPhiloxBlocks];
  uint32_t b[kPhiloxBlocks];
  uint32_t c[kPhiloxBlocks];
  uint32_t d[kPhiloxBlocks];
  CHORUS_ONE_VECTOR
  for (size_t j = 0; j < kPhiloxBlocks; ++j) {
    a[j] = static_cast<uint32_t>(first + j);
    b[j] = static_cast<uint32_t>((first + j) >> 32U);
    c[j] = 0;
    d[j] = 0;
  }
  for (int round = 0; round < 10; ++round) {
    const auto low = static_cast<uint32_t>(keys.low[round]);
    const auto high = static_cast<uint32_t>(keys.high[round]);
    CHORUS_ONE_VECTOR
    for (size_t j = 0; j < kPhiloxBlocks; ++j) {
      const uint64_t p0 = uint64_t{0xD2511F53U} * a[j];
      const uint64_t p1 = uint64_t{0xCD9E8D57U} * c[j];
      a[j] = static_cast<uint32_t>(p1 >> 32U) ^ b[j] ^ low;
      b[j] = static_cast<uint32_t>(p1);
      c[j] = static_cast<uint32_t>(p0 >> 32U) ^ d[j] ^ high;
      d[j] = static_cast<uint32_t>(p0);
    }
  }
  CHORUS_ONE_VECTOR
  for (size_t j = 0; j < kPhiloxBlocks; ++j) {
    out.word[0][j] = a[j];
    out.word[1][j] = b[j];
    out.word[2][j] = c[j];
    out.word[3][j] = d[j];
  }
}
#endif

}  // namespace
}  // namespace chorus::kernels
