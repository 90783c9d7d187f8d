#include "client/train/optimiser.hpp"

#include <cmath>
#include <cstddef>

#include "chorus/kernels/kernels.hpp"
#include "chorus/kernels/training.hpp"
#include "common/base/assert.hpp"
#include "common/base/try.hpp"

namespace chorus::train {
namespace {

using kernels::AdamRule;
using kernels::StepVectors;

double norm_of(std::span<const float> x) {
  return std::sqrt(kernels::stats_f32(x).sum_squares);
}

// r = m̂/(√v̂ + ε) + decay·w;  w ← w − rate·‖w‖/‖r‖·r, the ratio being 1 where either norm is 0.
// `gradient` is step's own: the direction takes its place.
void lamb_step(const AdamRule& rule,
               double rate,
               float decay,
               const StepVectors& step,
               std::span<float> gradient) {
  kernels::lamb_direction_f32(rule, decay, step, gradient);
  const double weight_norm = norm_of(step.weights);
  const double step_norm = norm_of(gradient);
  const double trust = weight_norm > 0.0 && step_norm > 0.0 ? weight_norm / step_norm : 1.0;
  kernels::sgd_step_f32(static_cast<float>(rate * trust), 0.0F, step);
}

}  // namespace

unsigned OptimiserState::vectors_of(const Optimiser& options) noexcept {
  if (options.kind != Optimiser::Kind::sgd) return 2;
  return options.momentum != 0.0 ? 1 : 0;
}

Result<OptimiserState> OptimiserState::create(const Optimiser& options,
                                              const TensorLayout& layout,
                                              const std::vector<bool>& trained) {
  CHORUS_ASSERT(trained.empty() || trained.size() == layout.tensors.size());
  OptimiserState state(options, layout);
  std::size_t elements = 0;
  for (std::size_t i = 0; i < layout.tensors.size(); ++i) {
    if (layout.tensors[i].buffer || (!trained.empty() && !trained[i])) continue;
    state.trained_.push_back({i, elements});
    elements += layout.tensors[i].count;
  }
  const unsigned vectors = vectors_of(options);
  if (vectors >= 1) {
    CHORUS_TRY(state.first_, tensor::AlignedBuffer<float>::create(elements, tensor::Fill::zero));
  }
  if (vectors >= 2) {
    CHORUS_TRY(state.second_, tensor::AlignedBuffer<float>::create(elements, tensor::Fill::zero));
  }
  return state;
}

void OptimiserState::apply(const Step& step,
                           bool (*done)(const void* context, std::size_t tensor),
                           const void* context) {
  CHORUS_ASSERT(step.weights.size() == layout_->parameters &&
                step.gradient.size() == layout_->parameters);
  ++steps_;
  const auto t = static_cast<double>(steps_);
  const auto rate = static_cast<float>(step.rate);
  const auto decay = static_cast<float>(options_.weight_decay);
  const auto momentum = static_cast<float>(options_.momentum);
  const kernels::MomentumRule sgd{
      rate, decay, momentum, options_.nesterov ? 1.0F : 0.0F, options_.nesterov ? momentum : 1.0F};
  AdamRule adam{rate,
                static_cast<float>(options_.beta1),
                static_cast<float>(options_.beta2),
                static_cast<float>(options_.epsilon),
                static_cast<float>(1.0 / (1.0 - std::pow(options_.beta1, t))),
                static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(options_.beta2, t)))};
  if (options_.kind == Optimiser::Kind::adam) adam.coupled = decay;
  if (options_.kind == Optimiser::Kind::adamw) {
    adam.shrink = static_cast<float>(1.0 - step.rate * options_.weight_decay);
  }
  for (const auto& [place, state] : trained_) {
    const TensorSpec& tensor = layout_->tensors[place];
    if (done != nullptr && done(context, place)) continue;
    const auto memory = [&tensor, first = state](std::span<float> whole) {
      return whole.empty() ? whole : whole.subspan(first, tensor.count);
    };
    const StepVectors vectors{step.weights.subspan(tensor.offset, tensor.count),
                              step.gradient.subspan(tensor.offset, tensor.count),
                              memory(first_.span()),
                              memory(second_.span())};
    switch (options_.kind) {
      case Optimiser::Kind::sgd:
        if (first_.empty()) {
          kernels::sgd_step_f32(rate, decay, vectors);
        } else {
          kernels::momentum_step_f32(sgd, vectors);
        }
        break;
      case Optimiser::Kind::adam:
      case Optimiser::Kind::adamw:
        kernels::adam_step_f32(adam, vectors);
        break;
      case Optimiser::Kind::lamb:
        lamb_step(
            adam, step.rate, decay, vectors, step.gradient.subspan(tensor.offset, tensor.count));
        break;
    }
  }
}

}  // namespace chorus::train
