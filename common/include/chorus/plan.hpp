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

/// SGD: v ← momentum·v + (g + weight_decay·w);  w ← w − learning_rate·v   (PyTorch's form)
struct Sgd {
  double learning_rate = 0.01;  ///< > 0
  double momentum = 0.0;        ///< [0, 1)
  double weight_decay = 0.0;    ///< >= 0
  bool operator==(const Sgd&) const = default;
};

/// Order in which examples are visited.
enum class Order : std::uint8_t { natural = 1, shuffled = 2 };

/// Instructions for one training task.
struct TrainPlan {
  Budget budget;
  std::uint32_t batch_size = 32;  ///< >= 1; the last batch of an epoch may be smaller
  Sgd optimiser;
  Order order = Order::shuffled;
  std::uint64_t seed = 0;  ///< of (job, round, device): shuffling and anything else random
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
