#include "common/tensor/model_json.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/tensor/json_text.hpp"
#include "common/tensor/layer_fields.hpp"
#include "common/tensor/layer_names.hpp"

namespace chorus::tensor {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

Failure malformed(std::string detail) {
  return fail(errc::malformed_file, "model description: " + std::move(detail));
}

struct WriteLayer {
  ordered_json& out;

  template <class L>
  void operator()(const L& layer) const {
    if constexpr (has_tensors<L>) {
      if (!layer.name.empty()) out["name"] = layer.name;
    }
    const L defaults{};
    for_each_field<L>([&](const auto& field) {
      const auto& value = layer.*field.member;
      if (field.rule.shown || value != defaults.*field.member) out[field.key] = value;
    });
  }
};

// Reads the fields of one JSON object and complains about what is left over.
class Fields {
 public:
  Fields(const json& object, std::string where) : object_(object), where_(std::move(where)) {}

  bool has(const char* key) const { return object_.contains(key); }

  Result<void> read(const char* key, std::uint64_t& into) {
    return take(key, "a whole number", &json::is_number_unsigned, into);
  }
  Result<void> read(const char* key, double& into) {
    return take(key, "a number", &json::is_number, into);
  }
  Result<void> read(const char* key, bool& into) {
    return take(key, "true or false", &json::is_boolean, into);
  }
  Result<void> read(const char* key, std::string& into) {
    return take(key, "a text", &json::is_string, into);
  }
  Result<void> read(const char* key, std::vector<std::uint64_t>& into) {
    return list(key, "a list of whole numbers", limits::kTensorRankMax, into);
  }
  Result<void> read(const char* key, std::vector<float>& into) {
    return list(key, "a list of numbers", limits::kClassWeightsMax, into);
  }

  Result<void> nothing_else() const {
    if (object_.size() == used_) return {};
    return malformed(fmt::format("{} has {} keys; {} are known", where_, object_.size(), used_));
  }

 private:
  template <class T>
  Result<void> take(const char* key, const char* what, bool (json::*is)() const noexcept, T& into) {
    const auto found = object_.find(key);
    if (found == object_.end() || !((*found).*is)()) {
      return malformed(fmt::format("{} needs '{}', {}", where_, key, what));
    }
    ++used_;
    into = found->get<T>();
    return {};
  }
  template <class T>
  Result<void> list(const char* key, const char* what, std::size_t most, std::vector<T>& into) {
    const auto found = object_.find(key);
    const auto fits = [](const json& item) {
      return std::is_integral_v<T> ? item.is_number_unsigned() : item.is_number();
    };
    if (found == object_.end() || !found->is_array() || found->size() > most ||
        !std::all_of(found->begin(), found->end(), fits)) {
      return malformed(fmt::format("{} needs '{}', {}, at most {}", where_, key, what, most));
    }
    ++used_;
    into = found->get<std::vector<T>>();
    return {};
  }

  const json& object_;
  std::string where_;
  std::size_t used_ = 0;
};

template <class L>
Result<Layer> read_options(Fields& fields) {
  L layer{};
  if constexpr (has_tensors<L>) {
    if (fields.has("name")) CHORUS_OK(fields.read("name", layer.name));
  }
  Result<void> result;
  for_each_field<L>([&](const auto& field) {
    if (!result || (!field.rule.shown && !fields.has(field.key))) return;
    result = fields.read(field.key, layer.*field.member);
  });
  CHORUS_OK(result);
  return Layer(std::move(layer));
}

Result<Layer> read_kind(const std::string& kind, const std::string& where, Fields& fields) {
  Result<Layer> layer = malformed(
      fmt::format("{} has kind '{}', which is not known here", where, kind.substr(0, 40)));
  for_each_kind([&]<class L>(std::in_place_type_t<L>) {
    if (kind == LayerTraits<L>::kind) layer = read_options<L>(fields);
  });
  return layer;
}

Result<Layer> read_layer(const json& value, std::size_t index) {
  const std::string where = fmt::format("layer {}", index + 1);
  if (!value.is_object()) return malformed(where + " must be an object");
  Fields fields(value, where);
  std::string kind;
  CHORUS_OK(fields.read("kind", kind));
  CHORUS_TRY(Layer layer, read_kind(kind, where, fields));
  CHORUS_OK(fields.nothing_else());
  return layer;
}

// A text alone, or an object with what differs from the defaults.
Result<void> read_loss(const json& value, ModelSpec& model) {
  std::string kind;
  if (value.is_string()) {
    kind = value.get<std::string>();
  } else if (value.is_object()) {
    LossOptions& options = model.loss_options;
    Fields fields(value, "loss");
    CHORUS_OK(fields.read("kind", kind));
    if (fields.has("label_smoothing")) {
      CHORUS_OK(fields.read("label_smoothing", options.label_smoothing));
    }
    if (fields.has("class_weights")) {
      CHORUS_OK(fields.read("class_weights", options.class_weights));
    }
    if (fields.has("huber_delta")) CHORUS_OK(fields.read("huber_delta", options.huber_delta));
    CHORUS_OK(fields.nothing_else());
  }
  for (const LossName& loss : kLossNames) {
    if (loss.name == kind) {
      model.loss = loss.loss;
      return {};
    }
  }
  return malformed(fmt::format("loss is '{}', which is not known here", kind.substr(0, 40)));
}

ordered_json write_loss(const ModelSpec& model) {
  const LossOptions& options = model.loss_options;
  const LossOptions defaults;
  const std::string kind(name_of(model.loss));
  if (options == defaults) return kind;
  ordered_json out;
  out["kind"] = kind;
  if (options.label_smoothing != defaults.label_smoothing) {
    out["label_smoothing"] = options.label_smoothing;
  }
  if (!options.class_weights.empty()) out["class_weights"] = options.class_weights;
  if (options.huber_delta != defaults.huber_delta) out["huber_delta"] = options.huber_delta;
  return out;
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
  ModelSpec model;
  CHORUS_OK(read_loss(document["loss"], model));
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
  document["loss"] = write_loss(model);
  return document.dump();
}

Result<ModelSpec> model_from_json(std::string_view text) {
  if (text.size() > limits::kModelJsonBytesMax) {
    return malformed(fmt::format(
        "it has {} bytes; at most {} are allowed", text.size(), limits::kModelJsonBytesMax));
  }
  auto document = parse_json(text, JsonLimits{.depth_max = 4, .values_max = 32'768});
  if (!document) return std::move(document).error().during("model description");
  CHORUS_TRY(ModelSpec model, read_model(*document));
  CHORUS_OK(layout_of(model));
  return model;
}

}  // namespace chorus::tensor
