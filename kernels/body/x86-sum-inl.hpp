// The last steps of a sum, shared by the x86 products. To be included by sources in isa/ only: each
// compiles it anew, for its own instruction set.
#pragma once

#include <immintrin.h>

namespace chorus::kernels {
namespace {

[[gnu::always_inline]] inline float sum_of(__m128 four) {
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

/// {sum_of(a), sum_of(b), sum_of(c), sum_of(d)}
[[gnu::always_inline]] inline __m128 sums_of(__m128 a, __m128 b, __m128 c, __m128 d) {
  const __m128 ab = _mm_add_ps(_mm_movelh_ps(a, b), _mm_movehl_ps(b, a));
  const __m128 cd = _mm_add_ps(_mm_movelh_ps(c, d), _mm_movehl_ps(d, c));
  return _mm_add_ps(_mm_shuffle_ps(ab, cd, 0x88), _mm_shuffle_ps(ab, cd, 0xDD));
}

}  // namespace
}  // namespace chorus::kernels
