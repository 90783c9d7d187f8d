// A model ready to compute: flat parameters, flat gradient, and one tape per batch size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "chorus/client/dataset.hpp"
#include "chorus/model.hpp"
#include "chorus/result.hpp"
#include "client/train/loss.hpp"
#include "client/train/onednn_adapter.hpp"
#include "common/tensor/aligned_buffer.hpp"

namespace chorus::train {

/// Not copyable, not movable: tapes point into its buffers. Used by one thread at a time.
class Network {
 public:
  /// @param threads  of oneDNN while a method runs, >= 1
  /// @errors as layout_of; busy: no memory
  static Result<std::unique_ptr<Network>> create(const ModelSpec& model, unsigned threads = 1);
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  const ModelSpec& model() const noexcept { return model_; }
  const TensorLayout& layout() const noexcept { return layout_; }
  std::size_t inputs() const noexcept { return inputs_; }
  std::size_t outputs() const noexcept { return outputs_; }

  /// f32[layout().parameters], PyTorch layout. Uninitialised at first.
  std::span<float> parameters() noexcept { return parameters_.span(); }
  /// f32[layout().parameters]: of the last gradient_of().
  std::span<const float> gradient() const noexcept { return gradient_.span(); }

  /// Whether the model takes these examples: shape and labels.
  /// @errors unsupported_feature
  Result<void> accepts(const client::Dataset& data) const;

  /// Forward and backward over the given rows: gradient() = ∂(mean loss)/∂parameters().
  /// @pre accepts(data), rows not empty and within data
  /// @errors busy: no memory; unsupported_feature, internal: oneDNN
  Result<BatchResult> gradient_of(const client::Dataset& data, std::span<const std::uint32_t> rows);
  /// Forward only.
  Result<BatchResult> loss_of(const client::Dataset& data, std::span<const std::uint32_t> rows);

 private:
  struct Shape {
    std::size_t batch;
    Tape::Mode mode;
    auto operator<=>(const Shape&) const = default;
  };

  Network(ModelSpec model, TensorLayout layout, unsigned threads);

  Result<Tape*> tape_for(const Shape& shape);
  LayerTensors take_tensors(std::size_t& next, Tape::Mode mode);
  void load(Tape& tape, const client::Dataset& data, std::span<const std::uint32_t> rows);
  static void add_layer(Tape& tape, const Layer& layer, const LayerTensors& tensors);

  ModelSpec model_;
  TensorLayout layout_;
  unsigned threads_;
  std::size_t inputs_ = 0;
  std::size_t outputs_ = 0;
  tensor::AlignedBuffer<float> parameters_;
  tensor::AlignedBuffer<float> gradient_;
  std::vector<std::uint32_t> labels_;  // of the batch
  std::map<Shape, std::unique_ptr<Tape>> tapes_;
};

}  // namespace chorus::train
