// Layers for sequences, and those that change shape or make a model branch; see layers.hpp.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace chorus {

/// {steps} of whole numbers below `vocabulary` → {steps, width}. First layer only.
struct Embedding {
  std::string name;
  std::uint64_t vocabulary = 0;
  std::uint64_t width = 0;  ///< weight (vocabulary, width)
  bool operator==(const Embedding&) const = default;
};
/// Adds a learned row to each step of {steps, features}: weight (steps, features).
struct PositionEmbedding {
  std::string name;
  bool operator==(const PositionEmbedding&) const = default;
};

/// {steps, features} → {steps, units}, or {units} of the last step: PyTorch's gates and tensors,
/// zero state at the beginning of every example.
struct Lstm {
  std::string name;
  std::uint64_t units = 0;
  std::uint64_t depth = 1;     ///< stacked
  bool bidirectional = false;  ///< twice the units: forwards, backwards
  bool sequence = false;       ///< all steps; otherwise what each direction ends with
  bool operator==(const Lstm&) const = default;
};
struct Gru {
  std::string name;
  std::uint64_t units = 0;
  std::uint64_t depth = 1;
  bool bidirectional = false;
  bool sequence = false;
  bool operator==(const Gru&) const = default;
};
/// {steps, features} → the same. in_proj_weight (3·features, features), in_proj_bias,
/// out_proj.weight (features, features), out_proj.bias.
struct SelfAttention {
  std::string name;
  std::uint64_t heads = 1;  ///< divides the features
  bool causal = false;      ///< a step sees itself and the steps before
  std::uint64_t lora_rank =
      0;  ///< of an adapter beside each of the two weights (docs/models.md); 0: none
  double lora_alpha = 0.0;  ///< its factor is lora_alpha / lora_rank; 0: 1
  bool operator==(const SelfAttention&) const = default;
};

struct Flatten {
  bool operator==(const Flatten&) const = default;
};
struct Reshape {
  std::vector<std::uint64_t> shape;  ///< of one example; as many values as before
  bool operator==(const Reshape&) const = default;
};
/// {a, b} → {b, a}.
struct Transpose {
  bool operator==(const Transpose&) const = default;
};

/// A model is a chain; these four make it branch. Mark gives the value at this place a name.
struct Mark {
  std::string name;
  bool operator==(const Mark&) const = default;
};
/// Goes on from a mark, leaving the value at this place (which must be marked).
struct Branch {
  std::string from;
  bool operator==(const Branch&) const = default;
};
/// Sum with a mark's value.
struct Add {
  std::string with;
  bool operator==(const Add&) const = default;
};
/// Appends a mark's value behind this one, along the first dimension.
struct Concat {
  std::string with;
  bool operator==(const Concat&) const = default;
};

/// What the product of a layer's adapter is multiplied by.
template <class L>
double lora_scale(const L& layer) noexcept {
  if (layer.lora_rank == 0 || layer.lora_alpha == 0.0) return 1.0;
  return layer.lora_alpha / static_cast<double>(layer.lora_rank);
}

}  // namespace chorus
