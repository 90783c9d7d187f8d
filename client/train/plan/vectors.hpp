// Whole-vector arithmetic of a plan, over the runs of elements that it concerns. All of it, so that
// another device can stand in for this file.
#pragma once

#include <span>

#include "common/tensor/tensor_selection.hpp"

namespace chorus::train::vectors {

using Ranges = std::span<const tensor::Range>;

/// y ← x
void copy(Ranges ranges, std::span<const float> x, std::span<float> y);
/// y ← y + a·x
void add_scaled(Ranges ranges, float a, std::span<const float> x, std::span<float> y);
/// y ← y + a·(p − q)
void add_difference(
    Ranges ranges, float a, std::span<const float> p, std::span<const float> q, std::span<float> y);
/// y ← a·y
void scale(Ranges ranges, float a, std::span<float> y);
/// y ← x + a·(y − x)
void blend(Ranges ranges, float a, std::span<const float> x, std::span<float> y);
/// y ← 0 where the mask is 0
void mask(Ranges ranges, std::span<const float> mask, std::span<float> y);
/// y ← x where the mask is 0
void restore(Ranges ranges,
             std::span<const float> mask,
             std::span<const float> x,
             std::span<float> y);
/// Σ x², in double; NaN when an element is not finite
double squared_norm(Ranges ranges, std::span<const float> x);
/// Scales y to at most this Euclidean norm; what is not finite stays.
/// @source torch.nn.utils.clip_grad_norm_
void clip(Ranges ranges, double norm_max, std::span<float> y);

}  // namespace chorus::train::vectors
