// One step of one example through a recurrent layer, and back. Float32, on the calling thread; all
// variants give the same bits. exp is fast_exp of kernels/body/exp-inl.hpp: about two units in the
// last place; σ(x) = 1 / (1 + exp(−x)), tanh(x) = 1 − 2 / (1 + exp(2x)).
#pragma once

#include <cstddef>
#include <span>

namespace chorus::kernels {

/// gates  f32[4·units], in: what goes into i, f, g, o; out: i, f, g, o
///
/// i, f, o ← σ; g ← tanh; cell = f·before + i·g; h = o·tanh(cell)
struct LstmCell {
  std::size_t units = 0;
  float* gates = nullptr;
  const float* before = nullptr;  ///< f32[units]: the cell of the step before; null: 0
  float* cell = nullptr;          ///< f32[units]  out
  float* h = nullptr;             ///< f32[units]  out
};
void lstm_cell_f32(const LstmCell& step) noexcept;

/// gates  f32[4·units], in: i, f, g, o; out: the derivatives of what went into them
struct LstmCellBackward {
  std::size_t units = 0;
  float* gates = nullptr;
  const float* before = nullptr;  ///< as above
  const float* cell = nullptr;    ///< f32[units]
  const float* dh = nullptr;      ///< f32[units]
  float* dc = nullptr;  ///< f32[units], in: of the cell, from the step after; out: of `before`
};
void lstm_cell_backward_f32(const LstmCellBackward& step) noexcept;

/// gates  f32[3·units], in: the inputs' part of r, z, n; out: r, z, n
///
/// r, z ← σ(gates + state); n ← tanh(gates + r·state); h = (1 − z)·n + z·before
struct GruCell {
  std::size_t units = 0;
  float* gates = nullptr;
  const float* state = nullptr;   ///< f32[3·units]: the state's part
  const float* before = nullptr;  ///< f32[units]: h of the step before; null: 0
  float* h = nullptr;             ///< f32[units]  out
};
void gru_cell_f32(const GruCell& step) noexcept;

/// gates  f32[3·units], in: r, z, n; out: the derivatives of the inputs' part
struct GruCellBackward {
  std::size_t units = 0;
  float* gates = nullptr;
  float* state = nullptr;         ///< f32[3·units], in: as above; out: its derivatives
  const float* before = nullptr;  ///< as above
  const float* dh = nullptr;      ///< f32[units]
  float* kept = nullptr;          ///< f32[units]  out: dh·z
};
void gru_cell_backward_f32(const GruCellBackward& step) noexcept;

/// y[i] = exp(x[i] − top)
/// @pre sizes equal; y may be x itself
void exp_f32(std::span<const float> x, float top, std::span<float> y) noexcept;

}  // namespace chorus::kernels
