// Which TrainPlans are allowed: one list for messages, job files and the trainer.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/model.hpp"
#include "chorus/plan.hpp"
#include "chorus/report.hpp"
#include "chorus/result.hpp"

namespace chorus::tensor {

struct PlanProblem {
  std::string_view field;  ///< "optimiser.beta1"
  double value = 0.0;
  std::string_view expected;
};

/// The first value out of its documented range, of all but budget and order.
std::optional<PlanProblem> problem_of(const TrainPlan& plan) noexcept;

/// The same for an evaluation's plan.
std::optional<PlanProblem> problem_of(const EvaluatePlan& plan) noexcept;

/// Whether the features that a model reads can be normalised so: how many scales there are, and
/// that features are numbers.
/// @pre layout_of(model) succeeds
/// @errors invalid_argument
Result<void> check_normalise(std::span<const FeatureScale> scales, const ModelSpec& model);

/// Two options that make no sense together.
struct PlanConflict {
  std::string_view option;  ///< "control", as in docs/plan.md
  std::string_view other;
  std::string_view why;
};

/// The first conflict of a plan. @see docs/plan.md, "What does not go together"
std::optional<PlanConflict> conflict_of(const TrainPlan& plan) noexcept;
/// "control = from_steps and momentum: why", for errors.
std::string describe(const PlanConflict& conflict);
/// All there are; conflict_of() finds nothing else.
std::span<const PlanConflict> all_conflicts() noexcept;

/// Names of vectors that a task must bring along with this plan: "anchor", "control", "mask",
/// "candidate1", …
std::vector<std::string> vectors_of(const TrainPlan& plan);

/// The parts of the report that the plan asks for, in their order. {delta}: y − x alone, which is
/// what averaging strategies take.
std::vector<ReportKind> reports_of(const TrainPlan& plan);

}  // namespace chorus::tensor
