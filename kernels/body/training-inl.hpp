// The loops of training, written once and compiled for every instruction set: the compiler makes
// the vectors. Each result depends on its own element only and every operation is rounded by
// itself, so that the width of a vector cannot change a bit. Include it from ref/ and isa/ only.
#pragma once

#include <stddef.h>

#include "chorus/kernels/step_rules.hpp"
#include "kernels/body/cell-inl.hpp"
#include "kernels/body/loops-inl.hpp"
#include "kernels/body/softmax-inl.hpp"
#include "kernels/training_table.hpp"

namespace chorus::kernels {
namespace {

// The addresses in a rule or a step may not be written by the loop: locals say so.
void relu(const float* x, float slope, float* y, size_t n) {
  CHORUS_SIDE_BY_SIDE
  for (size_t i = 0; i < n; ++i) {
    const float scaled = slope * x[i];
    y[i] = x[i] > 0.0F ? x[i] : scaled;
  }
}

void relu_backward(const float* y, const float* dy, float slope, float* dx, size_t n) {
  CHORUS_SIDE_BY_SIDE
  for (size_t i = 0; i < n; ++i) {
    const float scaled = slope * dy[i];
    dx[i] = y[i] > 0.0F ? dy[i] : scaled;
  }
}

void add(const float* a, const float* b, float* sum, size_t n) {
  CHORUS_SIDE_BY_SIDE
  for (size_t i = 0; i < n; ++i) sum[i] = a[i] + b[i];
}

void scale(float factor, float* x, size_t n) {
  for (size_t i = 0; i < n; ++i) x[i] *= factor;
}

void sgd_step(float rate, float decay, const RawStep& step) {
  float* __restrict const w = step.w;
  const float* __restrict const g = step.g;
  const size_t n = step.n;
  for (size_t i = 0; i < n; ++i) w[i] -= rate * (g[i] + decay * w[i]);
}

void momentum_step(const MomentumRule& rule, const RawStep& step) {
  const MomentumRule r = rule;
  float* __restrict const w = step.w;
  const float* __restrict const g = step.g;
  float* __restrict const v = step.m;
  const size_t n = step.n;
  for (size_t i = 0; i < n; ++i) {
    const float slope = g[i] + r.decay * w[i];
    v[i] = r.momentum * v[i] + slope;
    w[i] -= r.rate * (r.now * slope + r.ahead * v[i]);
  }
}

// m and v move; returns m̂ / (√v̂ + ε).
inline float direction_of(const AdamRule& r, float slope, float& m, float& v) {
  m = r.beta1 * m + (1.0F - r.beta1) * slope;
  v = r.beta2 * v + (1.0F - r.beta2) * slope * slope;
  return m * r.first_scale / (__builtin_sqrtf(v) * r.second_scale + r.epsilon);
}

void adam_step(const AdamRule& rule, const RawStep& step) {
  const AdamRule r = rule;
  float* __restrict const w = step.w;
  const float* __restrict const g = step.g;
  float* __restrict const m = step.m;
  float* __restrict const v = step.v;
  const size_t n = step.n;
  for (size_t i = 0; i < n; ++i) {
    const float slope = g[i] + r.coupled * w[i];
    w[i] = r.shrink * w[i] - r.rate * direction_of(r, slope, m[i], v[i]);
  }
}

void lamb_direction(const AdamRule& rule, float decay, const RawStep& step, float* direction) {
  const AdamRule r = rule;
  const float* const w = step.w;
  const float* const g = step.g;
  float* __restrict const m = step.m;
  float* __restrict const v = step.v;
  const size_t n = step.n;
  CHORUS_SIDE_BY_SIDE
  for (size_t i = 0; i < n; ++i) {
    direction[i] = direction_of(r, g[i], m[i], v[i]) + decay * w[i];
  }
}

constexpr TrainingTable kTraining = {relu,
                                     relu_backward,
                                     add,
                                     scale,
                                     sgd_step,
                                     momentum_step,
                                     adam_step,
                                     lamb_direction,
                                     lstm_cell,
                                     lstm_cell_backward,
                                     gru_cell,
                                     gru_cell_backward,
                                     softmax,
                                     softmax_backward};

}  // namespace
}  // namespace chorus::kernels
