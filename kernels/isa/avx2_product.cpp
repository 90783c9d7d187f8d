// Products with AVX2 and FMA. Nothing here may be visible to the linker but the table.
#include <immintrin.h>

#include "kernels/body/product-inl.hpp"
#include "kernels/body/x86-sum-inl.hpp"

namespace chorus::kernels {
namespace {

// 0 or all ones in the first `count` of 8 lanes, read from the middle of this.
alignas(32) constexpr int kMask[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

struct Avx2 {
  struct V16 {
    __m256 low, high;
  };
  static constexpr size_t kDotRows = 1;  // 1 · 4 sums of two registers, 4 · 2 operands
  static constexpr size_t kVectors = 2;
  static constexpr size_t kSums = 6;  // of two registers each, with 2 · 2 + 2 operands

  CHORUS_INLINE static V16 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  CHORUS_INLINE static V16 splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  CHORUS_INLINE static V16 load(const float* p) {
    return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
  }
  CHORUS_INLINE static V16 load_first(const float* p, size_t count) {
    if (count <= 8) return {_mm256_maskload_ps(p, first(count)), _mm256_setzero_ps()};
    return {_mm256_loadu_ps(p), _mm256_maskload_ps(p + 8, first(count - 8))};
  }
  CHORUS_INLINE static void store(float* p, V16 v) {
    _mm256_storeu_ps(p, v.low);
    _mm256_storeu_ps(p + 8, v.high);
  }
  CHORUS_INLINE static void store_first(float* p, V16 v, size_t count) {
    if (count <= 8) return _mm256_maskstore_ps(p, first(count), v.low);
    _mm256_storeu_ps(p, v.low);
    _mm256_maskstore_ps(p + 8, first(count - 8), v.high);
  }
  CHORUS_INLINE static V16 fma(V16 a, V16 b, V16 c) {
    return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
  }
  CHORUS_INLINE static V16 mul(V16 a, V16 b) {
    return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
  }

  CHORUS_INLINE static __m128 quarter(V16 v) {
    const __m256 half = _mm256_add_ps(v.low, v.high);
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  }
  CHORUS_INLINE static float sum(V16 v) { return sum_of(quarter(v)); }
  CHORUS_INLINE static void sum4(V16 v0, V16 v1, V16 v2, V16 v3, float* out) {
    _mm_storeu_ps(out, sums_of(quarter(v0), quarter(v1), quarter(v2), quarter(v3)));
  }
  static void turn(const Block& from, float* to, size_t ldt) {
    for (size_t c = 0; c < from.cols; c += 8) {
      turn8(from, 0, c, to + c * ldt, ldt);
      turn8(from, 8, c, to + c * ldt + 8, ldt);
    }
  }

 private:
  // 8 × 8 of a block, from row r and column c on.
  static void turn8(const Block& from, size_t r, size_t c, float* to, size_t ldt) {
    const size_t cols = from.cols - c < 8 ? from.cols - c : 8;
    const __m256i there = first(cols);
    __m256 row[8];
    __m256 pair[8];
    __m256 four[8];
    for (size_t i = 0; i < 8; ++i) {
      row[i] = r + i < from.rows ? _mm256_maskload_ps(from.at + (r + i) * from.ld + c, there)
                                 : _mm256_setzero_ps();
    }
    for (size_t i = 0; i < 8; i += 2) {
      pair[i] = _mm256_unpacklo_ps(row[i], row[i + 1]);
      pair[i + 1] = _mm256_unpackhi_ps(row[i], row[i + 1]);
    }
    for (size_t i = 0; i < 8; i += 4) {
      four[i] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0x44);
      four[i + 1] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0xEE);
      four[i + 2] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0x44);
      four[i + 3] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0xEE);
    }
    for (size_t i = 0; i < 4; ++i) {
      if (i < cols)
        _mm256_storeu_ps(to + i * ldt, _mm256_permute2f128_ps(four[i], four[i + 4], 0x20));
      if (i + 4 < cols) {
        _mm256_storeu_ps(to + (i + 4) * ldt, _mm256_permute2f128_ps(four[i], four[i + 4], 0x31));
      }
    }
  }

  static __m256i first(size_t count) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMask + 8 - count));
  }
};

}  // namespace

constinit const ProductTable kAvx2ProductTable = {
    dots<Avx2>, turned<Avx2>, strided<Avx2>, pack<Avx2>, packed<Avx2>};

}  // namespace chorus::kernels
