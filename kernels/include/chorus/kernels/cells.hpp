// One step of one example through a recurrent layer, and back. Float32, on the calling thread; all
// variants give the same bits. exp is fast_exp of kernels/body/exp-inl.hpp: about two units in the
// last place; σ(x) = 1 / (1 + exp(−x)), tanh(x) = 1 − 2 / (1 + exp(2x)).
#pragma once

#include "chorus/kernels/cell_steps.hpp"

namespace chorus::kernels {

/// One example's step, in place as its struct says.
void lstm_cell_f32(const LstmCell& step) noexcept;
void lstm_cell_backward_f32(const LstmCellBackward& step) noexcept;
void gru_cell_f32(const GruCell& step) noexcept;
void gru_cell_backward_f32(const GruCellBackward& step) noexcept;

}  // namespace chorus::kernels
