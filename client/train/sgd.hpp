// The optimiser's inner loop.
#pragma once

#include <span>

#include "chorus/plan.hpp"

namespace chorus::train {

/// v ← momentum·v + (g + weight_decay·w);  w ← w − learning_rate·v  element by element, float32.
/// @param weights   f32[n]  in/out
/// @param gradient  f32[n]
/// @param velocity  f32[n]  in/out, zero before the first step; may be empty without momentum
/// @determinism     bitwise equal everywhere
/// @source          torch.optim.SGD (dampening 0, no Nesterov)
void sgd_step(const Sgd& options,
              std::span<float> weights,
              std::span<const float> gradient,
              std::span<float> velocity);

}  // namespace chorus::train
