// Columns put in order by a sorting network and averaged without their ends, over the policy V of
// vector-inl.hpp: kColumnsAside columns at a time, which stay in the first-level cache.
#pragma once

#include <stddef.h>

#include "kernels/body/fold-inl.hpp"
#include "kernels/robust_table.hpp"

namespace chorus::kernels {
namespace {

// The steps of odd-even merges that sort kBlockRows rows.
struct BlockSteps {
  static constexpr size_t kCount = 63;
  size_t low[kCount];
  size_t high[kCount];
};

constexpr BlockSteps block_steps() {
  BlockSteps steps{};
  size_t count = 0;
  for (size_t runs = 1; runs < kBlockRows; runs *= 2) {
    for (size_t apart = runs; apart > 0; apart /= 2) {
      for (size_t low = apart % runs; low + apart < kBlockRows; ++low) {
        const bool begins = (low - apart % runs) / apart % 2 == 0;
        if (!begins || low / (2 * runs) != (low + apart) / (2 * runs)) continue;
        steps.low[count] = low;
        steps.high[count++] = low + apart;
      }
    }
  }
  return steps;
}

// From this step on, each with registers of its own known to the compiler.
template <class V, size_t kStep>
[[gnu::always_inline]] inline void sort_block(typename V::F32* rows) {
  constexpr BlockSteps kSteps = block_steps();
  if constexpr (kStep < BlockSteps::kCount) {
    constexpr size_t kLow = kSteps.low[kStep];
    constexpr size_t kHigh = kSteps.high[kStep];
    const typename V::F32 lesser = V::lesser(rows[kLow], rows[kHigh]);
    rows[kHigh] = V::greater(rows[kLow], rows[kHigh]);
    rows[kLow] = lesser;
    sort_block<V, kStep + 1>(rows);
  }
}

template <class V>
void sort_blocks(size_t rows, float* columns) {
  for (; rows >= kBlockRows; rows -= kBlockRows, columns += kBlockRows * kColumnsAside) {
    for (size_t j = 0; j < kColumnsAside; j += V::kFloats) {
      typename V::F32 held[kBlockRows];
      for (size_t r = 0; r < kBlockRows; ++r)
        held[r] = V::load_f32(columns + r * kColumnsAside + j);
      sort_block<V, 0>(held);
      for (size_t r = 0; r < kBlockRows; ++r)
        V::store_f32(columns + r * kColumnsAside + j, held[r]);
    }
  }
}

// Zeros of either sign become +0: what is equal is alike.
template <class V>
void take_columns(const RawRows& x, size_t first, size_t count, float* columns) {
  const float* from = x.x + first;
  for (size_t k = 0; k < x.rows; ++k, from += x.stride, columns += kColumnsAside) {
    if (count == kColumnsAside) {
      for (size_t j = 0; j < kColumnsAside; j += V::kFloats) {
        V::store_f32(columns + j, V::add_f32(V::load_f32(from + j), V::zero_f32()));
      }
    } else {
      for (size_t j = 0; j < kColumnsAside; ++j) columns[j] = (j < count ? from[j] : 0.0F) + 0.0F;
    }
  }
}

template <class V>
void exchange(const RawExchange& step, float* columns) {
  float* const low = columns + step.low * kColumnsAside;
  float* const high = columns + step.high * kColumnsAside;
  for (size_t j = 0; j < kColumnsAside; j += V::kFloats) {
    const typename V::F32 a = V::load_f32(low + j);
    const typename V::F32 b = V::load_f32(high + j);
    V::store_f32(low + j, V::lesser(a, b));
    V::store_f32(high + j, V::greater(a, b));
  }
}

// Meanwhile the columns from `next` on come into the cache, a row at a time.
template <class V>
void exchange_all(const RawRows& x, const RawOrder& order, size_t next, float* columns) {
  size_t e = 0;
  const float* ahead = x.x + next;
  for (size_t k = 0; k < x.rows; ++k) {
    if (next < x.columns) {
      for (size_t j = 0; j < kColumnsAside; j += kLine) __builtin_prefetch(ahead + j);
      ahead += k + 1 < x.rows ? x.stride : 0;
    }
    for (const size_t end = order.count * (k + 1) / x.rows; e < end; ++e) {
      exchange<V>(order.exchanges[e], columns);
    }
  }
}

// Of rows [first, last), ascending.
template <class V>
void mean_of(const float* columns, size_t first, size_t last, float* mean) {
  const typename V::F64 count = V::broadcast(static_cast<double>(last - first));
  constexpr size_t kVectors = kColumnsAside / V::kLanes;
  typename V::F64 sums[kVectors];
  for (size_t v = 0; v < kVectors; ++v) sums[v] = V::broadcast(0.0);
  for (size_t r = first; r < last; ++r) {
    const float* const row = columns + r * kColumnsAside;
    for (size_t v = 0; v < kVectors; ++v) {
      sums[v] = V::add(sums[v], V::widen(row + v * V::kLanes));
    }
  }
  for (size_t v = 0; v < kVectors; ++v) V::narrow(mean + v * V::kLanes, V::div(sums[v], count));
}

template <class V>
void trimmed_mean(const RawRows& x, const RawOrder& order, float* columns, float* mean) {
  for (size_t i = 0; i < x.columns; i += kColumnsAside) {
    const size_t count = x.columns - i < kColumnsAside ? x.columns - i : kColumnsAside;
    take_columns<V>(x, i, count, columns);
    sort_blocks<V>(x.rows, columns);
    exchange_all<V>(x, order, i + kColumnsAside, columns);
    if (count == kColumnsAside) {
      mean_of<V>(columns, order.trim, x.rows - order.trim, mean + i);
    } else {
      float last[kColumnsAside];
      mean_of<V>(columns, order.trim, x.rows - order.trim, last);
      for (size_t j = 0; j < count; ++j) mean[i + j] = last[j];
    }
  }
}

}  // namespace
}  // namespace chorus::kernels
