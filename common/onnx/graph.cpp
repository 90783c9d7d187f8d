#include "common/onnx/graph.hpp"

#include <bit>
#include <cstring>
#include <deque>
#include <fmt/format.h>
#include <limits>
#include <set>

#include "common/base/try.hpp"
#include "common/tensor/floats.hpp"
#include "onnx_format.pb.h"

namespace chorus::onnx {
namespace {

using Type = pb::TensorProto;

constexpr std::size_t kRankMax = 16;

Failure malformed(std::string detail) {
  return fail(errc::malformed_file, std::move(detail));
}

std::string quoted(std::string_view name) {
  return fmt::format("'{}'", name.substr(0, 80));
}

std::size_t bytes_of(int type) {
  switch (type) {
    case Type::FLOAT:
    case Type::INT32:
      return 4;
    case Type::INT64:
    case Type::DOUBLE:
      return 8;
    case Type::FLOAT16:
    case Type::BFLOAT16:
      return 2;
    case Type::BOOL:
      return 1;
    default:
      return 0;
  }
}

bool is_whole(int type) {
  return type == Type::INT32 || type == Type::INT64 || type == Type::BOOL;
}

template <class T>
T peek(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

float real_from(int type, const char* at) {
  switch (type) {
    case Type::DOUBLE:
      return static_cast<float>(peek<double>(at));
    case Type::FLOAT16:
      return tensor::float_of_half(peek<std::uint16_t>(at));
    case Type::BFLOAT16:
      return tensor::float_of_bfloat(peek<std::uint16_t>(at));
    default:
      return peek<float>(at);
  }
}

std::int64_t whole_from(int type, const char* at) {
  if (type == Type::INT64) return peek<std::int64_t>(at);
  if (type == Type::INT32) return peek<std::int32_t>(at);
  return peek<std::uint8_t>(at);
}

// The numbers of a tensor that are not in raw_data. int32_data also holds halves, as their bits.
void read_typed(const pb::TensorProto& from, Tensor& into) {
  const int type = from.data_type();
  const bool half = type == Type::FLOAT16 || type == Type::BFLOAT16;
  for (const float value : from.float_data()) into.reals.push_back(value);
  for (const double value : from.double_data()) into.reals.push_back(static_cast<float>(value));
  for (const std::int64_t value : from.int64_data()) into.wholes.push_back(value);
  for (const std::int32_t value : from.int32_data()) {
    const auto bits = static_cast<std::uint16_t>(value);
    if (half) {
      into.reals.push_back(type == Type::FLOAT16 ? tensor::float_of_half(bits)
                                                 : tensor::float_of_bfloat(bits));
    } else {
      into.wholes.push_back(value);
    }
  }
}

Result<Tensor> decode(const pb::TensorProto& from, const std::string& what) {
  const int type = from.data_type();
  if (from.data_location() == Type::EXTERNAL) {
    return fail(errc::unsupported_feature,
                what +
                    " is kept in another file; save the model with its weights inside "
                    "(onnx.save(…, save_as_external_data=False))");
  }
  const std::size_t each = bytes_of(type);
  if (each == 0) {
    return fail(errc::unsupported_feature,
                fmt::format("{} has data type {}; expected float (1), double (11), float16 (10), "
                            "bfloat16 (16), int32 (6), int64 (7) or bool (9)",
                            what,
                            type));
  }
  Tensor tensor;
  tensor.whole = is_whole(type);
  tensor.shape.assign(from.dims().begin(), from.dims().end());
  const std::int64_t count = elements_of(tensor.shape);
  if (count < 0 || tensor.shape.size() > kRankMax) {
    return malformed(fmt::format("{} has the shape {}", what, text_of(tensor.shape)));
  }
  const std::string& raw = from.raw_data();
  if (raw.empty()) {
    read_typed(from, tensor);
  } else if (raw.size() == static_cast<std::size_t>(count) * each) {
    for (std::size_t at = 0; at < raw.size(); at += each) {
      if (tensor.whole) {
        tensor.wholes.push_back(whole_from(type, raw.data() + at));
      } else {
        tensor.reals.push_back(real_from(type, raw.data() + at));
      }
    }
  }
  const std::size_t found = tensor.reals.size() + tensor.wholes.size();
  if (found != static_cast<std::size_t>(count) || tensor.size() != found) {
    return malformed(fmt::format("{} has the shape {}, {} elements, but data for {}",
                                 what,
                                 text_of(tensor.shape),
                                 count,
                                 raw.empty() ? found : raw.size() / each));
  }
  return tensor;
}

Result<Attribute> decode(const pb::AttributeProto& from, const std::string& node) {
  using Kind = pb::AttributeProto;
  switch (from.type()) {
    case Kind::FLOAT:
      return Attribute(from.f());
    case Kind::INT:
      return Attribute(std::int64_t{from.i()});
    case Kind::STRING:
      return Attribute(from.s());
    case Kind::FLOATS:
      return Attribute(std::vector<float>(from.floats().begin(), from.floats().end()));
    case Kind::INTS:
      return Attribute(std::vector<std::int64_t>(from.ints().begin(), from.ints().end()));
    case Kind::TENSOR: {
      CHORUS_TRY(Tensor tensor,
                 decode(from.t(), fmt::format("{} of node {}", quoted(from.name()), quoted(node))));
      return Attribute(std::move(tensor));
    }
    default:
      return Attribute();
  }
}

Result<Node> decode(const pb::NodeProto& from, std::size_t number) {
  Node node;
  node.op = from.op_type();
  if (!from.domain().empty() && from.domain() != "ai.onnx") {
    node.op = from.domain() + "." + node.op;
  }
  node.name = from.name().empty() ? fmt::format("{} #{}", node.op, number + 1) : from.name();
  node.inputs.assign(from.input().begin(), from.input().end());
  node.outputs.assign(from.output().begin(), from.output().end());
  for (const auto& attribute : from.attribute()) {
    CHORUS_TRY(Attribute value, decode(attribute, node.name));
    node.attributes.insert_or_assign(attribute.name(), std::move(value));
  }
  return node;
}

Result<GraphInput> decode(const pb::ValueInfoProto& from) {
  const auto& type = from.type().tensor_type();
  GraphInput input{from.name(), {}, is_whole(type.elem_type())};
  if (!from.type().has_tensor_type() || bytes_of(type.elem_type()) == 0) {
    return fail(errc::unsupported_feature,
                fmt::format("input {} is no tensor of float or whole numbers", quoted(input.name)));
  }
  for (const auto& side : type.shape().dim()) {
    input.shape.push_back(side.dim_value() > 0 ? side.dim_value() : -1);
  }
  if (input.shape.size() > kRankMax) {
    return malformed(
        fmt::format("input {} has {} dimensions", quoted(input.name), input.shape.size()));
  }
  return input;
}

// Nodes in an order in which each comes after the makers of its inputs.
class Sorter {
 public:
  Sorter(std::vector<Node> nodes, const Graph& graph) : nodes_(std::move(nodes)) {
    for (const auto& [name, tensor] : graph.constants) known_.insert(name);
    for (const auto& input : graph.inputs) known_.insert(input.name);
  }

  Result<std::vector<Node>> sorted(const Graph& graph) {
    CHORUS_OK(find_makers());
    std::vector<Node> order;
    while (!ready_.empty()) {
      const std::size_t node = ready_.front();
      ready_.pop_front();
      for (const auto& output : nodes_[node].outputs) {
        for (const std::size_t reader : readers_[output]) {
          if (--waits_[reader] == 0) ready_.push_back(reader);
        }
      }
      order.push_back(std::move(nodes_[node]));
    }
    for (std::size_t i = 0; i < waits_.size(); ++i) {
      if (waits_[i] > 0) {
        return malformed(fmt::format("node {} depends on its own result", quoted(nodes_[i].name)));
      }
    }
    for (const auto& output : graph.outputs) {
      if (!known_.contains(output) && !makers_.contains(output)) {
        return malformed(fmt::format("nothing computes the output {}", quoted(output)));
      }
    }
    return order;
  }

 private:
  Result<void> find_makers() {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      for (const auto& output : nodes_[i].outputs) {
        if (output.empty()) continue;
        if (known_.contains(output) || !makers_.emplace(output, i).second) {
          return malformed(fmt::format(
              "node {} computes {}, which exists already", quoted(nodes_[i].name), quoted(output)));
        }
      }
    }
    waits_.assign(nodes_.size(), 0);
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      for (const auto& input : nodes_[i].inputs) {
        if (input.empty() || known_.contains(input)) continue;
        if (!makers_.contains(input)) {
          return malformed(fmt::format(
              "node {} reads {}, which nothing computes", quoted(nodes_[i].name), quoted(input)));
        }
        readers_[input].push_back(i);
        ++waits_[i];
      }
      if (waits_[i] == 0) ready_.push_back(i);
    }
    return {};
  }

