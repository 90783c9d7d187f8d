#include "common/onnx/graph_writer.hpp"

#include <fmt/format.h>

#include "onnx_format.pb.h"

namespace chorus::onnx {
namespace {

struct WriteValue {
  pb::AttributeProto& into;

  void operator()(std::int64_t value) const {
    into.set_type(pb::AttributeProto::INT);
    into.set_i(value);
  }
  void operator()(float value) const {
    into.set_type(pb::AttributeProto::FLOAT);
    into.set_f(value);
  }
  void operator()(const std::string& value) const {
    into.set_type(pb::AttributeProto::STRING);
    into.set_s(value);
  }
  void operator()(const std::vector<std::int64_t>& values) const {
    into.set_type(pb::AttributeProto::INTS);
    for (const std::int64_t value : values) into.add_ints(value);
  }
};

}  // namespace

std::string GraphWriter::fresh(std::string_view what) {
  return fmt::format("/{}/{}_{}", layer_, what, ++made_);
}

GraphWriter::Names GraphWriter::add(std::string_view op,
                                    const Names& inputs,
                                    const Attributes& attributes,
                                    int outputs) {
  pb::NodeProto& node = *graph_.add_node();
  node.set_op_type(std::string(op));
  node.set_name(fresh(op));
  for (const std::string& input : inputs) node.add_input(input);
  Names names;
  for (int i = 0; i < outputs; ++i) {
    names.push_back(fmt::format("{}_output_{}", node.name(), i));
    node.add_output(names.back());
  }
  for (const auto& [name, value] : attributes) {
    pb::AttributeProto& attribute = *node.add_attribute();
    attribute.set_name(std::string(name));
    std::visit(WriteValue{attribute}, value);
  }
  return names;
}

std::string GraphWriter::tensor(std::string name,
                                const std::vector<std::uint64_t>& shape,
                                std::span<const float> values) {
  pb::TensorProto& tensor = *graph_.add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(pb::TensorProto::FLOAT);
  for (const std::uint64_t side : shape) tensor.add_dims(static_cast<std::int64_t>(side));
  tensor.set_raw_data(values.data(), values.size_bytes());
  return name;
}

std::string GraphWriter::wholes(const std::vector<std::int64_t>& values) {
  pb::TensorProto& tensor = *graph_.add_initializer();
  tensor.set_name(fresh("constant"));
  tensor.set_data_type(pb::TensorProto::INT64);
  tensor.add_dims(static_cast<std::int64_t>(values.size()));
  for (const std::int64_t value : values) tensor.add_int64_data(value);
  return tensor.name();
}

std::string GraphWriter::number(float value) {
  return tensor(fresh("constant"), {}, std::span(&value, 1));
}

}  // namespace chorus::onnx
