// The TrainPlan: instructions a device executes. A new strategy is new instructions, not new
// device code. docs/plan.md is the manual.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "chorus/codec.hpp"
#include "chorus/feature_scale.hpp"
#include "chorus/plan_parts.hpp"
#include "chorus/plan_sources.hpp"
#include "chorus/plan_steps.hpp"

namespace chorus {

/// Instructions for one training task. Fields are independent of each other; the few combinations
/// that make no sense are refused with a reason (common/tensor/plan_rules.hpp).
///
/// Within a step: gradient (source, meta) → control variates → proximal term → clipping → decay and
/// optimiser → what must not change gets its value back.
struct TrainPlan {
  Budget budget;
  std::uint32_t batch_size = 32;  ///< >= 1; the last batch of an epoch may be smaller
  Optimiser optimiser;
  Order order = Order::shuffled;
  std::uint64_t seed = 0;  ///< of (job, round, device): shuffling and anything else random
  Schedule schedule{};
  double clip_norm = 0.0;  ///< longest gradient, Euclidean norm over what is trained; 0: any
  double proximal = 0.0;   ///< μ of μ/2·‖w − received model‖², added to the loss; >= 0
  std::uint32_t accumulate = 1;  ///< batches whose mean gradient makes one step; >= 1
  EarlyStop early_stop{};
  Curriculum curriculum{};  ///< with Order::curriculum
  GradientSource source{};
  ControlVariates control = ControlVariates::none;
  Meta meta{};
  Distillation distil{};
  Precision precision = Precision::f32;
  Trainable trainable{};
  std::vector<std::string> local{};  ///< patterns: tensors that stay on the device between tasks,
                                     ///< and are no part of the report
  Probe probe{};
  std::uint32_t candidates = 1;  ///< k: of the received model and the vectors "candidate1" to
                                 ///< "candidate<k−1>" the one of least loss here is trained
  /// What features are brought to, in place of what the device would do by itself: one for all, one
  /// per channel (the first extent of the model's input_shape), or one per feature; none: the
  /// device decides. Offsets are finite, scales finite and > 0.
  std::vector<FeatureScale> normalise{};
  /// How the update is encoded, which is the client's affair: a trainer need not look at it. None:
  /// float32 as it is.
  std::optional<Compression> compression{};
  bool operator==(const TrainPlan&) const = default;
};

/// Instructions for one evaluation task.
struct EvaluatePlan {
  std::uint32_t batch_size = 256;
  std::vector<FeatureScale> normalise{};  ///< as TrainPlan's
  bool operator==(const EvaluatePlan&) const = default;
};

/// A named number a device reports, e.g. {"loss", 0.31}.
struct Metric {
  std::string name;
  double value = 0.0;
  bool operator==(const Metric&) const = default;
};

}  // namespace chorus