  std::vector<Node> nodes_;
  std::set<std::string> known_;
  std::map<std::string, std::size_t> makers_;
  std::map<std::string, std::vector<std::size_t>> readers_;
  std::vector<std::size_t> waits_;
  std::deque<std::size_t> ready_;
};

Result<void> check_opset(const pb::ModelProto& model, Graph& graph) {
  for (const auto& opset : model.opset_import()) {
    if (opset.domain().empty() || opset.domain() == "ai.onnx") graph.opset = opset.version();
  }
  if (graph.opset >= kOpsetMin && graph.opset <= kOpsetMax) return {};
  return fail(errc::unsupported_feature,
              fmt::format("the file uses opset {}; expected {} to {} (torch.onnx.export(…, "
                          "opset_version=17))",
                          graph.opset,
                          kOpsetMin,
                          kOpsetMax));
}

template <class T>
const T* value_of(const Node& node, std::string_view key) {
  const auto found = node.attributes.find(key);
  return found == node.attributes.end() ? nullptr : std::get_if<T>(&found->second);
}

}  // namespace

std::int64_t Node::whole(std::string_view key, std::int64_t otherwise) const {
  const auto* value = value_of<std::int64_t>(*this, key);
  return value == nullptr ? otherwise : *value;
}
float Node::real(std::string_view key, float otherwise) const {
  const auto* value = value_of<float>(*this, key);
  return value == nullptr ? otherwise : *value;
}
std::string Node::text(std::string_view key, std::string_view otherwise) const {
  const auto* value = value_of<std::string>(*this, key);
  return value == nullptr ? std::string(otherwise) : *value;
}
std::vector<std::int64_t> Node::wholes(std::string_view key) const {
  const auto* value = value_of<std::vector<std::int64_t>>(*this, key);
  return value == nullptr ? std::vector<std::int64_t>{} : *value;
}
const Tensor* Node::tensor(std::string_view key) const {
  return value_of<Tensor>(*this, key);
}

