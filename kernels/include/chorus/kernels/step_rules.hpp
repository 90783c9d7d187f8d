// The numbers of an optimiser's step, for training.hpp. No more than that: sources compiled for one
// instruction set include it.
#pragma once

namespace chorus::kernels {

/// s = g + decay·w;  v ← momentum·v + s;  w ← w − rate·(now·s + ahead·v)
struct MomentumRule {
  float rate = 0.0F;
  float decay = 0.0F;
  float momentum = 0.0F;
  float now = 0.0F;    ///< Nesterov: 1
  float ahead = 1.0F;  ///< Nesterov: momentum
};

/// s = g + coupled·w;  m ← β₁m + (1 − β₁)s;  v ← β₂v + (1 − β₂)·s·s
/// r = m·first_scale / (√v·second_scale + ε);  w ← shrink·w − rate·r
struct AdamRule {
  float rate = 0.0F;
  float beta1 = 0.9F;
  float beta2 = 0.999F;
  float epsilon = 1e-8F;
  float first_scale = 1.0F;   ///< 1 / (1 − β₁ᵗ)
  float second_scale = 1.0F;  ///< 1 / √(1 − β₂ᵗ)
  float coupled = 0.0F;       ///< decay that is added to the gradient (Adam)
  float shrink = 1.0F;        ///< 1 − rate·decay (AdamW)
};

}  // namespace chorus::kernels
