// The optimisers' loops: from a gradient to a step.
#pragma once

#include <cstdint>
#include <span>

#include "chorus/model.hpp"
#include "chorus/plan.hpp"
#include "chorus/result.hpp"
#include "common/tensor/aligned_buffer.hpp"

namespace chorus::train {

/// The learning rate of step `step` (from 0) under a schedule; formulas in chorus/plan.hpp.
double rate_at(const TrainPlan& plan, std::uint64_t step) noexcept;

/// An optimiser with its memory (momentum, moments). Buffers of the layout are never touched.
/// @determinism  bitwise equal everywhere
/// @source       torch.optim: SGD (dampening 0), Adam, AdamW; LAMB: You et al. 2020,
///               arXiv:1904.00962, algorithm 2 with bias correction and φ(x) = x
class OptimiserState {
 public:
  /// @errors busy: no memory
  static Result<OptimiserState> create(const Optimiser& options, const TensorLayout& layout);

  /// Steps every tensor but those for which `done` says that it is stepped already (null: none).
  struct Step {
    double rate = 0.0;
    std::span<float> weights;   ///< f32[layout.parameters]  in/out
    std::span<float> gradient;  ///< f32[layout.parameters]  LAMB leaves its direction here
  };
  void apply(const Step& step,
             bool (*done)(const void* context, std::size_t tensor) = nullptr,
             const void* context = nullptr);

 private:
  OptimiserState(const Optimiser& options, const TensorLayout& layout)
      : options_(options), layout_(&layout) {}

  Optimiser options_;
  const TensorLayout* layout_;
  tensor::AlignedBuffer<float> first_;   // momentum, or the first moment
  tensor::AlignedBuffer<float> second_;  // the second moment
  std::uint64_t steps_ = 0;
};

/// gradient += mu · (weights − centre), without buffers: the derivative of mu/2·‖w − centre‖².
void add_proximal(const TensorLayout& layout,
                  double mu,
                  std::span<const float> weights,
                  std::span<const float> centre,
                  std::span<float> gradient);

/// Scales the gradient to at most this Euclidean norm, buffers left out.
/// @source torch.nn.utils.clip_grad_norm_
void clip_norm(const TensorLayout& layout, double norm_max, std::span<float> gradient);

}  // namespace chorus::train
