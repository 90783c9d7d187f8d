// The TrainPlan: instructions a device executes. A new strategy is new instructions, not new
// device code.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace chorus {

/// How long to train. Exactly one kind; the device may stop early and reports what it did.
struct Budget {
  enum class Unit : std::uint8_t { epochs = 1, steps = 2, examples = 3, seconds = 4 };
  Unit unit = Unit::epochs;
  double amount = 1.0;  ///< > 0; whole for every unit but seconds
  bool operator==(const Budget&) const = default;
};

/// How a gradient g becomes a step of the weights w; λ is weight_decay, η the learning rate.
///
/// sgd    v ← momentum·v + (g + λ·w);  w ← w − η·v   (nesterov: w ← w − η·(g + λ·w + momentum·v))
/// adam   on g + λ·w: m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g²; w ← w − η·m̂/(√v̂ + ε)
/// adamw  the same on g alone, and w ← w − η·λ·w   (decoupled decay)
/// lamb   r = m̂/(√v̂ + ε) + λ·w;  w ← w − η·‖w‖/‖r‖·r, tensor by tensor
struct Optimiser {
  enum class Kind : std::uint8_t { sgd = 1, adam = 2, adamw = 3, lamb = 4 };
  double learning_rate = 0.01;  ///< > 0
  double momentum = 0.0;        ///< [0, 1), sgd only
  double weight_decay = 0.0;    ///< >= 0
  Kind kind = Kind::sgd;
  bool nesterov = false;  ///< sgd only, with momentum > 0
  double beta1 = 0.9;     ///< [0, 1)
  double beta2 = 0.999;   ///< [0, 1)
  double epsilon = 1e-8;  ///< > 0
  bool operator==(const Optimiser&) const = default;
};

/// The learning rate of step k = 0, 1, …, as a factor of Optimiser::learning_rate. While
/// k < warmup_steps it is (k + 1) / warmup_steps; then, with j = k − warmup_steps,
///
/// constant  1
/// step      factor^⌊j / every_steps⌋
/// cosine    factor + (1 − factor)·(1 + cos(π·min(1, j / (total_steps − warmup_steps)))) / 2
struct Schedule {
  enum class Kind : std::uint8_t { constant = 1, step = 2, cosine = 3 };
  Kind kind = Kind::constant;
  std::uint64_t warmup_steps = 0;
  std::uint64_t every_steps = 1;  ///< >= 1, step only
  std::uint64_t total_steps = 1;  ///< > warmup_steps, cosine only
  double factor = 0.1;            ///< [0, 1]
  bool operator==(const Schedule&) const = default;
};

/// Order in which examples are visited.
enum class Order : std::uint8_t { natural = 1, shuffled = 2 };

/// Instructions for one training task.
struct TrainPlan {
  Budget budget;
  std::uint32_t batch_size = 32;  ///< >= 1; the last batch of an epoch may be smaller
  Optimiser optimiser;
  Order order = Order::shuffled;
  std::uint64_t seed = 0;  ///< of (job, round, device): shuffling and anything else random
  Schedule schedule{};
  double clip_norm = 0.0;  ///< longest gradient, Euclidean norm over all tensors; 0: any
  double proximal = 0.0;   ///< μ of μ/2·‖w − received model‖², added to the loss; >= 0
  std::uint32_t accumulate = 1;  ///< batches whose mean gradient makes one step; >= 1
  bool operator==(const TrainPlan&) const = default;
};

/// Instructions for one evaluation task.
struct EvaluatePlan {
  std::uint32_t batch_size = 256;
  bool operator==(const EvaluatePlan&) const = default;
};

/// A named number a device reports, e.g. {"loss", 0.31}.
struct Metric {
  std::string name;
  double value = 0.0;
  bool operator==(const Metric&) const = default;
};

}  // namespace chorus
