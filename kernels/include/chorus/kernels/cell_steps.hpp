// The numbers of one step through a recurrent cell, for cells.hpp. No more than that: sources
// compiled for one instruction set include it.
#pragma once

#include <stddef.h>

namespace chorus::kernels {

/// gates  f32[4·units], in: what goes into i, f, g, o; out: i, f, g, o
///
/// i, f, o ← σ; g ← tanh; cell = f·before + i·g; h = o·tanh(cell)
struct LstmCell {
  size_t units = 0;
  float* gates = nullptr;
  const float* before = nullptr;  ///< f32[units]: the cell of the step before; null: 0
  float* cell = nullptr;          ///< f32[units]  out
  float* h = nullptr;             ///< f32[units]  out
};

/// gates  f32[4·units], in: i, f, g, o; out: the derivatives of what went into them
struct LstmCellBackward {
  size_t units = 0;
  float* gates = nullptr;
  const float* before = nullptr;  ///< as above
  const float* cell = nullptr;    ///< f32[units]
  const float* dh = nullptr;      ///< f32[units]
  float* dc = nullptr;  ///< f32[units], in: of the cell, from the step after; out: of `before`
};

/// gates  f32[3·units], in: the inputs' part of r, z, n; out: r, z, n
///
/// r, z ← σ(gates + state); n ← tanh(gates + r·state); h = (1 − z)·n + z·before
struct GruCell {
  size_t units = 0;
  float* gates = nullptr;
  const float* state = nullptr;   ///< f32[3·units]: the state's part
  const float* before = nullptr;  ///< f32[units]: h of the step before; null: 0
  float* h = nullptr;             ///< f32[units]  out
};

/// gates  f32[3·units], in: r, z, n; out: the derivatives of the inputs' part
struct GruCellBackward {
  size_t units = 0;
  float* gates = nullptr;
  float* state = nullptr;         ///< f32[3·units], in: as above; out: its derivatives
  const float* before = nullptr;  ///< as above
  const float* dh = nullptr;      ///< f32[units]
  float* kept = nullptr;          ///< f32[units]  out: dh·z
};

}  // namespace chorus::kernels
