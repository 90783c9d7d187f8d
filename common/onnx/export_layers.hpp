// The operators that each kind of layer becomes. Internal to common/onnx.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/model.hpp"
#include "chorus/result.hpp"
#include "common/onnx/graph_writer.hpp"

namespace chorus::onnx {

/// Writes layers one after the other; `current` is the value at hand.
class LayerWriter {
 public:
  using Shape = std::vector<std::uint64_t>;

  LayerWriter(GraphWriter& graph, const TensorLayout& layout, std::span<const float> parameters);

  /// @param name  the layer's, empty for layers without tensors
  /// @errors unsupported_feature: ONNX has no such layer
  Result<void> write(const Layer& layer,
                     const std::string& name,
                     const Shape& in,
                     const Shape& out);

  std::string current = "input";

 private:
  struct Place {
    const Shape& in;
    const Shape& out;
  };

  Result<void> put(const Dense& layer, const Place& at);
  Result<void> put(const Conv2d& layer, const Place& at);
  Result<void> put(const Conv1d& layer, const Place& at);
  Result<void> put(const MaxPool2d& layer, const Place& at);
  Result<void> put(const MaxPool1d& layer, const Place& at);
  Result<void> put(const AvgPool2d& layer, const Place& at);
  Result<void> put(const AvgPool1d& layer, const Place& at);
  Result<void> put(const GlobalAvgPool& layer, const Place& at);
  Result<void> put(const GlobalMaxPool& layer, const Place& at);
  Result<void> put(const Relu& layer, const Place& at);
  Result<void> put(const LeakyRelu& layer, const Place& at);
  Result<void> put(const Gelu& layer, const Place& at);
  Result<void> put(const Silu& layer, const Place& at);
  Result<void> put(const Tanh& layer, const Place& at);
  Result<void> put(const Sigmoid& layer, const Place& at);
  Result<void> put(const Softmax& layer, const Place& at);
  Result<void> put(const BatchNorm& layer, const Place& at);
  Result<void> put(const LayerNorm& layer, const Place& at);
  Result<void> put(const GroupNorm& layer, const Place& at);
  Result<void> put(const ScaleShift& layer, const Place& at);
  Result<void> put(const Dropout& layer, const Place& at);
  Result<void> put(const Embedding& layer, const Place& at);
  Result<void> put(const PositionEmbedding& layer, const Place& at);
  Result<void> put(const Lstm& layer, const Place& at);
  Result<void> put(const Gru& layer, const Place& at);
  Result<void> put(const SelfAttention& layer, const Place& at);
  Result<void> put(const Flatten& layer, const Place& at);
  Result<void> put(const Reshape& layer, const Place& at);
  Result<void> put(const Transpose& layer, const Place& at);
  Result<void> put(const Mark& layer, const Place& at);
  Result<void> put(const Branch& layer, const Place& at);
  Result<void> put(const Add& layer, const Place& at);
  Result<void> put(const Concat& layer, const Place& at);
  template <class L>
  Result<void> put(const L& layer, const Place& at);

  template <class Conv>
  void convolution(const Conv& layer, std::size_t sides);
  template <class Pool>
  void pool(std::string_view op, const Pool& layer, std::size_t sides);
  template <class Cell>
  void recurrent(std::string_view op, const Cell& layer, const std::vector<std::size_t>& gates);
  std::string rows_times(const std::string& value, const std::string& weight);
  void reshape(const Shape& shape);
  std::string tensor(std::string_view part);  ///< of the layer, as a constant
  /// The same with the adapter at `prefix` ("", "in_proj_", "out_proj.") added to it, if there is
  /// one.
  template <class L>
  std::string merged(const L& layer, std::string_view part, std::string_view prefix);
  std::string per_channel(std::string_view part, std::size_t rank);
  const TensorSpec& spec(std::string_view part) const;
  std::span<const float> values(std::string_view part) const;
  template <class Cell>
  GraphWriter::Names cell_weights(const Cell& layer,
                                  std::uint64_t level,
                                  const std::vector<std::size_t>& gates);

  GraphWriter& graph_;
  const TensorLayout& layout_;
  std::span<const float> parameters_;
  std::string name_;
  std::string_view kind_;
  std::map<std::string, std::string> marks_;
};

}  // namespace chorus::onnx
