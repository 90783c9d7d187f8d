// The policy of vector-inl.hpp for AVX-512 (F, DQ, VL, BW).
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/body/fold-inl.hpp"

namespace chorus::kernels {
namespace {

struct Avx512 {
  static constexpr size_t kLanes = 8;
  static constexpr size_t kFloats = 16;
  using F32 = __m512;
  using F64 = __m512d;
  using I64 = __m512i;

  static F64 widen(const float* p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
  static F64 widen_codes(const uint8_t* p) {
    const __m128i codes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    return _mm512_cvtepi32_pd(_mm256_cvtepu8_epi32(codes));
  }
  static F64 fma(F64 a, F64 b, F64 c) { return _mm512_fmadd_pd(a, b, c); }
  static void narrow(float* p, F64 v) { _mm256_storeu_ps(p, _mm512_cvtpd_ps(v)); }
  static F64 broadcast(double v) { return _mm512_set1_pd(v); }
  static F64 load_f64(const double* p) { return _mm512_loadu_pd(p); }
  static void store_f64(double* p, F64 v) { _mm512_storeu_pd(p, v); }
  static F64 add(F64 a, F64 b) { return _mm512_add_pd(a, b); }
  static F64 mul(F64 a, F64 b) { return _mm512_mul_pd(a, b); }
  static F64 div(F64 a, F64 b) { return _mm512_div_pd(a, b); }

  static F32 load_f32(const float* p) { return _mm512_loadu_ps(p); }
  static void store_f32(float* p, F32 v) { _mm512_storeu_ps(p, v); }
  static F32 sub_f32(F32 a, F32 b) { return _mm512_sub_ps(a, b); }
  static F32 add_f32(F32 a, F32 b) { return _mm512_add_ps(a, b); }
  static F32 zero_f32() { return _mm512_setzero_ps(); }
  static F32 lesser(F32 a, F32 b) { return _mm512_min_ps(a, b); }
  static F32 greater(F32 a, F32 b) { return _mm512_max_ps(a, b); }

  static I64 load_i64(const int64_t* p) { return _mm512_loadu_si512(p); }
  static void store_i64(int64_t* p, I64 v) { _mm512_storeu_si512(p, v); }
  static I64 add_i64(I64 a, I64 b) { return _mm512_add_epi64(a, b); }
  static F64 to_f64(I64 v) { return _mm512_cvtepi64_pd(v); }

  static int64_t round_one(double v) { return _mm_cvtsd_si64(_mm_set_sd(v)); }

  using Sum = I64;
  static Sum begin(I64 acc) { return acc; }
  static void accumulate(Sum& sum, F64 v) { sum = _mm512_add_epi64(sum, _mm512_cvtpd_epi64(v)); }
  template <size_t kCount>
  static I64 finish(Sum sum) {
    return sum;
  }

  using Magnitude = I64;
  static Magnitude no_magnitude() { return _mm512_setzero_si512(); }
  static Magnitude widest(Magnitude so_far, const float* line) {
    const I64 bits = _mm512_and_si512(_mm512_loadu_si512(line), _mm512_set1_epi32(0x7FFFFFFF));
    return _mm512_max_epu32(so_far, bits);
  }
  static uint32_t widest_bits(Magnitude m) { return _mm512_reduce_max_epu32(m); }
};

}  // namespace
}  // namespace chorus::kernels
