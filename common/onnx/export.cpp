#include <fmt/format.h>
#include <limits>

#include "common/base/try.hpp"
#include "common/onnx/export_layers.hpp"
#include "common/onnx/graph_writer.hpp"
#include "common/onnx/onnx.hpp"
#include "common/tensor/layer_names.hpp"
#include "common/tensor/version_metadata.hpp"
#include "onnx_format.pb.h"

namespace chorus::onnx {
namespace {

constexpr std::int64_t kIrVersion = 8;  // of the standard's release with opset 17

void describe(pb::ValueInfoProto& into,
              const std::string& name,
              int type,
              const std::vector<std::uint64_t>& shape) {
  into.set_name(name);
  auto& tensor = *into.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(type);
  tensor.mutable_shape()->add_dim()->set_dim_param("batch");
  for (const std::uint64_t side : shape) {
    tensor.mutable_shape()->add_dim()->set_dim_value(static_cast<std::int64_t>(side));
  }
}

}  // namespace

Result<std::string> export_model(const ModelSpec& model,
                                 std::span<const float> parameters,
                                 std::span<const FeatureScale> normalise) {
  CHORUS_TRY(const TensorLayout layout, layout_of(model));
  CHORUS_TRY(const auto shapes, shapes_of(model));
  CHORUS_TRY(const auto names, tensor::layer_names(model));
  if (parameters.size() != layout.parameters) {
    return fail(
        errc::shape_mismatch,
        fmt::format(
            "the model has {} parameters; {} were given", layout.parameters, parameters.size()));
  }
  if (parameters.size_bytes() > kFileBytesMax / 2) {
    return fail(errc::unsupported_feature,
                fmt::format("{} bytes of weights do not fit into one ONNX file of at most {}; "
                            "export as safetensors",
                            parameters.size_bytes(),
                            kFileBytesMax));
  }
  pb::ModelProto file;
  file.set_ir_version(kIrVersion);
  file.set_producer_name("chorus");
  file.add_opset_import()->set_version(kExportOpset);
  if (!normalise.empty()) {
    auto& entry = *file.add_metadata_props();
    entry.set_key(std::string(tensor::kNormaliseMetadataKey));
    entry.set_value(tensor::normalise_to_json(normalise));
  }
  pb::GraphProto& graph = *file.mutable_graph();
  graph.set_name("chorus");
  const bool indices = std::holds_alternative<Embedding>(model.layers.front());
  describe(*graph.add_input(),
           "input",
           indices ? pb::TensorProto::INT64 : pb::TensorProto::FLOAT,
           model.input_shape);
  describe(*graph.add_output(), "output", pb::TensorProto::FLOAT, shapes.back());
  GraphWriter writer(graph);
  LayerWriter layers(writer, layout, parameters);
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    const auto& in = i == 0 ? model.input_shape : shapes[i - 1];
    if (auto done = layers.write(model.layers[i], names[i], in, shapes[i]); !done) {
      return std::move(done).error().during(tensor::describe_layer(model, i));
    }
  }
  pb::NodeProto& last = *graph.add_node();
  last.set_op_type("Identity");
  last.set_name("/output");
  last.add_input(layers.current);
  last.add_output("output");
  std::string bytes;
  if (!file.SerializeToString(&bytes)) return fail(errc::internal, "the ONNX file was not written");
  return bytes;
}

}  // namespace chorus::onnx
