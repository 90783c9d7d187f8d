// Compiled with -O3 in every build: these loops are memory-bound only when vectorised.
#include "client/train/optimiser.hpp"

#include <cmath>
#include <cstddef>

#include "common/base/assert.hpp"
#include "common/base/try.hpp"

namespace chorus::train {
namespace {

double squared_norm(const float* x, std::size_t count) {
  double sum = 0.0;
  for (std::size_t i = 0; i < count; ++i) sum += double{x[i]} * double{x[i]};
  return sum;
}

void plain_step(
    float rate, float decay, std::size_t count, float* __restrict w, const float* __restrict g) {
  for (std::size_t i = 0; i < count; ++i) w[i] -= rate * (g[i] + decay * w[i]);
}

// v ← momentum·v + (g + decay·w); w ← w − rate·v, or with Nesterov − rate·(g + decay·w +
// momentum·v)
void momentum_step(const Optimiser& options,
                   float rate,
                   std::size_t count,
                   float* __restrict w,
                   const float* __restrict g,
                   float* __restrict v) {
  const auto decay = static_cast<float>(options.weight_decay);
  const auto momentum = static_cast<float>(options.momentum);
  const float ahead = options.nesterov ? momentum : 1.0F;
  const float now = options.nesterov ? 1.0F : 0.0F;
  for (std::size_t i = 0; i < count; ++i) {
    const float slope = g[i] + decay * w[i];
    v[i] = momentum * v[i] + slope;
    w[i] -= rate * (now * slope + ahead * v[i]);
  }
}

struct Moments {
  float beta1, beta2, epsilon;
  float first_scale;   // 1 / (1 − β₁ᵗ)
  float second_scale;  // 1 / √(1 − β₂ᵗ)
};

// m and v move; returns m̂ / (√v̂ + ε).
inline float direction(const Moments& c, float g, float& m, float& v) {
  m = c.beta1 * m + (1.0F - c.beta1) * g;
  v = c.beta2 * v + (1.0F - c.beta2) * g * g;
  return m * c.first_scale / (std::sqrt(v) * c.second_scale + c.epsilon);
}

void adam_step(const Moments& c,
               float rate,
               float coupled,  // decay added to the gradient (Adam)
               float shrink,   // factor of the weights (AdamW)
               std::size_t count,
               float* __restrict w,
               const float* __restrict g,
               float* __restrict m,
               float* __restrict v) {
  for (std::size_t i = 0; i < count; ++i) {
    const float slope = g[i] + coupled * w[i];
    w[i] = shrink * w[i] - rate * direction(c, slope, m[i], v[i]);
  }
}

// r = m̂/(√v̂ + ε) + decay·w;  w ← w − rate·‖w‖/‖r‖·r, the ratio being 1 where either norm is 0.
void lamb_step(const Moments& c,
               double rate,
               float decay,
               std::size_t count,
               float* __restrict w,
               const float* __restrict g,
               float* __restrict m,
               float* __restrict v) {
  double squares = 0.0;
  for (std::size_t i = 0; i < count; ++i) {
    const float r = direction(c, g[i], m[i], v[i]) + decay * w[i];
    squares += double{r} * double{r};
  }
  const double weight_norm = std::sqrt(squared_norm(w, count));
  const double step_norm = std::sqrt(squares);
  const double trust = weight_norm > 0.0 && step_norm > 0.0 ? weight_norm / step_norm : 1.0;
  const auto scaled = static_cast<float>(rate * trust);
  for (std::size_t i = 0; i < count; ++i) {
    const float again = m[i] * c.first_scale / (std::sqrt(v[i]) * c.second_scale + c.epsilon);
    w[i] -= scaled * (again + decay * w[i]);
  }
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
  const Moments moments{static_cast<float>(options_.beta1),
                        static_cast<float>(options_.beta2),
                        static_cast<float>(options_.epsilon),
                        static_cast<float>(1.0 / (1.0 - std::pow(options_.beta1, t))),
                        static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(options_.beta2, t)))};
  for (std::size_t i = 0; i < layout_->tensors.size(); ++i) {
    const TensorSpec& tensor = layout_->tensors[i];
    if (tensor.buffer || (done != nullptr && done(context, i))) continue;
    float* const w = step.weights.data() + tensor.offset;
    const float* const g = step.gradient.data() + tensor.offset;
    float* const m = first_.data() + (first_.empty() ? 0 : tensor.offset);
    float* const v = second_.data() + (second_.empty() ? 0 : tensor.offset);
    switch (options_.kind) {
      case Optimiser::Kind::sgd:
        if (first_.empty()) {
          plain_step(rate, decay, tensor.count, w, g);
        } else {
          momentum_step(options_, rate, tensor.count, w, g, m);
        }
        break;
      case Optimiser::Kind::adam:
        adam_step(moments, rate, decay, 1.0F, tensor.count, w, g, m, v);
        break;
      case Optimiser::Kind::adamw:
        adam_step(moments,
                  rate,
                  0.0F,
                  static_cast<float>(1.0 - step.rate * options_.weight_decay),
                  tensor.count,
                  w,
                  g,
                  m,
                  v);
        break;
      case Optimiser::Kind::lamb:
        lamb_step(moments, step.rate, decay, tensor.count, w, g, m, v);
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
    if (!tensor.buffer) squares += squared_norm(gradient.data() + tensor.offset, tensor.count);
  }
  const double scale = norm_max / (std::sqrt(squares) + 1e-6);
  if (!(scale < 1.0)) return;
  const auto factor = static_cast<float>(scale);
  for (const TensorSpec& tensor : layout.tensors) {
    if (tensor.buffer) continue;
    float* const g = gradient.data() + tensor.offset;
    for (std::size_t i = 0; i < tensor.count; ++i) g[i] *= factor;
  }
}

}  // namespace chorus::train
