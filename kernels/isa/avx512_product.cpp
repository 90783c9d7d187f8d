// Products with AVX-512 (F, DQ, VL, BW; FMA is part of F). Nothing here may be visible to the
// linker but the table.
#include <immintrin.h>

#include "kernels/body/product-inl.hpp"
#include "kernels/body/x86-sum-inl.hpp"

namespace chorus::kernels {
namespace {

struct Avx512 {
  using V16 = __m512;
  static constexpr size_t kDotRows = 5;  // 5 · 4 sums, 4 + 1 operands
  static constexpr size_t kVectors = 4;
  static constexpr size_t kSums = 24;  // of a block; with 4 + 1 operands

  CHORUS_INLINE static V16 zero() { return _mm512_setzero_ps(); }
  CHORUS_INLINE static V16 splat(float x) { return _mm512_set1_ps(x); }
  CHORUS_INLINE static V16 load(const float* p) { return _mm512_loadu_ps(p); }
  CHORUS_INLINE static V16 load_first(const float* p, size_t count) {
    return _mm512_maskz_loadu_ps(first(count), p);
  }
  CHORUS_INLINE static void store(float* p, V16 v) { _mm512_storeu_ps(p, v); }
  CHORUS_INLINE static void store_first(float* p, V16 v, size_t count) {
    _mm512_mask_storeu_ps(p, first(count), v);
  }
  CHORUS_INLINE static V16 fma(V16 a, V16 b, V16 c) { return _mm512_fmadd_ps(a, b, c); }
  CHORUS_INLINE static V16 mul(V16 a, V16 b) { return _mm512_mul_ps(a, b); }

  CHORUS_INLINE static __m128 quarter(V16 v) {
    const __m256 high = _mm512_extractf32x8_ps(v, 1);
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(v), high);
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  }
  CHORUS_INLINE static float sum(V16 v) { return sum_of(quarter(v)); }
  CHORUS_INLINE static void sum4(V16 v0, V16 v1, V16 v2, V16 v3, float* out) {
    _mm_storeu_ps(out, sums_of(quarter(v0), quarter(v1), quarter(v2), quarter(v3)));
  }
  // Pairs of rows, pairs of pairs, then 4 × 4 quarters of a register.
  static void turn(const Block& from, float* to, size_t ldt) {
    V16 row[kWide];
    V16 pair[kWide];
    V16 four[kWide];
    const __mmask16 there = first(from.cols);
    for (size_t r = 0; r < kWide; ++r) {
      row[r] = r < from.rows ? _mm512_maskz_loadu_ps(there, from.at + r * from.ld) : zero();
    }
    for (size_t r = 0; r < kWide; r += 2) {
      pair[r] = _mm512_unpacklo_ps(row[r], row[r + 1]);
      pair[r + 1] = _mm512_unpackhi_ps(row[r], row[r + 1]);
    }
    for (size_t r = 0; r < kWide; r += 4) {
      four[r] = joined_low(pair[r], pair[r + 2]);
      four[r + 1] = joined_high(pair[r], pair[r + 2]);
      four[r + 2] = joined_low(pair[r + 1], pair[r + 3]);
      four[r + 3] = joined_high(pair[r + 1], pair[r + 3]);
    }
    V16 out[kWide];
    for (size_t c = 0; c < 4; ++c) {
      const V16 low0 = _mm512_shuffle_f32x4(four[c], four[c + 4], 0x44);
      const V16 high0 = _mm512_shuffle_f32x4(four[c], four[c + 4], 0xEE);
      const V16 low1 = _mm512_shuffle_f32x4(four[c + 8], four[c + 12], 0x44);
      const V16 high1 = _mm512_shuffle_f32x4(four[c + 8], four[c + 12], 0xEE);
      out[c] = _mm512_shuffle_f32x4(low0, low1, 0x88);
      out[c + 4] = _mm512_shuffle_f32x4(low0, low1, 0xDD);
      out[c + 8] = _mm512_shuffle_f32x4(high0, high1, 0x88);
      out[c + 12] = _mm512_shuffle_f32x4(high0, high1, 0xDD);
    }
    for (size_t c = 0; c < kWide; ++c) {
      if (c < from.cols) store(to + c * ldt, out[c]);
    }
  }

 private:
  static V16 joined_low(V16 a, V16 b) {
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  }
  static V16 joined_high(V16 a, V16 b) {
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  }
  static __mmask16 first(size_t count) { return static_cast<__mmask16>((1U << count) - 1U); }
};

}  // namespace

constinit const ProductTable kAvx512ProductTable = {
    dots<Avx512>, turned<Avx512>, strided<Avx512>, pack<Avx512>, packed<Avx512>};

}  // namespace chorus::kernels
