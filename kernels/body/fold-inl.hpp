// The folds, over the policy V of vector-inl.hpp.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace chorus::kernels {
namespace {

constexpr size_t kLine = 16;        // floats of one cache line, and accumulators of stats_f32
constexpr size_t kFoldAhead = 128;  // coordinates: hides memory latency across nine streams

inline int64_t add_wrapping(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

// The address may lie beyond the array: a prefetch there does nothing, but pointer arithmetic to it
// would be undefined, hence the integer.
template <class T>
inline void prefetch(const T* base, size_t index) {
  const uintptr_t at = reinterpret_cast<uintptr_t>(base) + index * sizeof(T);
  __builtin_prefetch(reinterpret_cast<const void*>(at));  // NOLINT(performance-no-int-to-ptr)
}

// One pass over the accumulators: each is loaded once, receives kCount rounded products in
// registers, and is stored once.
template <class V, size_t kCount>
void fold_pass(const float* const* x, const double* multipliers, int64_t* acc, size_t n) {
  constexpr size_t kVectors = kLine / V::kLanes;
  const float* from[kCount];
  typename V::F64 scale[kCount];
  for (size_t k = 0; k < kCount; ++k) {
    from[k] = x[k];
    scale[k] = V::broadcast(multipliers[k]);
  }
  size_t i = 0;
  for (; i + kLine <= n; i += kLine) {
    prefetch(acc, i + kFoldAhead);
    prefetch(acc, i + kFoldAhead + kLine / 2);
    typename V::Sum sum[kVectors];
    for (size_t v = 0; v < kVectors; ++v) {
      sum[v] = V::begin(V::load_i64(acc + i + v * V::kLanes));
    }
    for (size_t k = 0; k < kCount; ++k) {
      prefetch(from[k], i + kFoldAhead);
      for (size_t v = 0; v < kVectors; ++v) {
        V::accumulate(sum[v], V::mul(V::widen(from[k] + i + v * V::kLanes), scale[k]));
      }
    }
    for (size_t v = 0; v < kVectors; ++v) {
      V::store_i64(acc + i + v * V::kLanes, V::template finish<kCount>(sum[v]));
    }
  }
  for (; i < n; ++i) {
    int64_t sum = acc[i];
    for (size_t k = 0; k < kCount; ++k) {
      sum = add_wrapping(sum, V::round_one(static_cast<double>(from[k][i]) * multipliers[k]));
    }
    acc[i] = sum;
  }
}

template <class V>
void fold_f32(
    const float* const* x, const double* multipliers, size_t count, int64_t* acc, size_t n) {
  switch (count) {
    case 1:
      return fold_pass<V, 1>(x, multipliers, acc, n);
    case 2:
      return fold_pass<V, 2>(x, multipliers, acc, n);
    case 3:
      return fold_pass<V, 3>(x, multipliers, acc, n);
    case 4:
      return fold_pass<V, 4>(x, multipliers, acc, n);
    case 5:
      return fold_pass<V, 5>(x, multipliers, acc, n);
    case 6:
      return fold_pass<V, 6>(x, multipliers, acc, n);
    case 7:
      return fold_pass<V, 7>(x, multipliers, acc, n);
    default:
      return fold_pass<V, 8>(x, multipliers, acc, n);
  }
}

template <class V, size_t kCount>
void fold_codes_pass(
    const uint8_t* const* codes, const double* bases, const double* units, int64_t* acc, size_t n) {
  constexpr size_t kVectors = kLine / V::kLanes;
  typename V::F64 base[kCount];
  typename V::F64 unit[kCount];
  for (size_t k = 0; k < kCount; ++k) {
    base[k] = V::broadcast(bases[k]);
    unit[k] = V::broadcast(units[k]);
  }
  size_t i = 0;
  for (; i + kLine <= n; i += kLine) {
    prefetch(acc, i + 2 * kFoldAhead);
    prefetch(acc, i + 2 * kFoldAhead + kLine / 2);
    typename V::Sum sum[kVectors];
    for (size_t v = 0; v < kVectors; ++v) {
      sum[v] = V::begin(V::load_i64(acc + i + v * V::kLanes));
    }
    for (size_t k = 0; k < kCount; ++k) {
      for (size_t v = 0; v < kVectors; ++v) {
        const typename V::F64 code = V::widen_codes(codes[k] + i + v * V::kLanes);
        V::accumulate(sum[v], V::fma(unit[k], code, base[k]));
      }
    }
    for (size_t v = 0; v < kVectors; ++v) {
      V::store_i64(acc + i + v * V::kLanes, V::template finish<kCount>(sum[v]));
    }
  }
  for (; i < n; ++i) {
    int64_t sum = acc[i];
    for (size_t k = 0; k < kCount; ++k) {
      const double code = static_cast<double>(codes[k][i]);
      sum = add_wrapping(sum, V::round_one(__builtin_fma(units[k], code, bases[k])));
    }
    acc[i] = sum;
  }
}

template <class V>
void fold_codes(const uint8_t* const* codes,
                const double* bases,
                const double* units,
                size_t count,
                int64_t* acc,
                size_t n) {
  switch (count) {
    case 1:
      return fold_codes_pass<V, 1>(codes, bases, units, acc, n);
    case 2:
      return fold_codes_pass<V, 2>(codes, bases, units, acc, n);
    case 3:
      return fold_codes_pass<V, 3>(codes, bases, units, acc, n);
    case 4:
      return fold_codes_pass<V, 4>(codes, bases, units, acc, n);
    case 5:
      return fold_codes_pass<V, 5>(codes, bases, units, acc, n);
    case 6:
      return fold_codes_pass<V, 6>(codes, bases, units, acc, n);
    case 7:
      return fold_codes_pass<V, 7>(codes, bases, units, acc, n);
    default:
      return fold_codes_pass<V, 8>(codes, bases, units, acc, n);
  }
}

}  // namespace
}  // namespace chorus::kernels
