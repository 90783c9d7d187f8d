// Which numbers of a TrainPlan are allowed: one list for messages, job files and the trainer.
#pragma once

#include <optional>
#include <string_view>

#include "chorus/plan.hpp"

namespace chorus::tensor {

struct PlanProblem {
  std::string_view field;  ///< "optimiser.beta1"
  double value = 0.0;
  std::string_view expected;
};

/// The first value out of its documented range, of optimiser, schedule, clip_norm, proximal and
/// accumulate.
std::optional<PlanProblem> problem_of(const TrainPlan& plan) noexcept;

}  // namespace chorus::tensor
