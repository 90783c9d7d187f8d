// Element-wise loops of training: activations and optimisers' steps, float32, on the calling
// thread, and softmax of a row. Each element is a few additions, multiplications, divisions and
// square roots, rounded one by one as written: all variants give the same bits.
#pragma once

#include <span>

#include "chorus/kernels/step_rules.hpp"

namespace chorus::kernels {

/// y[i] = x[i] > 0 ? x[i] : slope·x[i]
/// @pre sizes equal; y may be x itself
void relu_f32(std::span<const float> x, float slope, std::span<float> y) noexcept;

/// dx[i] = y[i] > 0 ? dy[i] : slope·dy[i]
/// @pre sizes equal; dx may be dy itself
void relu_backward_f32(std::span<const float> y,
                       std::span<const float> dy,
                       float slope,
                       std::span<float> dx) noexcept;

/// sum[i] = a[i] + b[i]
/// @pre sizes equal; sum may be a or b itself
void add_f32(std::span<const float> a, std::span<const float> b, std::span<float> sum) noexcept;

/// x[i] ← factor·x[i]
void scale_f32(float factor, std::span<float> x) noexcept;

/// y[i] = exp(x[i] − max x) / Σ_j exp(x[j] − max x), summed in double in sixteen parts, of the j
/// that are equal mod 16; exp as in cells.hpp
/// @pre sizes equal; y may be x itself
void softmax_f32(std::span<const float> x, std::span<float> y) noexcept;

/// dx[i] = y[i]·(dy[i] − Σ_j y[j]·dy[j]), summed in the same way
/// @pre sizes equal; dx may be dy itself
void softmax_backward_f32(std::span<const float> y,
                          std::span<const float> dy,
                          std::span<float> dx) noexcept;

/// The numbers that a step moves, all of one size; none overlaps another.
struct StepVectors {
  std::span<float> weights;
  std::span<const float> gradient;
  std::span<float> first;   ///< momentum, or the first moment; not of sgd_step_f32
  std::span<float> second;  ///< the second moment; of Adam and LAMB
};

/// w ← w − rate·(g + decay·w)
void sgd_step_f32(float rate, float decay, const StepVectors& step) noexcept;

/// As MomentumRule and AdamRule say.
void momentum_step_f32(const MomentumRule& rule, const StepVectors& step) noexcept;
void adam_step_f32(const AdamRule& rule, const StepVectors& step) noexcept;

/// LAMB's direction: moments as above with coupled = 0, then r + decay·w into `direction`; the
/// weights stay. `rate`, `coupled` and `shrink` of the rule are not used.
/// @pre direction has the size of the others; it may be the gradient itself
void lamb_direction_f32(const AdamRule& rule,
                        float decay,
                        const StepVectors& step,
                        std::span<float> direction) noexcept;

}  // namespace chorus::kernels
