// The sum of a row of values, of the terms of one of some kinds. The compiler never reorders a
// sum; so there are several at once.
#pragma once

#include <stddef.h>

namespace chorus::kernels {
namespace {

constexpr size_t kParts = 16;  // sums of a row

// Terms: the value at i, of the row whose mean is given.
struct Plain {
  const float* x;
  double operator()(size_t i, float) const { return static_cast<double>(x[i]); }
};
struct Magnitude {
  const float* x;
  double operator()(size_t i, float) const { return static_cast<double>(__builtin_fabsf(x[i])); }
};
struct Square {
  const float* x;
  double operator()(size_t i, float mean) const {
    const double off = static_cast<double>(x[i] - mean);
    return off * off;
  }
};
struct Product {
  const float* x;
  const float* dy;
  double operator()(size_t i, float mean) const {
    return static_cast<double>(x[i] - mean) * static_cast<double>(dy[i]);
  }
};

template <class Term>
double row_sum(const Term& term, size_t first, size_t count, float mean) {
  double parts[kParts] = {};
  size_t s = 0;
  for (; s + kParts <= count; s += kParts) {
    for (size_t j = 0; j < kParts; ++j) parts[j] += term(first + s + j, mean);
  }
  for (size_t j = 0; s < count; ++s, ++j) parts[j] += term(first + s, mean);
  for (size_t half = kParts / 2; half > 0; half /= 2) {
    for (size_t j = 0; j < half; ++j) parts[j] += parts[j + half];
  }
  return parts[0];
}

}  // namespace
}  // namespace chorus::kernels
