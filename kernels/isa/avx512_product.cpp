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
  static constexpr size_t kRows = 6;     // 6 · 4 sums, 4 + 1 operands
  static constexpr size_t kVectors = 4;
  static constexpr size_t kSums = 24;  // of a block in panels

  static V16 zero() { return _mm512_setzero_ps(); }
  static V16 splat(float x) { return _mm512_set1_ps(x); }
  static V16 load(const float* p) { return _mm512_loadu_ps(p); }
  static V16 load_first(const float* p, size_t count) {
    return _mm512_maskz_loadu_ps(first(count), p);
  }
  static void store(float* p, V16 v) { _mm512_storeu_ps(p, v); }
  static void store_first(float* p, V16 v, size_t count) {
    _mm512_mask_storeu_ps(p, first(count), v);
  }
  static V16 fma(V16 a, V16 b, V16 c) { return _mm512_fmadd_ps(a, b, c); }
  static V16 mul(V16 a, V16 b) { return _mm512_mul_ps(a, b); }

  static __m128 quarter(V16 v) {
    const __m256 high = _mm512_extractf32x8_ps(v, 1);
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(v), high);
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  }
  static float sum(V16 v) { return sum_of(quarter(v)); }
  static void sum4(V16 v0, V16 v1, V16 v2, V16 v3, float* out) {
    _mm_storeu_ps(out, sums_of(quarter(v0), quarter(v1), quarter(v2), quarter(v3)));
  }

 private:
  static __mmask16 first(size_t count) { return static_cast<__mmask16>((1U << count) - 1U); }
};

}  // namespace

constinit const ProductTable kAvx512ProductTable = {dots<Avx512>, turned<Avx512>, strided<Avx512>};

}  // namespace chorus::kernels
