// The architecture of a model: an ordered list of layers, and the tensors that follow from it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "chorus/export.hpp"
#include "chorus/result.hpp"

namespace chorus {

/// One named float32 tensor inside the flat parameter vector.
struct TensorSpec {
  std::string name;                  ///< "<layer>.weight" or "<layer>.bias"
  std::vector<std::uint64_t> shape;  ///< row-major, outermost first
  std::uint64_t offset = 0;          ///< first element in the flat vector
  std::uint64_t count = 0;           ///< product of shape

  bool operator==(const TensorSpec&) const = default;
};

/// How the flat float32 parameter vector is divided into tensors: contiguous, in order, no gaps.
struct TensorLayout {
  std::vector<TensorSpec> tensors;
  std::uint64_t parameters = 0;  ///< total elements

  bool operator==(const TensorLayout&) const = default;
};

/// Layers of the built-in trainer. Activations are NCHW; weights as in PyTorch (out, in, kh, kw).
struct Dense {
  std::string name;
  std::uint64_t units = 0;  ///< outputs; weight (units, inputs), bias (units)
  bool operator==(const Dense&) const = default;
};
struct Conv2d {
  std::string name;
  std::uint64_t channels =
      0;  ///< outputs; weight (channels, inputs, kernel, kernel), bias (channels)
  std::uint64_t kernel = 3;
  std::uint64_t stride = 1;
  std::uint64_t padding = 0;  ///< zeros on each side
  bool operator==(const Conv2d&) const = default;
};
struct MaxPool2d {
  std::uint64_t kernel = 2;
  std::uint64_t stride = 2;
  bool operator==(const MaxPool2d&) const = default;
};
struct Relu {
  bool operator==(const Relu&) const = default;
};
struct Flatten {
  bool operator==(const Flatten&) const = default;
};
using Layer = std::variant<Dense, Conv2d, MaxPool2d, Relu, Flatten>;

enum class Loss : std::uint8_t { softmax_cross_entropy = 1 };

/// A model: per-example input shape, layers in order, loss on the last output.
struct ModelSpec {
  std::vector<std::uint64_t> input_shape;  ///< {features} or {channels, height, width}
  std::vector<Layer> layers;
  Loss loss = Loss::softmax_cross_entropy;

  bool operator==(const ModelSpec&) const = default;
};

/// Checks the layers against each other and derives the flat layout.
/// @errors invalid_argument, naming the layer, what it received and what it expects
CHORUS_EXPORT Result<TensorLayout> layout_of(const ModelSpec& model);

/// Output shape after each layer (element i is the shape after layers[i]).
/// @errors as layout_of
CHORUS_EXPORT Result<std::vector<std::vector<std::uint64_t>>> shapes_of(const ModelSpec& model);

/// Initial parameters: weights uniform in ±sqrt(6 / fan_in) (He), biases zero.
/// @param seed  the job's seed; the same seed gives the same bits on every machine
/// @source He et al. 2015, arXiv:1502.01852, eq. 10 (uniform form)
CHORUS_EXPORT Result<std::vector<float>> initial_parameters(const ModelSpec& model,
                                                            std::uint64_t seed);

}  // namespace chorus
