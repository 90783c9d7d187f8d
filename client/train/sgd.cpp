// Compiled with -O3 in every build: these loops are memory-bound only when vectorised.
#include "client/train/sgd.hpp"

#include <cstddef>

#include "common/base/assert.hpp"

namespace chorus::train {
namespace {

void plain_step(float rate,
                float decay,
                std::size_t count,
                float* __restrict weights,
                const float* __restrict gradient) {
  for (std::size_t i = 0; i < count; ++i) {
    weights[i] -= rate * (gradient[i] + decay * weights[i]);
  }
}

}  // namespace

void sgd_step(const Sgd& options,
              std::span<float> weights,
              std::span<const float> gradient,
              std::span<float> velocity) {
  CHORUS_ASSERT(weights.size() == gradient.size());
  const auto rate = static_cast<float>(options.learning_rate);
  const auto decay = static_cast<float>(options.weight_decay);
  const auto momentum = static_cast<float>(options.momentum);
  if (options.momentum == 0.0) {
    plain_step(rate, decay, weights.size(), weights.data(), gradient.data());
    return;
  }
  CHORUS_ASSERT(velocity.size() == weights.size());
  float* __restrict const w = weights.data();
  float* __restrict const v = velocity.data();
  const float* __restrict const g = gradient.data();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    v[i] = momentum * v[i] + (g[i] + decay * w[i]);
    w[i] -= rate * v[i];
  }
}

}  // namespace chorus::train
