// The policy of vector-inl.hpp for NEON (Advanced SIMD of every aarch64).
#pragma once

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/body/fold-inl.hpp"

namespace chorus::kernels {
namespace {

struct Neon {
  static constexpr size_t kLanes = 2;
  static constexpr size_t kFloats = 4;
  using F32 = float32x4_t;
  using F64 = float64x2_t;
  using I64 = int64x2_t;

  static F64 widen(const float* p) { return vcvt_f64_f32(vld1_f32(p)); }
  static F64 widen_codes(const uint8_t* p) {
    const F64 first = vdupq_n_f64(static_cast<double>(p[0]));
    return vsetq_lane_f64(static_cast<double>(p[1]), first, 1);
  }
  static F64 fma(F64 a, F64 b, F64 c) { return vfmaq_f64(c, a, b); }
  static void narrow(float* p, F64 v) { vst1_f32(p, vcvt_f32_f64(v)); }
  static F64 broadcast(double v) { return vdupq_n_f64(v); }
  static F64 load_f64(const double* p) { return vld1q_f64(p); }
  static void store_f64(double* p, F64 v) { vst1q_f64(p, v); }
  static F64 add(F64 a, F64 b) { return vaddq_f64(a, b); }
  static F64 mul(F64 a, F64 b) { return vmulq_f64(a, b); }
  static F64 div(F64 a, F64 b) { return vdivq_f64(a, b); }

  static F32 load_f32(const float* p) { return vld1q_f32(p); }
  static void store_f32(float* p, F32 v) { vst1q_f32(p, v); }
  static F32 sub_f32(F32 a, F32 b) { return vsubq_f32(a, b); }
  static F32 add_f32(F32 a, F32 b) { return vaddq_f32(a, b); }
  static F32 zero_f32() { return vdupq_n_f32(0.0F); }
  static F32 lesser(F32 a, F32 b) { return vminq_f32(a, b); }
  static F32 greater(F32 a, F32 b) { return vmaxq_f32(a, b); }

  static I64 load_i64(const int64_t* p) { return vld1q_s64(p); }
  static void store_i64(int64_t* p, I64 v) { vst1q_s64(p, v); }
  static I64 add_i64(I64 a, I64 b) { return vaddq_s64(a, b); }
  static F64 to_f64(I64 v) { return vcvtq_f64_s64(v); }

  static int64_t round_one(double v) { return vcvtnd_s64_f64(v); }

  using Sum = I64;
  static Sum begin(I64 acc) { return acc; }
  static void accumulate(Sum& sum, F64 v) { sum = vaddq_s64(sum, vcvtnq_s64_f64(v)); }
  template <size_t kCount>
  static I64 finish(Sum sum) {
    return sum;
  }

  using Magnitude = uint32x4_t;
  static Magnitude no_magnitude() { return vdupq_n_u32(0); }
  static Magnitude widest(Magnitude so_far, const float* line) {
    const uint32x4_t mask = vdupq_n_u32(0x7FFFFFFFU);
    for (size_t j = 0; j < kLine; j += kFloats) {
      so_far = vmaxq_u32(so_far, vandq_u32(vreinterpretq_u32_f32(vld1q_f32(line + j)), mask));
    }
    return so_far;
  }
  static uint32_t widest_bits(Magnitude m) { return vmaxvq_u32(m); }
};

}  // namespace
}  // namespace chorus::kernels
