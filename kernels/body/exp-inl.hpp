// Exponentials that a compiler can put into vectors, unlike the C library's. Include it from body/
// only.
#pragma once

#include <stdint.h>

namespace chorus::kernels {
namespace {

/// exp(x) to about two units in the last place, for x within [-87, 88]; clamped to that range.
/// @source  Cephes expf (Moshier): 2^n times a polynomial of degree 5 on ±ln 2 / 2
inline float fast_exp(float x) {
  constexpr float kMagic = 12582912.0F;  // 1.5 · 2^23: adding it rounds to a whole number
  x = x < -87.0F ? -87.0F : x;
  x = x > 88.0F ? 88.0F : x;
  const float shifted = x * 1.44269504088896341F + kMagic;
  const float whole = shifted - kMagic;
  const float r = (x - whole * 0.693359375F) + whole * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  const float y = p * r * r + r + 1.0F;
  const uint32_t exponent = __builtin_bit_cast(uint32_t, shifted) << 23U;  // n·2^23, modulo 2^32
  return __builtin_bit_cast(float, __builtin_bit_cast(uint32_t, y) + exponent);
}

inline float sigmoid(float x) {
  return 1.0F / (1.0F + fast_exp(-x));
}

inline float fast_tanh(float x) {
  return 1.0F - 2.0F / (1.0F + fast_exp(2.0F * x));
}

}  // namespace
}  // namespace chorus::kernels
