// An ONNX file as plain values: nodes in an order in which they can be computed, constants decoded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "chorus/result.hpp"
#include "common/onnx/tensor.hpp"

namespace chorus::onnx {

/// A value of an attribute; std::monostate: of a kind that no operator here has (a subgraph).
using Attribute = std::variant<std::monostate,
                               std::int64_t,
                               float,
                               std::string,
                               Tensor,
                               std::vector<std::int64_t>,
                               std::vector<float>>;

struct Node {
  std::string name;                 ///< never empty: "Conv #3" where the file has none
  std::string op;                   ///< "Conv"; with its domain when that is not the standard's
  std::vector<std::string> inputs;  ///< empty: not given
  std::vector<std::string> outputs;
  std::map<std::string, Attribute, std::less<>> attributes;

  std::int64_t whole(std::string_view key, std::int64_t otherwise) const;
  float real(std::string_view key, float otherwise) const;
  std::string text(std::string_view key, std::string_view otherwise) const;
  /// Empty when it is not there.
  std::vector<std::int64_t> wholes(std::string_view key) const;
  const Tensor* tensor(std::string_view key) const;
  bool has(std::string_view key) const { return attributes.find(key) != attributes.end(); }
  /// Whether the input is there and has a name.
  bool gives(std::size_t input) const { return input < inputs.size() && !inputs[input].empty(); }
};

struct GraphInput {
  std::string name;
  Shape shape;         ///< -1: not fixed
  bool whole = false;  ///< indices
};

struct Graph {
  std::string producer;  ///< "pytorch 1.13.1"
  std::int64_t opset = 0;
  std::vector<Node> nodes;  ///< every node after those it depends on
  std::map<std::string, Tensor> constants;
  std::vector<GraphInput> inputs;  ///< those that are no constants
  std::vector<std::string> outputs;
  std::map<std::string, std::string> metadata;
};

/// Nodes and constants that a graph may have.
inline constexpr std::size_t kNodesMax = 100'000;
/// Opsets whose operators are known here.
inline constexpr std::int64_t kOpsetMin = 7;
inline constexpr std::int64_t kOpsetMax = 20;

/// @errors malformed_file: not an ONNX file, or one that contradicts itself (missing values, values
///         made twice, cycles, tensors whose size is not their shape's); unsupported_feature: an
///         opset, type or external data that is not read here
Result<Graph> read_graph(std::span<const std::byte> file);

}  // namespace chorus::onnx
