// Softmax of one row: plain loops, as in training-inl.hpp, which includes them.
#pragma once

#include <stddef.h>

#include "kernels/body/exp-inl.hpp"
#include "kernels/body/loops-inl.hpp"
#include "kernels/body/row-sum-inl.hpp"

namespace chorus::kernels {
namespace {

inline float larger(float a, float b) {
  return a > b ? a : b;
}

// @pre n > 0. Several at once: the compiler reorders no comparison.
inline float largest(const float* x, size_t n) {
  float tops[kParts];
  for (size_t j = 0; j < kParts; ++j) tops[j] = x[0];
  size_t i = 0;
  for (; i + kParts <= n; i += kParts) {
    for (size_t j = 0; j < kParts; ++j) tops[j] = larger(x[i + j], tops[j]);
  }
  for (; i < n; ++i) tops[0] = larger(x[i], tops[0]);
  for (size_t half = kParts / 2; half > 0; half /= 2) {
    for (size_t j = 0; j < half; ++j) tops[j] = larger(tops[j + half], tops[j]);
  }
  return tops[0];
}

void softmax(const float* x, float* y, size_t n) {
  if (n == 0) return;
  const float top = largest(x, n);
  CHORUS_SIDE_BY_SIDE
  for (size_t i = 0; i < n; ++i) y[i] = fast_exp(x[i] - top);
  const float factor = static_cast<float>(1.0 / row_sum(Plain{y}, 0, n, 0.0F));
  CHORUS_SIDE_BY_SIDE
  for (size_t i = 0; i < n; ++i) y[i] *= factor;
}

void softmax_backward(const float* y, const float* dy, float* dx, size_t n) {
  const float middle = static_cast<float>(row_sum(Product{y, dy}, 0, n, 0.0F));
  CHORUS_SIDE_BY_SIDE
  for (size_t i = 0; i < n; ++i) dx[i] = y[i] * (dy[i] - middle);
}

}  // namespace
}  // namespace chorus::kernels
