// What does not go together, and why. docs/plan.md has the same table.
#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <utility>

#include "common/tensor/plan_rules.hpp"

namespace chorus::tensor {
namespace {

using Source = GradientSource::Kind;
using Teacher = Distillation::Teacher;

struct Option {
  std::string_view name;
  bool (*set)(const TrainPlan& plan);
};

constexpr Option kOptions[] = {
    {"momentum", [](const TrainPlan& p) { return p.optimiser.momentum != 0.0; }},
    {"weight_decay", [](const TrainPlan& p) { return p.optimiser.weight_decay != 0.0; }},
    {"adam, adamw, lamb",
     [](const TrainPlan& p) { return p.optimiser.kind != Optimiser::Kind::sgd; }},
    {"schedule", [](const TrainPlan& p) { return p.schedule != Schedule{}; }},
    {"seconds", [](const TrainPlan& p) { return p.budget.unit == Budget::Unit::seconds; }},
    {"clip_norm", [](const TrainPlan& p) { return p.clip_norm != 0.0; }},
    {"proximal", [](const TrainPlan& p) { return p.proximal != 0.0; }},
    {"accumulate", [](const TrainPlan& p) { return p.accumulate != 1; }},
    {"early_stop", [](const TrainPlan& p) { return p.early_stop != EarlyStop{}; }},
    {"stop_gradient_norm", [](const TrainPlan& p) { return p.early_stop.gradient_norm != 0.0; }},
    {"curriculum", [](const TrainPlan& p) { return p.order == Order::curriculum; }},
    {"whole", [](const TrainPlan& p) { return p.source.kind == Source::whole; }},
    {"variance_reduced",
     [](const TrainPlan& p) { return p.source.kind == Source::variance_reduced; }},
    {"zeroth_order", [](const TrainPlan& p) { return p.source.kind == Source::zeroth_order; }},
    {"control", [](const TrainPlan& p) { return p.control != ControlVariates::none; }},
    {"control from_steps",
     [](const TrainPlan& p) { return p.control == ControlVariates::from_steps; }},
    {"control from_gradient",
     [](const TrainPlan& p) { return p.control == ControlVariates::from_gradient; }},
    {"reptile", [](const TrainPlan& p) { return p.meta.kind == Meta::Kind::reptile; }},
    {"first_order_maml",
     [](const TrainPlan& p) { return p.meta.kind == Meta::Kind::first_order_maml; }},
    {"distil", [](const TrainPlan& p) { return p.distil.teacher != Teacher::none; }},
    {"mask", [](const TrainPlan& p) { return p.trainable.mask; }},
    {"local", [](const TrainPlan& p) { return !p.local.empty(); }},
    {"probe_only", [](const TrainPlan& p) { return p.probe.only; }},
    {"candidates", [](const TrainPlan& p) { return p.candidates > 1; }},
};

constexpr std::string_view kNoStep = "no step is made";
constexpr std::string_view kScalars = "the server repeats the steps from the scalars alone";
constexpr std::string_view kSteps = "(x − y) / Σ η would no longer be the mean gradient";

constexpr PlanConflict kConflicts[] = {
    {"whole", "momentum", kNoStep},
    {"whole", "weight_decay", kNoStep},
    {"whole", "adam, adamw, lamb", kNoStep},
    {"whole", "schedule", kNoStep},
    {"whole", "proximal", "its gradient is 0 at the received model"},
    {"whole", "accumulate", kNoStep},
    {"whole", "early_stop", kNoStep},
    {"whole", "curriculum", "the mean over all examples has no order"},
    {"whole", "control", kNoStep},
    {"whole", "reptile", kNoStep},
    {"whole", "first_order_maml", kNoStep},
    {"whole", "distil", "it is the gradient of the loss alone"},
    {"whole", "probe_only", "either a gradient or probes only"},
    {"variance_reduced", "control", "both correct towards the mean gradient of all devices"},
    {"variance_reduced", "first_order_maml", "the anchor is no gradient behind an inner step"},
    {"variance_reduced", "distil", "the anchor is the gradient of the loss alone"},
    {"variance_reduced", "local", "the anchor knows nothing of tensors that stay on devices"},
    {"variance_reduced", "candidates", "the anchor belongs to one model"},
    {"zeroth_order", "momentum", kScalars},
    {"zeroth_order", "weight_decay", kScalars},
    {"zeroth_order", "adam, adamw, lamb", kScalars},
    {"zeroth_order", "clip_norm", kScalars},
    {"zeroth_order", "proximal", kScalars},
    {"zeroth_order", "accumulate", "source.directions says how many differences make a step"},
    {"zeroth_order", "stop_gradient_norm", "there is no gradient to measure"},
    {"zeroth_order", "control", kScalars},
    {"zeroth_order", "reptile", kScalars},
    {"zeroth_order", "first_order_maml", kScalars},
    {"zeroth_order", "distil", "its differences are of the loss alone"},
    {"zeroth_order", "mask", kScalars},
    {"zeroth_order", "local", kScalars},
    {"control from_steps", "momentum", kSteps},
    {"control from_steps", "weight_decay", kSteps},
    {"control from_steps", "adam, adamw, lamb", kSteps},
    {"control from_steps", "clip_norm", kSteps},
    {"control from_steps", "proximal", kSteps},
    {"control from_steps", "reptile", kSteps},
    {"control from_steps", "distil", kSteps},
    {"control from_gradient", "first_order_maml", "∇f(x) is no gradient behind an inner step"},
    {"control", "candidates", "control variates belong to one model"},
    {"curriculum", "seconds", "its pace needs the number of steps"},
    {"probe_only", "momentum", kNoStep},
    {"probe_only", "weight_decay", kNoStep},
    {"probe_only", "adam, adamw, lamb", kNoStep},
    {"probe_only", "schedule", kNoStep},
    {"probe_only", "clip_norm", kNoStep},
    {"probe_only", "proximal", kNoStep},
    {"probe_only", "accumulate", kNoStep},
    {"probe_only", "early_stop", kNoStep},
    {"probe_only", "curriculum", kNoStep},
    {"probe_only", "variance_reduced", kNoStep},
    {"probe_only", "zeroth_order", kNoStep},
    {"probe_only", "control", kNoStep},
    {"probe_only", "reptile", kNoStep},
    {"probe_only", "first_order_maml", kNoStep},
    {"probe_only", "distil", kNoStep},
    {"probe_only", "mask", kNoStep},
};

bool set(std::string_view option, const TrainPlan& plan) {
  const auto* const found = std::find_if(
      std::begin(kOptions), std::end(kOptions), [&](const Option& o) { return o.name == option; });
  return found != std::end(kOptions) && found->set(plan);
}

}  // namespace

std::optional<PlanConflict> conflict_of(const TrainPlan& plan) noexcept {
  for (const PlanConflict& conflict : kConflicts) {
    if (set(conflict.option, plan) && set(conflict.other, plan)) return conflict;
  }
  return {};
}

std::string describe(const PlanConflict& conflict) {
  return fmt::format("{} does not go with {}: {}", conflict.option, conflict.other, conflict.why);
}

std::span<const PlanConflict> all_conflicts() noexcept {
  return kConflicts;
}

std::vector<std::string> vectors_of(const TrainPlan& plan) {
  std::vector<std::string> names;
  if (plan.source.kind == Source::variance_reduced) names.emplace_back("anchor");
  if (plan.control != ControlVariates::none) names.emplace_back("control");
  if (plan.trainable.mask) names.emplace_back("mask");
  if (plan.distil.teacher == Teacher::given) names.emplace_back("teacher");
  for (std::uint32_t i = 1; i < plan.candidates; ++i)
    names.push_back(fmt::format("candidate{}", i));
  return names;
}

std::vector<ReportKind> reports_of(const TrainPlan& plan) {
  const Probe& probe = plan.probe;
  const bool asks = !probe.only;
  const bool scalars = plan.source.kind == Source::zeroth_order;
  const bool whole = plan.source.kind == Source::whole;
  const std::pair<bool, ReportKind> all[] = {
      {asks && !whole && !scalars, ReportKind::delta},
      {asks && whole, ReportKind::gradient},
      {asks && scalars, ReportKind::scalars},
      {asks && plan.control != ControlVariates::none, ReportKind::control_delta},
      {probe.gradient_norms, ReportKind::gradient_norms},
      {probe.losses, ReportKind::losses},
      {probe.labels, ReportKind::labels},
      {probe.statistics, ReportKind::statistics},
      {!probe.representation.empty(), ReportKind::representations},
  };
  std::vector<ReportKind> kinds;
  for (const auto& [asked, kind] : all) {
    if (asked) kinds.push_back(kind);
  }
  return kinds;
}

}  // namespace chorus::tensor
