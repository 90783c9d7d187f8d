// How long a device trains, in which order, and how a gradient becomes a step.
#pragma once

#include <cstdint>

namespace chorus {

/// How long to train. Exactly one kind; the device may stop early and reports what it did.
struct Budget {
  enum class Unit : std::uint8_t { epochs = 1, steps = 2, examples = 3, seconds = 4 };
  Unit unit = Unit::epochs;
  double amount = 1.0;  ///< > 0; whole for every unit but seconds
  bool operator==(const Budget&) const = default;
};

/// Ends training before its budget does. A rule of 0 is off.
struct EarlyStop {
  double loss = 0.0;           ///< an epoch's mean loss, as its examples were met, is at most this
  std::uint32_t patience = 0;  ///< so many epochs in a row have not lowered the least mean loss …
  double improvement = 0.0;    ///< … by more than this, >= 0
  double gradient_norm = 0.0;  ///< the gradient that a step follows is at most so long, unclipped
  bool operator==(const EarlyStop&) const = default;
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

/// Learning from a teacher's scores, too. With z the scores of a row, z' the teacher's (in
/// evaluation), q = softmax(z / T), p = softmax(z' / T), the loss gains the mean over rows of
///
/// weight · T² · Σ_c p_c·(log p_c − log q_c)
///
/// With not_true the sums, and both softmaxes, are over all classes but the row's own, so that what
/// is known of the others is kept. Only with softmax_cross_entropy. Training's loss metric is
/// without it.
/// @source Hinton et al. 2015, arXiv:1503.02531, §2; not_true: Lee et al. 2022, FedNTD,
///         arXiv:2106.03097, eq. 5
struct Distillation {
  enum class Teacher : std::uint8_t {
    none = 0,
    received = 1,  ///< the model as it was received (with candidates: the chosen one)
    given = 2,     ///< the task's vector "teacher"
  };
  Teacher teacher = Teacher::none;
  double weight = 1.0;       ///< > 0
  double temperature = 2.0;  ///< T, > 0
  bool not_true = false;
  bool operator==(const Distillation&) const = default;
};

/// What training multiplies. Parameters, gradients, sums and all between layers stay float32.
enum class Precision : std::uint8_t {
  f32 = 0,
  /// The factors of convolutions and of products with many rows are rounded to bfloat16, on devices
  /// whose CPU multiplies those faster (AVX512-BF16, AMX); elsewhere as f32. Bits differ from one
  /// to the other. Evaluation is in float32.
  bf16 = 1,
};

/// Order in which examples are visited.
enum class Order : std::uint8_t { natural = 1, shuffled = 2, curriculum = 3 };

/// With Order::curriculum: examples are sorted by score, and training begins with those in front.
/// In step t of T (what the budget makes in batches) of N examples, g(t) are in use, with
/// s = t / (full·T), b = start, cut to a whole number and held within 1 and N:
///
/// linear       b·N + (1 − b)·N·s          step         b·N + N·⌊s⌋
/// quadratic    b·N + (1 − b)·N·s²         exponential  b·N + (1 − b)·N·(e^(10s) − 1) / (e^10 − 1)
/// root         b·N + (1 − b)·N·√s         logarithmic  b·N + (1 − b)·N·(1 + ln(s + e^−10) / 10)
///
/// A pass goes once over the examples in use (at least one batch of them), shuffled; g is asked
/// anew before each pass.
/// @source Vahidian et al. 2023, "When Do Curricula Work in Federated Learning?"
struct Curriculum {
  enum class Pace : std::uint8_t {
    linear = 1,
    quadratic = 2,
    root = 3,
    step = 4,
    exponential = 5,
    logarithmic = 6,
  };
  Pace pace = Pace::linear;
  double start = 0.2;          ///< (0, 1]: part of the examples in use at first
  double full = 0.8;           ///< (0, 1]: part of the steps after which all are in use
  bool hardest_first = false;  ///< descending score
  bool given_scores = false;   ///< the device's own; else each example's loss under the received
                               ///< model. Equal scores keep the order of the examples
  bool operator==(const Curriculum&) const = default;
};

}  // namespace chorus
