// The loops of every vector variant, written once over a policy V that wraps one instruction set.
// Include it after the policy, from isa/*.cpp only. Everything is in an anonymous namespace: each
// variant keeps its own copy, and none of them is visible to the linker.
//
// V provides, for kLanes doubles (kFloats floats) at a time:
//   F32, F64, I64            vector of kFloats floats, of kLanes doubles, of kLanes integers
//   widen(p), narrow(p, v)   kLanes floats at p to doubles; and back, to nearest, ties to even
//   widen_codes(p)           kLanes bytes at p to doubles
//   fma(a, b, c)             a·b + c on F64, rounded once
//   broadcast, load_f64, store_f64, add, mul, div    on F64
//   load_f32, store_f32, add_f32, sub_f32, zero_f32  on F32
//   lesser, greater                                  of two F32 that are no NaN, nor zeros of both
//                                                    signs
//   load_i64, store_i64, add_i64, to_f64             on I64; the conversion is correctly rounded
//   round_one(double)        one double to int64, to nearest, ties to even
//   Sum, begin(I64), accumulate(Sum&, F64), finish<count>(Sum)
//                            running integer sum of doubles rounded to nearest, ties to even
//   Magnitude, no_magnitude(), widest(Magnitude, p), widest_bits(Magnitude)
//                            bits of the largest magnitude so far, 16 floats at a time
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/body/fold-inl.hpp"
#include "kernels/table.hpp"

namespace chorus::kernels {
namespace {

template <class V>
void merge_i64(const int64_t* other, int64_t* acc, size_t n) {
  size_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    V::store_i64(acc + i, V::add_i64(V::load_i64(acc + i), V::load_i64(other + i)));
  }
  for (; i < n; ++i) acc[i] = add_wrapping(acc[i], other[i]);
}

template <class V>
void lane_mean_f32(const int64_t* sum, double divisor, float* mean, size_t n) {
  const typename V::F64 divisors = V::broadcast(divisor);
  size_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    V::narrow(mean + i, V::div(V::to_f64(V::load_i64(sum + i)), divisors));
  }
  for (; i < n; ++i) mean[i] = static_cast<float>(static_cast<double>(sum[i]) / divisor);
}

template <class V>
void add_scaled_f32(const float* base, double alpha, const float* x, float* out, size_t n) {
  const typename V::F64 alphas = V::broadcast(alpha);
  size_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    V::narrow(out + i, V::add(V::widen(base + i), V::mul(alphas, V::widen(x + i))));
  }
  for (; i < n; ++i) {
    const double step = alpha * static_cast<double>(x[i]);
    out[i] = static_cast<float>(static_cast<double>(base[i]) + step);
  }
}

template <class V>
void subtract_f32(const float* y, const float* x, float* out, size_t n) {
  size_t i = 0;
  for (; i + V::kFloats <= n; i += V::kFloats) {
    V::store_f32(out + i, V::sub_f32(V::load_f32(y + i), V::load_f32(x + i)));
  }
  for (; i < n; ++i) out[i] = y[i] - x[i];
}

template <class V>
RawStats stats_f32(const float* x, size_t n) {
  constexpr size_t kVectors = kLine / V::kLanes;
  typename V::F64 squares[kVectors];
  for (size_t v = 0; v < kVectors; ++v) squares[v] = V::broadcast(0.0);
  typename V::Magnitude widest = V::no_magnitude();
  size_t i = 0;
  for (; i + kLine <= n; i += kLine) {
    for (size_t v = 0; v < kVectors; ++v) {
      const typename V::F64 value = V::widen(x + i + v * V::kLanes);
      squares[v] = V::add(squares[v], V::mul(value, value));
    }
    widest = V::widest(widest, x + i);
  }
  double sums[kLine];
  for (size_t v = 0; v < kVectors; ++v) V::store_f64(sums + v * V::kLanes, squares[v]);
  uint32_t max_bits = V::widest_bits(widest);
  for (size_t j = 0; i < n; ++i, ++j) {
    const double value = static_cast<double>(x[i]);
    sums[j] += value * value;
    const uint32_t bits = __builtin_bit_cast(uint32_t, x[i]) & 0x7FFFFFFFU;
    max_bits = bits > max_bits ? bits : max_bits;
  }
  for (size_t half = kLine / 2; half > 0; half /= 2) {
    for (size_t j = 0; j < half; ++j) sums[j] += sums[j + half];
  }
  return {max_bits, sums[0]};
}

/// @param fold_packed, fold_products  of the instruction set's own
template <class V>
constexpr Table table_of(const char* name,
                         decltype(Table::fold_packed) fold_packed = nullptr,
                         decltype(Table::fold_products) fold_products = nullptr) {
  return {name,
          fold_f32<V>,
          fold_codes<V>,
          fold_packed,
          fold_products,
          merge_i64<V>,
          lane_mean_f32<V>,
          add_scaled_f32<V>,
          subtract_f32<V>,
          stats_f32<V>};
}

}  // namespace
}  // namespace chorus::kernels
