#include "common/codec/version_steps.hpp"

namespace chorus::codec {

std::uint64_t bytes_of(std::span<const VersionStep> steps) noexcept {
  std::uint64_t bytes = 0;
  for (const VersionStep& step : steps) bytes += step.bytes;
  return bytes;
}

TrainPlan plan_of(const VersionSteps& all, std::uint64_t seed) {
  TrainPlan plan;
  plan.seed = seed;
  plan.trainable = all.trainable;
  plan.local = all.local;
  plan.compression = all.compression;
  plan.compression->seed = seed;
  plan.compression->table = 0;
  return plan;
}

Result<UpdateForm> form_of(const VersionSteps& all,
                           std::uint64_t seed,
                           const TensorLayout& layout) {
  return UpdateForm::of(plan_of(all, seed), layout);
}

}  // namespace chorus::codec
