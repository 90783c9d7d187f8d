// The learning rate of a step, for the device and for whoever repeats its steps.
#pragma once

#include <cstdint>

#include "chorus/plan.hpp"

namespace chorus::tensor {

/// The learning rate of step `step` (from 0); formulas in chorus/plan_steps.hpp.
double rate_at(const TrainPlan& plan, std::uint64_t step) noexcept;

/// Σ rate_at(plan, k) over k < steps.
double sum_of_rates(const TrainPlan& plan, std::uint64_t steps) noexcept;

}  // namespace chorus::tensor
