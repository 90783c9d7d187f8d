// Nodes and constants of an ONNX graph that is being written. Internal to common/onnx.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace chorus::onnx {

namespace pb {
class GraphProto;
class TensorProto;
}  // namespace pb

class GraphWriter {
 public:
  using Value = std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>>;
  using Attributes = std::vector<std::pair<std::string_view, Value>>;
  using Names = std::vector<std::string>;

  explicit GraphWriter(pb::GraphProto& graph) : graph_(graph) {}

  /// Names of nodes and of what they compute begin with it.
  void begin_layer(std::string name) { layer_ = std::move(name); }

  /// Adds a node and returns the names of what it computes.
  Names add(std::string_view op, const Names& inputs, const Attributes& attributes, int outputs);
  std::string add(std::string_view op, const Names& inputs, const Attributes& attributes = {}) {
    return add(op, inputs, attributes, 1).front();
  }

  /// Constants. Return the name.
  std::string tensor(std::string name,
                     const std::vector<std::uint64_t>& shape,
                     std::span<const float> values);
  std::string wholes(const std::vector<std::int64_t>& values);
  std::string number(float value);

 private:
  std::string fresh(std::string_view what);

  pb::GraphProto& graph_;
  std::string layer_;
  std::uint64_t made_ = 0;
};

}  // namespace chorus::onnx
