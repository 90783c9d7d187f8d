// A task, as a device receives it.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "chorus/model.hpp"
#include "chorus/plan.hpp"
#include "common/base/types.hpp"
#include "common/codec/version_steps.hpp"

namespace chorus::wire {

/// What a fetch names: a version, or a round's basis.
struct ModelRef {
  Sha256 sha256;
  std::uint64_t bytes = 0;
  bool operator==(const ModelRef&) const = default;
};

struct Work {
  TaskRef task;
  ModelRef model;
  ModelSpec spec;
  std::variant<TrainPlan, EvaluatePlan> plan;  ///< agrees with task.kind
  Duration deadline{};                         ///< from now; 0: none
  std::optional<codec::VersionSteps> steps{};  ///< other ways to `model` than its file
  std::optional<ModelRef> basis{};             ///< of the round (common/codec/basis.hpp)
  bool operator==(const Work&) const = default;
};

}  // namespace chorus::wire
