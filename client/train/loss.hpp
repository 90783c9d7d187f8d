// What is minimised: losses, their derivatives, and how many examples were right.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "chorus/model.hpp"
#include "chorus/plan.hpp"

namespace chorus::train {

/// Sums over the examples of a batch.
struct BatchResult {
  double loss = 0.0;     ///< n times the batch's mean loss; NaN or infinite when an output is
  double correct = 0.0;  ///< classes: the largest output (the first of equals) is the label's, of a
                         ///< sequence the share of its steps; binary cross-entropy: 1 for outputs
                         ///< that are all on their target's side
  double squares = 0.0;  ///< squared errors of an example, averaged over its targets
};

/// What the examples of a batch should give.
struct Targets {
  /// For softmax_cross_entropy: u32[n × steps], below the classes.
  std::span<const std::uint32_t> labels;
  /// For the other losses: f32[n × outputs]; for cox_partial_likelihood f32[n × 2], times and
  /// whether they ended (1) or were censored (0).
  std::span<const float> values;
};

/// What a teacher's scores add to the loss of a batch (Distillation, docs/plan.md). In double.
/// @param outputs   f32[rows × classes]  row-major
/// @param teacher   f32[rows × classes]
/// @param labels    u32[rows]
/// @param gradient  f32[rows × classes]  added to: ∂(what is returned)/∂outputs
double distil(const Distillation& how,
              std::span<const float> outputs,
              std::span<const float> teacher,
              std::span<const std::uint32_t> labels,
              std::span<float> gradient);

/// The first of the largest: the class that scores speak for. @pre the row is not empty
std::size_t position_of_largest(std::span<const float> row) noexcept;

/// The loss of a batch, averaged over examples (and targets), by the formulas of docs/models.md.
/// Computed in double, without overflow.
/// @param outputs   f32[n × width]  row-major
/// @param width     outputs of one example; with softmax_cross_entropy of one step: the classes
/// @param gradient  f32[n × width]  out, ∂(mean loss)/∂outputs; empty: not wanted
/// @determinism     order of examples fixed; bits depend on the C library's exp and log
/// @source          torch.nn: CrossEntropyLoss, BCEWithLogitsLoss, MSELoss, L1Loss, HuberLoss
BatchResult loss_of(Loss loss,
                    const LossOptions& options,
                    std::span<const float> outputs,
                    std::size_t width,
                    const Targets& targets,
                    std::span<float> gradient);

}  // namespace chorus::train