Result<Graph> read_graph(std::span<const std::byte> file) {
  pb::ModelProto model;
  const bool small = file.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max());
  if (file.empty() || !small || !model.ParseFromArray(file.data(), static_cast<int>(file.size())) ||
      !model.has_graph()) {
    return malformed(fmt::format("its {} bytes are no ONNX model, or not all of one", file.size()));
  }
  const pb::GraphProto& from = model.graph();
  const auto count = static_cast<std::size_t>(from.node_size()) +
                     static_cast<std::size_t>(from.initializer_size());
  if (count > kNodesMax) {
    return malformed(fmt::format("it has {} nodes and constants; at most {}", count, kNodesMax));
  }
  Graph graph;
  graph.producer = fmt::format("{} {}", model.producer_name(), model.producer_version());
  CHORUS_OK(check_opset(model, graph));
  for (const auto& entry : model.metadata_props()) graph.metadata[entry.key()] = entry.value();
  for (const auto& initializer : from.initializer()) {
    CHORUS_TRY(Tensor tensor, decode(initializer, "the constant " + quoted(initializer.name())));
    if (!graph.constants.emplace(initializer.name(), std::move(tensor)).second) {
      return malformed(fmt::format("there are two constants {}", quoted(initializer.name())));
    }
  }
  for (const auto& value : from.input()) {
    if (graph.constants.contains(value.name())) continue;
    CHORUS_TRY(GraphInput input, decode(value));
    graph.inputs.push_back(std::move(input));
  }
  for (const auto& value : from.output()) graph.outputs.push_back(value.name());
  std::vector<Node> nodes;
  for (const auto& node : from.node()) {
    CHORUS_TRY(Node decoded, decode(node, nodes.size()));
    nodes.push_back(std::move(decoded));
  }
  Sorter sorter(std::move(nodes), graph);
  CHORUS_TRY(graph.nodes, sorter.sorted(graph));
  return graph;
}

}  // namespace chorus::onnx
