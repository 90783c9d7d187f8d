// The optimisers' loops: from a gradient to a step.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "chorus/model.hpp"
#include "chorus/plan.hpp"
#include "chorus/result.hpp"
#include "common/tensor/aligned_buffer.hpp"

namespace chorus::train {

/// An optimiser with its memory (momentum, moments), which only tensors that are trained have.
/// Buffers of the layout are never touched.
/// @determinism  bitwise equal everywhere
/// @source       torch.optim: SGD (dampening 0), Adam, AdamW; LAMB: You et al. 2020,
///               arXiv:1904.00962, algorithm 2 with bias correction and φ(x) = x
class OptimiserState {
 public:
  /// How many vectors as long as what is trained it keeps: 0 for plain SGD, 1 for momentum, 2 for
  /// the moments of the others.
  static unsigned vectors_of(const Optimiser& options) noexcept;

  /// @param trained  by tensor; empty: all
  /// @errors busy: no memory
  static Result<OptimiserState> create(const Optimiser& options,
                                       const TensorLayout& layout,
                                       const std::vector<bool>& trained = {});

  /// Steps every trained tensor but those for which `done` says that it is stepped already (null:
  /// none).
  struct Step {
    double rate = 0.0;
    std::span<float> weights;   ///< f32[layout.parameters]  in/out
    std::span<float> gradient;  ///< f32[layout.parameters]  LAMB leaves its direction here
  };
  void apply(const Step& step,
             bool (*done)(const void* context, std::size_t tensor) = nullptr,
             const void* context = nullptr);

  /// Of one vector of its memory.
  std::size_t elements() const noexcept { return first_.size(); }

 private:
  struct Trained {
    std::size_t place = 0;  // in the layout
    std::size_t state = 0;  // first element in first_ and second_
  };

  OptimiserState(const Optimiser& options, const TensorLayout& layout)
      : options_(options), layout_(&layout) {}

  Optimiser options_;
  const TensorLayout* layout_;
  std::vector<Trained> trained_;
  tensor::AlignedBuffer<float> first_;   // momentum, or the first moment
  tensor::AlignedBuffer<float> second_;  // the second moment
  std::uint64_t steps_ = 0;
};

}  // namespace chorus::train
