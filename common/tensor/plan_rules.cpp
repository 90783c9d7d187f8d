#include "common/tensor/plan_rules.hpp"

#include <cmath>

namespace chorus::tensor {
namespace {

bool share(double x) {
  return x >= 0.0 && x < 1.0;
}

bool not_negative(double x) {
  return x >= 0.0 && std::isfinite(x);
}

std::optional<PlanProblem> problem_of(const Optimiser& o) noexcept {
  if (!(o.learning_rate > 0.0) || !std::isfinite(o.learning_rate)) {
    return PlanProblem{"learning_rate", o.learning_rate, "more than 0"};
  }
  if (!share(o.momentum)) {
    return PlanProblem{"momentum", o.momentum, "at least 0 and less than 1"};
  }
  if (!not_negative(o.weight_decay)) {
    return PlanProblem{"weight_decay", o.weight_decay, "at least 0"};
  }
  const bool sgd = o.kind == Optimiser::Kind::sgd;
  if (!sgd && o.momentum != 0.0) {
    return PlanProblem{"momentum", o.momentum, "0, because only sgd has it"};
  }
  if (o.nesterov && !(sgd && o.momentum > 0.0)) {
    return PlanProblem{"nesterov", 1.0, "sgd with momentum above 0"};
  }
  if (!share(o.beta1)) return PlanProblem{"beta1", o.beta1, "at least 0 and less than 1"};
  if (!share(o.beta2)) return PlanProblem{"beta2", o.beta2, "at least 0 and less than 1"};
  if (!(o.epsilon > 0.0) || !std::isfinite(o.epsilon)) {
    return PlanProblem{"epsilon", o.epsilon, "more than 0"};
  }
  return {};
}

std::optional<PlanProblem> problem_of(const Schedule& s) noexcept {
  if (!(s.factor >= 0.0 && s.factor <= 1.0)) {
    return PlanProblem{"schedule.factor", s.factor, "0 to 1"};
  }
  if (s.every_steps == 0) return PlanProblem{"schedule.every_steps", 0.0, "at least 1"};
  if (s.kind == Schedule::Kind::cosine && s.total_steps <= s.warmup_steps) {
    return PlanProblem{
        "schedule.total_steps", static_cast<double>(s.total_steps), "more than warmup_steps"};
  }
  return {};
}

}  // namespace

std::optional<PlanProblem> problem_of(const TrainPlan& plan) noexcept {
  if (const auto wrong = problem_of(plan.optimiser)) return wrong;
  if (const auto wrong = problem_of(plan.schedule)) return wrong;
  if (!not_negative(plan.clip_norm)) return PlanProblem{"clip_norm", plan.clip_norm, "at least 0"};
  if (!not_negative(plan.proximal)) return PlanProblem{"proximal", plan.proximal, "at least 0"};
  if (plan.accumulate == 0) return PlanProblem{"accumulate", 0.0, "at least 1"};
  return {};
}

}  // namespace chorus::tensor
