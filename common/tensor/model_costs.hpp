// What each layer of a model costs: parameters, arithmetic, values. For tables and benchmarks.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "chorus/model.hpp"
#include "chorus/result.hpp"

namespace chorus::tensor {

/// Of one layer and one example.
struct LayerCost {
  std::string name;                   ///< empty for a layer without tensors
  std::vector<std::uint64_t> output;  ///< shape
  std::uint64_t parameters = 0;       ///< elements of its tensors, buffers not included
  std::uint64_t buffers = 0;          ///< elements of its running statistics
  /// Multiplications and additions forwards, of products only: dense and convolution layers,
  /// recurrent layers, attention. What is done once per value (activations, norms, pooling) is not
  /// counted; it is a few per cent of a model that has products.
  double flops = 0.0;
  std::uint64_t activation_bytes = 0;  ///< of its output, as float32; marks and branches have none
};

/// One element per layer, in order.
/// @errors as layout_of
Result<std::vector<LayerCost>> costs_of(const ModelSpec& model);

/// Of one example, forwards and backwards: three times forwards, but twice for a layer that no
/// layer with parameters comes before, which needs no gradient of its input.
double training_flops(std::span<const LayerCost> costs) noexcept;

}  // namespace chorus::tensor
