// Steps from two-point differences along directions of ±1 that a seed determines: who knows the
// plan and the differences makes the same model, bit by bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "chorus/model.hpp"
#include "chorus/plan.hpp"
#include "chorus/result.hpp"
#include "common/tensor/tensor_selection.hpp"

namespace chorus::tensor {

/// x[i] += amount·z[i] for the elements of the ranges, z being direction `number` of the stream
/// ("direction") of the seed: element i is +1 if bit i mod 128 of Philox block (i / 128, number)
/// is 1, else −1.
/// @determinism  bitwise equal everywhere
/// @source       Rademacher directions: Spall 1992 (SPSA)
void add_direction(std::uint64_t seed,
                   std::uint64_t number,
                   float amount,
                   std::span<const Range> ranges,
                   std::span<float> x) noexcept;

/// Step `step` of a plan whose source is zeroth_order:
/// w ← w − (η/S)·Σⱼ ρⱼ·z(step·S + j), the directions one after the other.
/// @param rho  f32[plan.source.directions]
void zeroth_order_step(const TrainPlan& plan,
                       std::uint64_t step,
                       std::span<const float> rho,
                       std::span<const Range> ranges,
                       std::span<float> weights) noexcept;

/// What the device made of the received model, from the scalars it reported: repeats every step.
/// @param scalars  f32[steps × plan.source.directions]  as in the report's part `scalars`
/// @param weights  f32[layout.parameters]               in: the received model; out: the device's
/// @errors invalid_argument: the plan has another source, or its patterns do not fit the layout;
///         shape_mismatch: scalars of no whole number of steps, or another model
Result<void> replay_zeroth_order(const TrainPlan& plan,
                                 const TensorLayout& layout,
                                 std::span<const float> scalars,
                                 std::span<float> weights);

}  // namespace chorus::tensor
