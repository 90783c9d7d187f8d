// Products with NEON. Nothing here may be visible to the linker but the table.
#include <arm_neon.h>

#include "kernels/body/product-inl.hpp"

namespace chorus::kernels {
namespace {

struct Neon {
  struct V16 {
    float32x4_t part[4];
  };
  static constexpr size_t kDotRows = 1;  // 1 · 4 sums of four registers
  static constexpr size_t kVectors = 1;
  static constexpr size_t kSums = 6;  // of four registers each

  CHORUS_INLINE static V16 zero() { return splat(0.0F); }
  CHORUS_INLINE static V16 splat(float x) {
    const float32x4_t v = vdupq_n_f32(x);
    return {{v, v, v, v}};
  }
  CHORUS_INLINE static V16 load(const float* p) {
    return {{vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}};
  }
  CHORUS_INLINE static V16 load_first(const float* p, size_t count) {
    float copy[kWide] = {};
    for (size_t j = 0; j < count; ++j) copy[j] = p[j];
    return load(copy);
  }
  CHORUS_INLINE static void store(float* p, V16 v) {
    for (size_t j = 0; j < 4; ++j) vst1q_f32(p + 4 * j, v.part[j]);
  }
  CHORUS_INLINE static void store_first(float* p, V16 v, size_t count) {
    float copy[kWide];
    store(copy, v);
    for (size_t j = 0; j < count; ++j) p[j] = copy[j];
  }
  CHORUS_INLINE static V16 fma(V16 a, V16 b, V16 c) {
    V16 out;
    for (size_t j = 0; j < 4; ++j) out.part[j] = vfmaq_f32(c.part[j], a.part[j], b.part[j]);
    return out;
  }
  CHORUS_INLINE static V16 mul(V16 a, V16 b) {
    V16 out;
    for (size_t j = 0; j < 4; ++j) out.part[j] = vmulq_f32(a.part[j], b.part[j]);
    return out;
  }
  CHORUS_INLINE static float sum(V16 v) {
    const float32x4_t four =
        vaddq_f32(vaddq_f32(v.part[0], v.part[2]), vaddq_f32(v.part[1], v.part[3]));
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
  }
  CHORUS_INLINE static void sum4(V16 v0, V16 v1, V16 v2, V16 v3, float* out) {
    out[0] = sum(v0);
    out[1] = sum(v1);
    out[2] = sum(v2);
    out[3] = sum(v3);
  }
  static void turn(const Block& from, float* to, size_t ldt) {
    for (size_t c = 0; c < from.cols; ++c) {
      for (size_t r = 0; r < kWide; ++r) {
        to[c * ldt + r] = r < from.rows ? from.at[r * from.ld + c] : 0.0F;
      }
    }
  }
};

}  // namespace

constinit const ProductTable kNeonProductTable = {
    dots<Neon>, turned<Neon>, strided<Neon>, pack<Neon>, packed<Neon>};

}  // namespace chorus::kernels
