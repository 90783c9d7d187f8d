#include "common/tensor/model_json.hpp"

#include <fmt/format.h>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/tensor/json_text.hpp"
#include "common/tensor/layer_names.hpp"

namespace chorus::tensor {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view kCrossEntropy = "softmax_cross_entropy";

Failure malformed(std::string detail) {
  return fail(errc::malformed_file, "model description: " + std::move(detail));
}

struct WriteLayer {
  ordered_json& out;

  void operator()(const Dense& dense) const {
    name(dense.name);
    out["units"] = dense.units;
  }
  void operator()(const Conv2d& conv) const {
    name(conv.name);
    out["channels"] = conv.channels;
    out["kernel"] = conv.kernel;
    out["stride"] = conv.stride;
    out["padding"] = conv.padding;
  }
  void operator()(const MaxPool2d& pool) const {
    out["kernel"] = pool.kernel;
    out["stride"] = pool.stride;
  }
  void operator()(const Relu&) const {}
  void operator()(const Flatten&) const {}

 private:
  void name(const std::string& text) const {
    if (!text.empty()) out["name"] = text;
  }
};

// Reads the fields of one JSON object and complains about what is left over.
class Fields {
 public:
  Fields(const json& object, std::string where) : object_(object), where_(std::move(where)) {}

  Result<std::uint64_t> number(const char* key) {
    const auto found = object_.find(key);
    if (found == object_.end() || !found->is_number_unsigned()) {
      return malformed(fmt::format("{} needs '{}', a whole number", where_, key));
    }
    ++used_;
    return found->get<std::uint64_t>();
  }

  Result<std::string> text(const char* key) {
    const auto found = object_.find(key);
    if (found == object_.end() || !found->is_string()) {
      return malformed(fmt::format("{} needs '{}', a text", where_, key));
    }
    ++used_;
    return found->get<std::string>();
  }

  Result<std::string> text_or_empty(const char* key) {
    if (!object_.contains(key)) return std::string();
    return text(key);
  }

  Result<void> nothing_else() const {
    if (object_.size() == used_) return {};
    return malformed(fmt::format("{} has {} keys; {} are known", where_, object_.size(), used_));
  }

 private:
  const json& object_;
  std::string where_;
  std::size_t used_ = 0;
};

Result<Layer> read_kind(const std::string& kind, const std::string& where, Fields& fields) {
  if (kind == "dense") {
    Dense dense;
    CHORUS_TRY(dense.name, fields.text_or_empty("name"));
    CHORUS_TRY(dense.units, fields.number("units"));
    return Layer(std::move(dense));
  }
  if (kind == "conv2d") {
    Conv2d conv;
    CHORUS_TRY(conv.name, fields.text_or_empty("name"));
    CHORUS_TRY(conv.channels, fields.number("channels"));
    CHORUS_TRY(conv.kernel, fields.number("kernel"));
    CHORUS_TRY(conv.stride, fields.number("stride"));
    CHORUS_TRY(conv.padding, fields.number("padding"));
    return Layer(std::move(conv));
  }
  if (kind == "max_pool2d") {
    MaxPool2d pool;
    CHORUS_TRY(pool.kernel, fields.number("kernel"));
    CHORUS_TRY(pool.stride, fields.number("stride"));
    return Layer(pool);
  }
  if (kind == "relu") return Layer(Relu{});
  if (kind == "flatten") return Layer(Flatten{});
  return malformed(
      fmt::format("{} has kind '{}'; expected dense, conv2d, max_pool2d, relu or "
                  "flatten",
                  where,
                  kind.substr(0, 40)));
}

Result<Layer> read_layer(const json& value, std::size_t index) {
  const std::string where = fmt::format("layer {}", index + 1);
  if (!value.is_object()) return malformed(where + " must be an object");
  Fields fields(value, where);
  CHORUS_TRY(const std::string kind, fields.text("kind"));
  CHORUS_TRY(Layer layer, read_kind(kind, where, fields));
  CHORUS_OK(fields.nothing_else());
  return layer;
}

Result<ModelSpec> read_model(const json& document) {
  if (!document.is_object() || document.size() != 3 || !document.contains("input_shape") ||
      !document.contains("layers") || !document.contains("loss")) {
    return malformed("expected an object of input_shape, layers and loss");
  }
  const json& shape = document["input_shape"];
  const json& layers = document["layers"];
  if (!shape.is_array() || shape.size() > limits::kTensorRankMax || !layers.is_array() ||
      layers.size() > limits::kLayersMax) {
    return malformed(
        fmt::format("input_shape must be a list of at most {} numbers, layers one of "
                    "at most {} objects",
                    limits::kTensorRankMax,
                    limits::kLayersMax));
  }
  if (document["loss"] != kCrossEntropy) {
    return malformed(fmt::format("loss must be \"{}\"", kCrossEntropy));
  }
  ModelSpec model;
  for (const json& side : shape) {
    if (!side.is_number_unsigned()) return malformed("input_shape must hold whole numbers");
    model.input_shape.push_back(side.get<std::uint64_t>());
  }
  for (std::size_t i = 0; i < layers.size(); ++i) {
    CHORUS_TRY(Layer layer, read_layer(layers[i], i));
    model.layers.push_back(std::move(layer));
  }
  return model;
}

}  // namespace

Result<std::string> model_to_json(const ModelSpec& model) {
  CHORUS_OK(layout_of(model));
  ordered_json document;
  document["input_shape"] = model.input_shape;
  ordered_json& layers = document["layers"] = ordered_json::array();
  for (const Layer& layer : model.layers) {
    ordered_json entry;
    entry["kind"] = kind_of(layer);
    std::visit(WriteLayer{entry}, layer);
    layers.push_back(std::move(entry));
  }
  document["loss"] = kCrossEntropy;
  return document.dump();
}

Result<ModelSpec> model_from_json(std::string_view text) {
  if (text.size() > limits::kModelJsonBytesMax) {
    return malformed(fmt::format(
        "it has {} bytes; at most {} are allowed", text.size(), limits::kModelJsonBytesMax));
  }
  auto document = parse_json(text, JsonLimits{.depth_max = 3, .values_max = 16'384});
  if (!document) return std::move(document).error().during("model description");
  CHORUS_TRY(ModelSpec model, read_model(*document));
  CHORUS_OK(layout_of(model));
  return model;
}

}  // namespace chorus::tensor
