// The layers of a model. Shapes are of one example: {features}, {channels, length} or {steps,
// features}, {channels, height, width}. Formulas and shapes: docs/models.md. A layer that has
// tensors has a name; an empty one stands for "<kind><number>". Names and layouts of tensors are
// PyTorch's.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "chorus/export.hpp"
#include "chorus/layers_sequence.hpp"

namespace chorus {

/// y = x·Wᵀ + b on the last dimension of {features} or {steps, features}.
struct Dense {
  std::string name;
  std::uint64_t units = 0;  ///< outputs; weight (units, inputs), bias (units)
  bool bias = true;
  std::uint64_t lora_rank = 0;  ///< of an adapter beside the weight (docs/models.md); 0: none
  double lora_alpha = 0.0;      ///< its factor is lora_alpha / lora_rank; 0: 1
  bool operator==(const Dense&) const = default;
};

/// Cross-correlation with square kernels and zeros around the image.
struct Conv2d {
  std::string name;
  std::uint64_t channels = 0;  ///< outputs; weight (channels, inputs / groups, kernel, kernel)
  std::uint64_t kernel = 3;
  std::uint64_t stride = 1;
  std::uint64_t padding = 0;   ///< zeros on each side
  std::uint64_t dilation = 1;  ///< distance of a kernel's taps
  std::uint64_t groups = 1;    ///< inputs and channels are divided among them
  bool bias = true;
  std::uint64_t lora_rank = 0;  ///< of an adapter beside the weight (docs/models.md); 0: none
  double lora_alpha = 0.0;      ///< its factor is lora_alpha / lora_rank; 0: 1
  bool operator==(const Conv2d&) const = default;
};

/// The same along {channels, length}; weight (channels, inputs / groups, kernel).
struct Conv1d {
  std::string name;
  std::uint64_t channels = 0;
  std::uint64_t kernel = 3;
  std::uint64_t stride = 1;
  std::uint64_t padding = 0;
  std::uint64_t dilation = 1;
  std::uint64_t groups = 1;
  bool bias = true;
  std::uint64_t lora_rank = 0;  ///< of an adapter beside the weight (docs/models.md); 0: none
  double lora_alpha = 0.0;      ///< its factor is lora_alpha / lora_rank; 0: 1
  bool operator==(const Conv1d&) const = default;
};

struct MaxPool2d {
  std::uint64_t kernel = 2;
  std::uint64_t stride = 2;
  std::uint64_t padding = 0;  ///< at most kernel / 2; never the maximum
  bool operator==(const MaxPool2d&) const = default;
};
struct MaxPool1d {
  std::uint64_t kernel = 2;
  std::uint64_t stride = 2;
  std::uint64_t padding = 0;
  bool operator==(const MaxPool1d&) const = default;
};
/// Means over windows; zeros of the padding count (PyTorch's count_include_pad).
struct AvgPool2d {
  std::uint64_t kernel = 2;
  std::uint64_t stride = 2;
  std::uint64_t padding = 0;
  bool operator==(const AvgPool2d&) const = default;
};
struct AvgPool1d {
  std::uint64_t kernel = 2;
  std::uint64_t stride = 2;
  std::uint64_t padding = 0;
  bool operator==(const AvgPool1d&) const = default;
};
/// {channels, …} → {channels}: the mean of each channel.
struct GlobalAvgPool {
  bool operator==(const GlobalAvgPool&) const = default;
};
/// The same: the largest of each channel.
struct GlobalMaxPool {
  bool operator==(const GlobalMaxPool&) const = default;
};

struct Relu {
  bool operator==(const Relu&) const = default;
};
struct LeakyRelu {
  double slope = 0.01;  ///< of negative inputs, [0, 1]
  bool operator==(const LeakyRelu&) const = default;
};
/// x·Φ(x), with the error function.
struct Gelu {
  bool operator==(const Gelu&) const = default;
};
/// x / (1 + exp(−x)).
struct Silu {
  bool operator==(const Silu&) const = default;
};
struct Tanh {
  bool operator==(const Tanh&) const = default;
};
struct Sigmoid {
  bool operator==(const Sigmoid&) const = default;
};
/// Over the last dimension of {features} or {steps, features}.
struct Softmax {
  bool operator==(const Softmax&) const = default;
};

/// Per channel, over the batch and all positions. weight, bias, and the buffers running_mean,
/// running_var (channels each).
struct BatchNorm {
  std::string name;
  double epsilon = 1e-5;  ///< > 0
  double momentum = 0.1;  ///< share of the batch in the running values, (0, 1]
  bool operator==(const BatchNorm&) const = default;
};
/// Over the last dimension of {features} or {steps, features}. weight, bias (features).
struct LayerNorm {
  std::string name;
  double epsilon = 1e-5;
  bool operator==(const LayerNorm&) const = default;
};
/// Per example and group of neighbouring channels. weight, bias (channels).
struct GroupNorm {
  std::string name;
  std::uint64_t groups = 1;  ///< divides the channels
  double epsilon = 1e-5;
  bool operator==(const GroupNorm&) const = default;
};
/// y = weight·x + bias per channel (SSF): a cheap adapter after dense, convolution or norm.
struct ScaleShift {
  std::string name;
  bool operator==(const ScaleShift&) const = default;
};

/// While training, zeroes each value with probability `rate` and divides the others by 1 − rate.
struct Dropout {
  double rate = 0.5;  ///< [0, 1)
  bool operator==(const Dropout&) const = default;
};

using LayerKinds = std::variant<Dense,
                                Conv2d,
                                MaxPool2d,
                                Relu,
                                Flatten,
                                Conv1d,
                                MaxPool1d,
                                AvgPool2d,
                                AvgPool1d,
                                GlobalAvgPool,
                                LeakyRelu,
                                Gelu,
                                Silu,
                                Tanh,
                                Sigmoid,
                                Softmax,
                                BatchNorm,
                                LayerNorm,
                                GroupNorm,
                                ScaleShift,
                                Dropout,
                                Embedding,
                                PositionEmbedding,
                                Lstm,
                                Gru,
                                SelfAttention,
                                Reshape,
                                Transpose,
                                Mark,
                                Branch,
                                Add,
                                Concat,
                                GlobalMaxPool>;

/// One layer of a model: any of the above; std::visit, std::get and std::holds_alternative apply.
/// A class of its own, rather than a name for the variant, so that copying, comparing and
/// destroying it is compiled once and not wherever a model is held.
class CHORUS_EXPORT Layer : public LayerKinds {
 public:
  using LayerKinds::LayerKinds;
  Layer();
  Layer(const Layer& other);
  Layer(Layer&& other) noexcept;
  Layer& operator=(const Layer& other);
  Layer& operator=(Layer&& other) noexcept;
  ~Layer();

  CHORUS_EXPORT friend bool operator==(const Layer& a, const Layer& b);
};

}  // namespace chorus
