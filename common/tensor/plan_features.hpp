// What a plan asks for beyond the first version's vocabulary, by name: what travels as a required
// feature, and what a trainer says it knows.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "chorus/plan.hpp"

namespace chorus::tensor {

/// All features there are, in the order in which plans name them.
std::span<const std::string_view> plan_features() noexcept;

/// The features of a plan, in the same order: what is not at its neutral value. Whatever every
/// device knows (budget, batch size, seed, order but curricula, plain SGD with momentum and decay)
/// has none.
std::vector<std::string_view> features_of(const TrainPlan& plan);
/// Of an evaluation; names are those of training.
std::vector<std::string_view> features_of(const EvaluatePlan& plan);

}  // namespace chorus::tensor
