// Compiled with -O3 in every build: the loop here is memory-bound only when vectorised.
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

double rate_at(const TrainPlan& plan, std::uint64_t step) noexcept {
  const Schedule& schedule = plan.schedule;
  const double rate = plan.optimiser.learning_rate;
  const auto warmup = static_cast<double>(schedule.warmup_steps);
  const auto now = static_cast<double>(step);
  if (now < warmup) return rate * (now + 1.0) / warmup;
  const double after = now - warmup;
  switch (schedule.kind) {
    case Schedule::Kind::constant:
      return rate;
    case Schedule::Kind::step:
      return rate * std::pow(schedule.factor,
                             std::floor(after / static_cast<double>(schedule.every_steps)));
    case Schedule::Kind::cosine: {
      constexpr double kPi = 3.14159265358979323846;
      const double span = static_cast<double>(schedule.total_steps) - warmup;
      const double part = span > 0.0 ? std::min(1.0, after / span) : 1.0;
      return rate *
             (schedule.factor + (1.0 - schedule.factor) * 0.5 * (1.0 + std::cos(kPi * part)));
    }
  }
  return rate;
}

Result<OptimiserState> OptimiserState::create(const Optimiser& options,
                                              const TensorLayout& layout) {
  OptimiserState state(options, layout);
  const bool moments = options.kind != Optimiser::Kind::sgd;
  if (moments || options.momentum != 0.0) {
    CHORUS_TRY(state.first_,
               tensor::AlignedBuffer<float>::create(layout.parameters, tensor::Fill::zero));
  }
  if (moments) {
    CHORUS_TRY(state.second_,
               tensor::AlignedBuffer<float>::create(layout.parameters, tensor::Fill::zero));
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
  for (std::size_t i = 0; i < layout_->tensors.size(); ++i) {
    const TensorSpec& tensor = layout_->tensors[i];
    if (tensor.buffer || (done != nullptr && done(context, i))) continue;
    const auto part = [&tensor](std::span<float> whole) {
      return whole.empty() ? whole : whole.subspan(tensor.offset, tensor.count);
    };
    const StepVectors vectors{
        part(step.weights), part(step.gradient), part(first_.span()), part(second_.span())};
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
        lamb_step(adam, step.rate, decay, vectors, part(step.gradient));
        break;
    }
  }
}

void add_proximal(const TensorLayout& layout,
                  double mu,
                  std::span<const float> weights,
                  std::span<const float> centre,
                  std::span<float> gradient) {
  const auto pull = static_cast<float>(mu);
  for (const TensorSpec& tensor : layout.tensors) {
    if (tensor.buffer) continue;
    const float* __restrict const w = weights.data() + tensor.offset;
    const float* __restrict const x = centre.data() + tensor.offset;
    float* __restrict const g = gradient.data() + tensor.offset;
    for (std::size_t i = 0; i < tensor.count; ++i) g[i] += pull * (w[i] - x[i]);
  }
}

void clip_norm(const TensorLayout& layout, double norm_max, std::span<float> gradient) {
  double squares = 0.0;
  for (const TensorSpec& tensor : layout.tensors) {
    if (tensor.buffer) continue;
    const auto stats = kernels::stats_f32(gradient.subspan(tensor.offset, tensor.count));
    if (!stats.finite) return;  // no factor helps: whoever looks at the parameters finds it
    squares += stats.sum_squares;
  }
  const double scale = norm_max / (std::sqrt(squares) + 1e-6);
  if (!(scale < 1.0)) return;
  for (const TensorSpec& tensor : layout.tensors) {
    if (tensor.buffer) continue;
    kernels::scale_f32(static_cast<float>(scale), gradient.subspan(tensor.offset, tensor.count));
  }
}

}  // namespace chorus::train
