#include "common/tensor/plan_features.hpp"

#include <algorithm>
#include <array>
#include <iterator>

namespace chorus::tensor {
namespace {

// Devices of the first version know SGD with momentum.
bool plain(const Optimiser& optimiser) {
  return optimiser ==
         Optimiser{optimiser.learning_rate, optimiser.momentum, optimiser.weight_decay};
}

struct Feature {
  std::string_view name;
  bool (*needed)(const TrainPlan&);
};

bool has(const TrainPlan& plan, CodecKind kind) {
  if (!plan.compression) return false;
  const auto is = [kind](const Codec& codec) { return codec.kind == kind; };
  const auto& own = plan.compression->tensors;
  return is(plan.compression->codec) ||
         std::any_of(own.begin(), own.end(), [&is](const TensorCodec& t) { return is(t.codec); });
}

constexpr Feature kFeatures[] = {
    {"optimiser", [](const TrainPlan& p) { return !plain(p.optimiser); }},
    {"schedule", [](const TrainPlan& p) { return p.schedule != Schedule{}; }},
    {"clip_norm", [](const TrainPlan& p) { return p.clip_norm != 0.0; }},
    {"proximal", [](const TrainPlan& p) { return p.proximal != 0.0; }},
    {"accumulate", [](const TrainPlan& p) { return p.accumulate != 1; }},
    {"early_stop", [](const TrainPlan& p) { return p.early_stop != EarlyStop{}; }},
    {"curriculum", [](const TrainPlan& p) { return p.order == Order::curriculum; }},
    {"source.whole",
     [](const TrainPlan& p) { return p.source.kind == GradientSource::Kind::whole; }},
    {"source.variance_reduced",
     [](const TrainPlan& p) { return p.source.kind == GradientSource::Kind::variance_reduced; }},
    {"source.zeroth_order",
     [](const TrainPlan& p) { return p.source.kind == GradientSource::Kind::zeroth_order; }},
    {"control", [](const TrainPlan& p) { return p.control != ControlVariates::none; }},
    {"meta", [](const TrainPlan& p) { return p.meta.kind != Meta::Kind::none; }},
    {"distillation",
     [](const TrainPlan& p) { return p.distil.teacher != Distillation::Teacher::none; }},
    {"trainable", [](const TrainPlan& p) { return p.trainable != Trainable{}; }},
    {"mask", [](const TrainPlan& p) { return p.trainable.mask; }},
    {"local", [](const TrainPlan& p) { return !p.local.empty(); }},
    {"probe", [](const TrainPlan& p) { return p.probe != Probe{}; }},
    {"candidates", [](const TrainPlan& p) { return p.candidates > 1; }},
    {"normalise", [](const TrainPlan& p) { return !p.normalise.empty(); }},
    {"compression", [](const TrainPlan& p) { return p.compression.has_value(); }},
    {"compression.momentum",
     [](const TrainPlan& p) { return p.compression && p.compression->momentum != 0.0; }},
    {"compression.difference",
     [](const TrainPlan& p) {
       return p.compression && p.compression->feedback == Feedback::difference;
     }},
    {"compression.low_rank", [](const TrainPlan& p) { return has(p, CodecKind::low_rank); }},
    {"compression.subspace", [](const TrainPlan& p) { return has(p, CodecKind::subspace); }},
};

}  // namespace

std::span<const std::string_view> plan_features() noexcept {
  static constexpr auto kNames = [] {
    std::array<std::string_view, std::size(kFeatures)> names{};
    for (std::size_t i = 0; i < names.size(); ++i) names[i] = kFeatures[i].name;
    return names;
  }();
  return kNames;
}

std::vector<std::string_view> features_of(const TrainPlan& plan) {
  std::vector<std::string_view> features;
  for (const Feature& feature : kFeatures) {
    if (feature.needed(plan)) features.push_back(feature.name);
  }
  return features;
}

std::vector<std::string_view> features_of(const EvaluatePlan& plan) {
  TrainPlan same;
  same.normalise = plan.normalise;
  return features_of(same);
}

}  // namespace chorus::tensor
