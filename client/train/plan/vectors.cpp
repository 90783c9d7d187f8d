// Compiled with -O3 in every build: these loops are memory-bound only when vectorised.
#include "client/train/plan/vectors.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "chorus/kernels/kernels.hpp"
#include "chorus/kernels/training.hpp"

namespace chorus::train::vectors {

void copy(Ranges ranges, std::span<const float> x, std::span<float> y) {
  for (const auto& [offset, count] : ranges) {
    std::copy_n(x.data() + offset, count, y.data() + offset);
  }
}

void add_scaled(Ranges ranges, float a, std::span<const float> x, std::span<float> y) {
  for (const auto& [offset, count] : ranges) {
    const float* __restrict const from = x.data() + offset;
    float* __restrict const to = y.data() + offset;
    for (std::size_t i = 0; i < count; ++i) to[i] += a * from[i];
  }
}

void add_difference(Ranges ranges,
                    float a,
                    std::span<const float> p,
                    std::span<const float> q,
                    std::span<float> y) {
  for (const auto& [offset, count] : ranges) {
    const float* __restrict const left = p.data() + offset;
    const float* __restrict const right = q.data() + offset;
    float* __restrict const to = y.data() + offset;
    for (std::size_t i = 0; i < count; ++i) to[i] += a * (left[i] - right[i]);
  }
}

void scale(Ranges ranges, float a, std::span<float> y) {
  for (const auto& [offset, count] : ranges) {
    kernels::scale_f32(a, y.subspan(offset, count));
  }
}

void blend(Ranges ranges, float a, std::span<const float> x, std::span<float> y) {
  for (const auto& [offset, count] : ranges) {
    const float* __restrict const from = x.data() + offset;
    float* __restrict const to = y.data() + offset;
    for (std::size_t i = 0; i < count; ++i) to[i] = from[i] + a * (to[i] - from[i]);
  }
}

void mask(Ranges ranges, std::span<const float> mask, std::span<float> y) {
  for (const auto& [offset, count] : ranges) {
    const float* __restrict const keep = mask.data() + offset;
    float* __restrict const to = y.data() + offset;
    for (std::size_t i = 0; i < count; ++i) to[i] = keep[i] == 0.0F ? 0.0F : to[i];
  }
}

void restore(Ranges ranges,
             std::span<const float> mask,
             std::span<const float> x,
             std::span<float> y) {
  for (const auto& [offset, count] : ranges) {
    const float* __restrict const keep = mask.data() + offset;
    const float* __restrict const from = x.data() + offset;
    float* __restrict const to = y.data() + offset;
    for (std::size_t i = 0; i < count; ++i) to[i] = keep[i] == 0.0F ? from[i] : to[i];
  }
}

double squared_norm(Ranges ranges, std::span<const float> x) {
  double sum = 0.0;
  for (const auto& [offset, count] : ranges) {
    const auto stats = kernels::stats_f32(x.subspan(offset, count));
    if (!stats.finite) return std::numeric_limits<double>::quiet_NaN();
    sum += stats.sum_squares;
  }
  return sum;
}

void clip(Ranges ranges, double norm_max, std::span<float> y) {
  const double factor = norm_max / (std::sqrt(squared_norm(ranges, y)) + 1e-6);
  if (factor < 1.0) scale(ranges, static_cast<float>(factor), y);
}

}  // namespace chorus::train::vectors
