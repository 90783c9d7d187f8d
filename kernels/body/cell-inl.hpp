// Cells of recurrent layers: plain loops over units, as in training-inl.hpp, which includes them.
#pragma once

#include <stddef.h>

#include "chorus/kernels/cell_steps.hpp"
#include "kernels/body/exp-inl.hpp"
#include "kernels/body/loops-inl.hpp"
#include "kernels/training_table.hpp"

namespace chorus::kernels {
namespace {

// kFirst: there is no step before. A template, because a condition inside would cost the vectors.
template <bool kFirst>
void lstm_cell_of(const LstmCell& step) {
  const size_t units = step.units;
  float* const i = step.gates;
  float* const f = i + units;
  float* const g = f + units;
  float* const o = g + units;
  const float* const before = step.before;
  float* const cell = step.cell;
  float* const h = step.h;
  CHORUS_SIDE_BY_SIDE
  for (size_t u = 0; u < units; ++u) {
    i[u] = sigmoid(i[u]);
    f[u] = sigmoid(f[u]);
    g[u] = fast_tanh(g[u]);
    o[u] = sigmoid(o[u]);
    const float old = kFirst ? 0.0F : before[u];
    cell[u] = f[u] * old + i[u] * g[u];
    h[u] = o[u] * fast_tanh(cell[u]);
  }
}

void lstm_cell(const LstmCell& step) {
  return step.before == nullptr ? lstm_cell_of<true>(step) : lstm_cell_of<false>(step);
}

template <bool kFirst>
void lstm_cell_backward_of(const LstmCellBackward& step) {
  const size_t units = step.units;
  float* const into_i = step.gates;
  float* const into_f = into_i + units;
  float* const into_g = into_f + units;
  float* const into_o = into_g + units;
  const float* const before = step.before;
  const float* const cell = step.cell;
  const float* const dh = step.dh;
  float* const dc = step.dc;
  CHORUS_SIDE_BY_SIDE
  for (size_t u = 0; u < units; ++u) {
    const float i = into_i[u];
    const float f = into_f[u];
    const float g = into_g[u];
    const float o = into_o[u];
    const float curved = fast_tanh(cell[u]);
    const float old = kFirst ? 0.0F : before[u];
    const float slope = dc[u] + dh[u] * o * (1.0F - curved * curved);
    into_i[u] = slope * g * i * (1.0F - i);
    into_f[u] = slope * old * f * (1.0F - f);
    into_g[u] = slope * i * (1.0F - g * g);
    into_o[u] = dh[u] * curved * o * (1.0F - o);
    dc[u] = slope * f;
  }
}

void lstm_cell_backward(const LstmCellBackward& step) {
  return step.before == nullptr ? lstm_cell_backward_of<true>(step)
                                : lstm_cell_backward_of<false>(step);
}

template <bool kFirst>
void gru_cell_of(const GruCell& step) {
  const size_t units = step.units;
  float* const r = step.gates;
  float* const z = r + units;
  float* const n = z + units;
  const float* const state_r = step.state;
  const float* const state_z = state_r + units;
  const float* const state_n = state_z + units;
  const float* const before = step.before;
  float* const h = step.h;
  CHORUS_SIDE_BY_SIDE
  for (size_t u = 0; u < units; ++u) {
    r[u] = sigmoid(r[u] + state_r[u]);
    z[u] = sigmoid(z[u] + state_z[u]);
    n[u] = fast_tanh(n[u] + r[u] * state_n[u]);
    const float old = kFirst ? 0.0F : before[u];
    h[u] = (1.0F - z[u]) * n[u] + z[u] * old;
  }
}

void gru_cell(const GruCell& step) {
  return step.before == nullptr ? gru_cell_of<true>(step) : gru_cell_of<false>(step);
}

template <bool kFirst>
void gru_cell_backward_of(const GruCellBackward& step) {
  const size_t units = step.units;
  float* const gate_r = step.gates;
  float* const gate_z = gate_r + units;
  float* const gate_n = gate_z + units;
  float* const state_r = step.state;
  float* const state_z = state_r + units;
  float* const state_n = state_z + units;
  const float* const before = step.before;
  const float* const dh = step.dh;
  float* const kept = step.kept;
  CHORUS_SIDE_BY_SIDE
  for (size_t u = 0; u < units; ++u) {
    const float r = gate_r[u];
    const float z = gate_z[u];
    const float n = gate_n[u];
    const float old = kFirst ? 0.0F : before[u];
    const float into_n = dh[u] * (1.0F - z) * (1.0F - n * n);
    const float into_z = dh[u] * (old - n) * z * (1.0F - z);
    const float into_r = into_n * state_n[u] * r * (1.0F - r);
    gate_r[u] = into_r;
    gate_z[u] = into_z;
    gate_n[u] = into_n;
    state_r[u] = into_r;
    state_z[u] = into_z;
    state_n[u] = into_n * r;
    kept[u] = dh[u] * z;
  }
}

void gru_cell_backward(const GruCellBackward& step) {
  return step.before == nullptr ? gru_cell_backward_of<true>(step)
                                : gru_cell_backward_of<false>(step);
}

}  // namespace
}  // namespace chorus::kernels
