// Elements of at least some magnitude and where they are; see body/codes-inl.hpp.
#pragma once

#if defined(__AVX512F__)
#include <immintrin.h>
#endif
#include <stddef.h>
#include <stdint.h>

#include "kernels/body/loops-inl.hpp"

namespace chorus::kernels {
namespace {

constexpr size_t kAside = 16;  // compared side by side, whatever a vector holds

// Magnitudes order like the integers that are their bits.
inline uint32_t magnitude_bits(float x) {
  return __builtin_bit_cast(uint32_t, x) & 0x7FFFFFFFU;
}

// Where the elements found go.
struct Found {
  uint32_t* indices;
  float* values;
  size_t room, count;
};

// Those of some elements, one by one.
inline void append_above(const float* x, size_t begin, size_t end, uint32_t least, Found& found) {
  for (size_t i = begin; i < end; ++i) {
    if (magnitude_bits(x[i]) < least) continue;
    if (found.count < found.room) {
      found.indices[found.count] = static_cast<uint32_t>(i);
      found.values[found.count] = x[i];
    }
    ++found.count;
  }
}

#if defined(__AVX512F__)
// As many whole lines as there is room for, whatever they have.
inline size_t compress_above(const float* x, size_t n, uint32_t least, Found& found) {
  const __m512i mask = _mm512_set1_epi32(0x7FFFFFFF);
  const __m512i leasts = _mm512_set1_epi32(static_cast<int>(least));
  __m512i here = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  size_t i = 0;
  for (; i + kAside <= n && found.count + kAside <= found.room; i += kAside) {
    const __m512i line = _mm512_loadu_si512(x + i);
    const __mmask16 above = _mm512_cmpge_epu32_mask(_mm512_and_si512(line, mask), leasts);
    if (above != 0) {
      uint32_t* const values = reinterpret_cast<uint32_t*>(found.values + found.count);
      _mm512_storeu_si512(found.indices + found.count, _mm512_maskz_compress_epi32(above, here));
      _mm512_storeu_si512(values, _mm512_maskz_compress_epi32(above, line));
      found.count += static_cast<size_t>(__builtin_popcount(above));
    }
    here = _mm512_add_epi32(here, _mm512_set1_epi32(kAside));
  }
  return i;
}
#else
inline size_t compress_above(const float*, size_t, uint32_t, Found&) {
  return 0;
}
#endif

// Most lines have none: one test for all of a line.
size_t elements_above(
    const float* x, float bound, uint32_t* indices, float* values, size_t room, size_t n) {
  const uint32_t least = bound > 0.0F ? magnitude_bits(bound) : 0;
  Found found{indices, values, room, 0};
  size_t i = compress_above(x, n, least, found);
  for (; i + kAside <= n; i += kAside) {
    uint32_t any = 0;
    CHORUS_ONE_VECTOR
    for (size_t j = 0; j < kAside; ++j) any |= magnitude_bits(x[i + j]) >= least ? 1U : 0U;
    if (any != 0) append_above(x, i, i + kAside, least, found);
  }
  append_above(x, i, n, least, found);
  return found.count;
}

}  // namespace
}  // namespace chorus::kernels
