// The architecture of a model: layers in order, a loss, and the tensors that follow from them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/export.hpp"
#include "chorus/layers.hpp"
#include "chorus/result.hpp"

namespace chorus {

/// One named float32 tensor inside the flat parameter vector.
struct TensorSpec {
  std::string name;                  ///< "<layer>.weight", "<layer>.bias", … as PyTorch's
  std::vector<std::uint64_t> shape;  ///< row-major, outermost first
  std::uint64_t offset = 0;          ///< first element in the flat vector
  std::uint64_t count = 0;           ///< product of shape
  bool buffer = false;               ///< a statistic: averaged like parameters, never stepped

  bool operator==(const TensorSpec&) const = default;
};

/// How the flat float32 parameter vector is divided into tensors: contiguous, in order, no gaps.
struct TensorLayout {
  std::vector<TensorSpec> tensors;
  std::uint64_t parameters = 0;  ///< total elements

  bool operator==(const TensorLayout&) const = default;
};

/// What is minimised, averaged over a batch; formulas in docs/models.md.
enum class Loss : std::uint8_t {
  softmax_cross_entropy = 1,  ///< of scores for classes
  binary_cross_entropy = 2,   ///< of one logit per target (from 0 to 1)
  mean_squared_error = 3,
  mean_absolute_error = 4,
  huber = 5,
  cox_partial_likelihood = 7,  ///< of one risk per example; targets are a time and whether it ended
};

/// What some losses can be told beside their kind.
struct LossOptions {
  double label_smoothing = 0.0;      ///< softmax_cross_entropy: [0, 1)
  std::vector<float> class_weights;  ///< softmax_cross_entropy: >= 0, one per class; empty: all 1
  double huber_delta = 1.0;          ///< huber: where the square becomes a line, > 0
  bool operator==(const LossOptions&) const = default;
};

/// A model: per-example input shape, layers in order, loss on the last output.
struct ModelSpec {
  /// {features}, {steps}, {channels, length}, {steps, features} or {channels, height, width}
  std::vector<std::uint64_t> input_shape;
  std::vector<Layer> layers;
  Loss loss = Loss::softmax_cross_entropy;
  LossOptions loss_options{};

  bool operator==(const ModelSpec&) const = default;
};

/// Checks the layers against each other and derives the flat layout.
/// @errors invalid_argument, naming the layer, what it received and what it expects
CHORUS_EXPORT Result<TensorLayout> layout_of(const ModelSpec& model);

/// Output shape after each layer (element i is the shape after layers[i]).
/// @errors as layout_of
CHORUS_EXPORT Result<std::vector<std::vector<std::uint64_t>>> shapes_of(const ModelSpec& model);

/// Whether a tensor of this name is a buffer: the last part is running_mean or running_var.
CHORUS_EXPORT bool is_buffer_name(std::string_view tensor) noexcept;
/// Whether it belongs to an adapter (lora_rank): its name ends with lora_A or lora_B.
CHORUS_EXPORT bool is_adapter_name(std::string_view tensor) noexcept;

/// Initial parameters: weights uniform in ±sqrt(6 / fan_in) (He), embeddings standard normal,
/// recurrent layers uniform in ±1/sqrt(units), attention uniform in ±sqrt(6 / (in + out)), weights
/// of norms and running_var 1, everything else 0.
/// @param seed  the job's seed; the same seed gives the same bits on every machine
/// @source He et al. 2015, arXiv:1502.01852, eq. 10 (uniform form); Glorot and Bengio 2010, eq. 16
CHORUS_EXPORT Result<std::vector<float>> initial_parameters(const ModelSpec& model,
                                                            std::uint64_t seed);

}  // namespace chorus
