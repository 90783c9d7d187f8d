#include "common/tensor/plan_rules.hpp"

#include <cmath>
#include <fmt/format.h>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/base/limits.hpp"

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

bool positive(double x) {
  return x > 0.0 && std::isfinite(x);
}

bool part(double x) {
  return x > 0.0 && x <= 1.0;
}

std::optional<PlanProblem> problem_of(const EarlyStop& e) noexcept {
  if (!not_negative(e.loss)) return PlanProblem{"early_stop.loss", e.loss, "at least 0"};
  if (!not_negative(e.improvement)) {
    return PlanProblem{"early_stop.improvement", e.improvement, "at least 0"};
  }
  if (e.improvement > 0.0 && e.patience == 0) {
    return PlanProblem{"early_stop.improvement", e.improvement, "0 without patience"};
  }
  if (!not_negative(e.gradient_norm)) {
    return PlanProblem{"early_stop.gradient_norm", e.gradient_norm, "at least 0"};
  }
  return {};
}

std::optional<PlanProblem> problem_of(const Curriculum& c, Order order) noexcept {
  if (order != Order::curriculum && c != Curriculum{}) {
    return PlanProblem{"curriculum.start", c.start, "the order curriculum"};
  }
  if (!part(c.start)) return PlanProblem{"curriculum.start", c.start, "more than 0, at most 1"};
  if (!part(c.full)) return PlanProblem{"curriculum.full", c.full, "more than 0, at most 1"};
  return {};
}

std::optional<PlanProblem> problem_of(const GradientSource& s) noexcept {
  if (s.directions == 0 || s.directions > limits::kDirectionsMax) {
    return PlanProblem{"source.directions", static_cast<double>(s.directions), "1 to 1024"};
  }
  if (!positive(s.distance)) return PlanProblem{"source.distance", s.distance, "more than 0"};
  if (s.kind != GradientSource::Kind::zeroth_order && s != GradientSource{s.kind}) {
    return PlanProblem{"source.distance", s.distance, "the source zeroth_order"};
  }
  return {};
}

std::optional<PlanProblem> problem_of(const Meta& m) noexcept {
  if (!positive(m.rate)) return PlanProblem{"meta.rate", m.rate, "more than 0"};
  if (m.kind == Meta::Kind::reptile && m.rate > 1.0) {
    return PlanProblem{"meta.rate", m.rate, "at most 1 for reptile"};
  }
  if (m.kind == Meta::Kind::none && m.rate != Meta{}.rate) {
    return PlanProblem{"meta.rate", m.rate, "a kind of meta"};
  }
  if (m.kind != Meta::Kind::reptile && m.inner_steps != 0) {
    return PlanProblem{
        "meta.inner_steps", static_cast<double>(m.inner_steps), "0, because only reptile has it"};
  }
  return {};
}

std::optional<PlanProblem> problem_of(const Distillation& d) noexcept {
  if (!positive(d.weight)) return PlanProblem{"distil.weight", d.weight, "more than 0"};
  if (!positive(d.temperature)) {
    return PlanProblem{"distil.temperature", d.temperature, "more than 0"};
  }
  if (d.teacher == Distillation::Teacher::none && d != Distillation{}) {
    return PlanProblem{"distil.weight", d.weight, "a teacher"};
  }
  return {};
}

std::optional<PlanProblem> too_many(std::string_view field,
                                    const std::vector<std::string>& patterns) noexcept {
  if (patterns.size() > limits::kPatternsMax) {
    return PlanProblem{field, static_cast<double>(patterns.size()), "at most 64 patterns"};
  }
  for (const std::string& pattern : patterns) {
    if (!pattern.empty() && pattern.size() <= limits::kTensorNameBytesMax) continue;
    return PlanProblem{
        field, static_cast<double>(pattern.size()), "patterns of 1 to 256 characters"};
  }
  return {};
}

