// Low-rank adapters beside products with weights. Internal to this folder.
#pragma once

#include <cstddef>
#include <span>

#include "client/train/tape/graph.hpp"

namespace chorus::train {

/// Beside y = x·Wᵀ: y += scale·(x·Aᵀ)·Bᵀ, with A (rank, inputs) and B (outputs, rank). Rows of x
/// and y are contiguous. With rank 0 there is none, and nothing happens.
/// @source Hu et al. 2022, LoRA, arXiv:2106.09685, §4.1
class Adapter {
 public:
  struct Sizes {
    std::size_t rows = 0;  ///< of x and y
    std::size_t inputs = 0;
    std::size_t outputs = 0;
    std::size_t rank = 0;
    float scale = 1.0F;
  };
  /// @param tensors  A and B; of rank 0: none
  Adapter(Graph& graph, const Sizes& sizes, std::span<const Tensor> tensors);

  /// x·Aᵀ, from the forward pass to the backward one: a step that calls forward() or backward()
  /// touches it.
  const Value& hidden() const noexcept { return hidden_; }
  void forward(const float* x, float* y) const;

  /// What backward() needs while it runs; its step touches it.
  Value scratch() const;
  struct Slopes {
    const float* dy = nullptr;
    float* dx = nullptr;  ///< added to; null: not wanted
    Value scratch{};
  };
  /// The gradients of A and B, and the adapter's part of dx.
  void backward(const float* x, const Slopes& slopes) const;

 private:
  Graph* graph_;
  Sizes sizes_;
  Tensor a_;
  Tensor b_;
  Value hidden_;
};

}  // namespace chorus::train
