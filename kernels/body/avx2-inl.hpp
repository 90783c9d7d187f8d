// The policy of vector-inl.hpp for AVX2.
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/body/fold-inl.hpp"

namespace chorus::kernels {
namespace {

struct Avx2 {
  static constexpr size_t kLanes = 4;
  static constexpr size_t kFloats = 8;
  using F32 = __m256;
  using F64 = __m256d;
  using I64 = __m256i;

  static F64 widen(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
  static F64 widen_codes(const uint8_t* p) {
    uint32_t four;
    __builtin_memcpy(&four, p, sizeof four);
    return _mm256_cvtepi32_pd(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(static_cast<int>(four))));
  }
  static F64 fma(F64 a, F64 b, F64 c) { return _mm256_fmadd_pd(a, b, c); }
  static void narrow(float* p, F64 v) { _mm_storeu_ps(p, _mm256_cvtpd_ps(v)); }
  static F64 broadcast(double v) { return _mm256_set1_pd(v); }
  static F64 load_f64(const double* p) { return _mm256_loadu_pd(p); }
  static void store_f64(double* p, F64 v) { _mm256_storeu_pd(p, v); }
  static F64 add(F64 a, F64 b) { return _mm256_add_pd(a, b); }
  static F64 mul(F64 a, F64 b) { return _mm256_mul_pd(a, b); }
  static F64 div(F64 a, F64 b) { return _mm256_div_pd(a, b); }

  static F32 load_f32(const float* p) { return _mm256_loadu_ps(p); }
  static void store_f32(float* p, F32 v) { _mm256_storeu_ps(p, v); }
  static F32 sub_f32(F32 a, F32 b) { return _mm256_sub_ps(a, b); }
  static F32 add_f32(F32 a, F32 b) { return _mm256_add_ps(a, b); }
  static F32 zero_f32() { return _mm256_setzero_ps(); }
  static F32 lesser(F32 a, F32 b) { return _mm256_min_ps(a, b); }
  static F32 greater(F32 a, F32 b) { return _mm256_max_ps(a, b); }

  static I64 load_i64(const int64_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static void store_i64(int64_t* p, I64 v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
  }
  static I64 add_i64(I64 a, I64 b) { return _mm256_add_epi64(a, b); }

  // AVX2 has no int64 -> double. With v = high·2^32 + low, high signed and low unsigned, both
  // halves become doubles by placing them in the mantissa of 2^84 and 2^52. Taking 2^84 + 2^63 +
  // 2^52 off the first is exact, so that the last addition is the only rounding.
  static F64 to_f64(I64 v) {
    const I64 low_base = _mm256_set1_epi64x(0x4330000000000000);   // 2^52
    const I64 high_base = _mm256_set1_epi64x(0x4530000080000000);  // 2^84 + 2^63
    const F64 both = _mm256_set1_pd(0x1.0p84 + 0x1.0p63 + 0x1.0p52);
    const I64 low = _mm256_blend_epi32(low_base, v, 0x55);
    const I64 high = _mm256_xor_si256(_mm256_srli_epi64(v, 32), high_base);
    return _mm256_add_pd(_mm256_sub_pd(_mm256_castsi256_pd(high), both), _mm256_castsi256_pd(low));
  }

  static int64_t round_one(double v) { return _mm_cvtsd_si64(_mm_set_sd(v)); }

  // Nor has it double -> int64. Adding 1.5·2^84 rounds v to a multiple of 2^32 and leaves that
  // multiple in the low mantissa bits; what remains, at most 2^31 in magnitude, is exact, and
  // adding 1.5·2^52 rounds it to the nearest integer, ties to even (2^32 is even, so the parity is
  // that of v) and leaves it in the mantissa. Both are summed as bit patterns: the shift drops the
  // exponent and offset of the first, one subtraction per pass those of the second. Valid for
  // |v| < 2^62, without branches.
  static constexpr double kHighBase = 0x1.8p84;
  static constexpr double kLowBase = 0x1.8p52;
  struct Sum {
    I64 low;
    I64 high;
  };
  static Sum begin(I64 acc) { return {acc, _mm256_setzero_si256()}; }
  static void accumulate(Sum& sum, F64 v) {
    const F64 base = _mm256_set1_pd(kHighBase);
    const F64 high = _mm256_add_pd(v, base);
    const F64 rest = _mm256_sub_pd(v, _mm256_sub_pd(high, base));
    const F64 low = _mm256_add_pd(rest, _mm256_set1_pd(kLowBase));
    sum.high = _mm256_add_epi64(sum.high, _mm256_castpd_si256(high));
    sum.low = _mm256_add_epi64(sum.low, _mm256_castpd_si256(low));
  }
  template <size_t kCount>
  static I64 finish(const Sum& sum) {
    constexpr uint64_t kOffset = kCount * __builtin_bit_cast(uint64_t, kLowBase);
    const I64 low = _mm256_sub_epi64(sum.low, _mm256_set1_epi64x(static_cast<int64_t>(kOffset)));
    return _mm256_add_epi64(low, _mm256_slli_epi64(sum.high, 32));
  }

  using Magnitude = I64;
  static Magnitude no_magnitude() { return _mm256_setzero_si256(); }
  static Magnitude widest(Magnitude so_far, const float* line) {
    const I64 mask = _mm256_set1_epi32(0x7FFFFFFF);
    const auto* halves = reinterpret_cast<const __m256i*>(line);
    const I64 first = _mm256_and_si256(_mm256_loadu_si256(halves), mask);
    const I64 second = _mm256_and_si256(_mm256_loadu_si256(halves + 1), mask);
    return _mm256_max_epu32(so_far, _mm256_max_epu32(first, second));
  }
  static uint32_t widest_bits(Magnitude m) {
    __m128i best = _mm_max_epu32(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1));
    best = _mm_max_epu32(best, _mm_shuffle_epi32(best, 0x4E));
    best = _mm_max_epu32(best, _mm_shuffle_epi32(best, 0xB1));
    return static_cast<uint32_t>(_mm_cvtsi128_si32(best));
  }
};

}  // namespace
}  // namespace chorus::kernels