std::optional<PlanProblem> problem_of(const Probe& p) noexcept {
  if (p.representation.size() > limits::kNameBytesMax) {
    return PlanProblem{"probe.representation",
                       static_cast<double>(p.representation.size()),
                       "a name of at most 63 characters"};
  }
  if (p.by_class && p.representation.empty()) {
    return PlanProblem{"probe.by_class", 1.0, "a representation"};
  }
  const bool any =
      p.gradient_norms || p.losses || p.labels || p.statistics || !p.representation.empty();
  if (p.only && !any) return PlanProblem{"probe.only", 1.0, "something to measure"};
  return {};
}

std::optional<PlanProblem> problem_of(std::span<const FeatureScale> scales) noexcept {
  if (scales.size() > limits::kPlanScalesMax) {
    return PlanProblem{
        "normalise.mean", static_cast<double>(scales.size()), "at most 1024 numbers"};
  }
  for (const FeatureScale& one : scales) {
    if (!std::isfinite(one.offset)) {
      return PlanProblem{"normalise.mean", one.offset, "finite numbers"};
    }
    if (!positive(one.scale)) {
      return PlanProblem{"normalise.deviation", one.scale, "finite numbers, each more than 0"};
    }
  }
  return {};
}

}  // namespace

std::optional<PlanProblem> problem_of(const EvaluatePlan& plan) noexcept {
  return problem_of(std::span(plan.normalise));
}

Result<void> check_normalise(std::span<const FeatureScale> scales, const ModelSpec& model) {
  if (scales.empty()) return {};
  if (std::holds_alternative<Embedding>(model.layers.front())) {
    return fail(errc::invalid_argument,
                "normalise: the model begins with an embedding, whose features are ids and no "
                "quantities; expected no mean and no deviation");
  }
  std::uint64_t features = 1;
  for (const std::uint64_t side : model.input_shape) features *= side;
  const std::uint64_t channels = model.input_shape.front();
  if (scales.size() == 1 || scales.size() == channels || scales.size() == features) return {};
  return fail(errc::invalid_argument,
              fmt::format("normalise: there are {} means and deviations for features of [{}]; "
                          "expected 1, {} (one per channel) or {} (one per feature)",
                          scales.size(),
                          fmt::join(model.input_shape, ", "),
                          channels,
                          features));
}

std::optional<PlanProblem> problem_of(const TrainPlan& plan) noexcept {
  if (const auto wrong = problem_of(plan.optimiser)) return wrong;
  if (const auto wrong = problem_of(plan.schedule)) return wrong;
  if (!not_negative(plan.clip_norm)) return PlanProblem{"clip_norm", plan.clip_norm, "at least 0"};
  if (!not_negative(plan.proximal)) return PlanProblem{"proximal", plan.proximal, "at least 0"};
  if (plan.accumulate == 0) return PlanProblem{"accumulate", 0.0, "at least 1"};
  if (const auto wrong = problem_of(plan.early_stop)) return wrong;
  if (const auto wrong = problem_of(plan.curriculum, plan.order)) return wrong;
  if (const auto wrong = problem_of(plan.source)) return wrong;
  if (const auto wrong = problem_of(plan.meta)) return wrong;
  if (const auto wrong = problem_of(plan.distil)) return wrong;
  if (const auto wrong = too_many("trainable", plan.trainable.only)) return wrong;
  if (const auto wrong = too_many("frozen", plan.trainable.frozen)) return wrong;
  if (const auto wrong = too_many("local", plan.local)) return wrong;
  if (const auto wrong = problem_of(plan.probe)) return wrong;
  if (const auto wrong = problem_of(std::span(plan.normalise))) return wrong;
  if (plan.candidates == 0 || plan.candidates > limits::kCandidatesMax) {
    return PlanProblem{"candidates", static_cast<double>(plan.candidates), "1 to 64"};
  }
  return {};
}

}  // namespace chorus::tensor
