// Half-precision floats, by arithmetic on their bits; see body/codes-inl.hpp.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace chorus::kernels {
namespace {

// Rounds the 13 lowest bits of the mantissa away; below 2^-14 the fixed point of a float that
// adding 0.5 leaves behind is the denormal itself.
inline uint32_t half_of(uint32_t bits) {
  const uint32_t sign = (bits >> 16U) & 0x8000U;
  const uint32_t magnitude = bits & 0x7FFFFFFFU;
  const uint32_t odd = (magnitude >> 13U) & 1U;
  const uint32_t normal = (magnitude + 0xFFFU + odd - (112U << 23U)) >> 13U;
  const float small = __builtin_bit_cast(float, magnitude) + 0.5F;
  const uint32_t denormal = __builtin_bit_cast(uint32_t, small) - 0x3F000000U;
  uint32_t half = magnitude < (113U << 23U) ? denormal : normal;
  half = half > 0x7C00U || magnitude >= 0x47800000U ? 0x7C00U : half;
  return sign | half;
}

void to_half(const float* x, uint16_t* half, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    half[i] = static_cast<uint16_t>(half_of(__builtin_bit_cast(uint32_t, x[i])));
  }
}

// The exponent's distance is a multiplication, which makes denormals normal, too.
void from_half(const uint16_t* half, float* x, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    const uint32_t bits = half[i];
    const uint32_t sign = (bits & 0x8000U) << 16U;
    const uint32_t magnitude = (bits & 0x7FFFU) << 13U;
    const float finite = __builtin_bit_cast(float, magnitude) * 0x1.0p112F;
    const uint32_t special = magnitude | 0x7F800000U;
    const uint32_t value =
        magnitude >= 0x0F800000U ? special : __builtin_bit_cast(uint32_t, finite);
    x[i] = __builtin_bit_cast(float, sign | value);
  }
}

void to_bfloat(const float* x, uint16_t* bfloat, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    const uint32_t bits = __builtin_bit_cast(uint32_t, x[i]);
    bfloat[i] = static_cast<uint16_t>((bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U);
  }
}

void from_bfloat(const uint16_t* bfloat, float* x, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    x[i] = __builtin_bit_cast(float, static_cast<uint32_t>(bfloat[i]) << 16U);
  }
}

}  // namespace
}  // namespace chorus::kernels
