// Work: models between protobuf and values. The first five kinds of layers have messages of their
// own; all others, and those five with newer options, travel as operations: a kind and the options
// that differ from their defaults, by the tables of common/tensor/layer_fields.hpp.
#include <cmath>
#include <string>
#include <utility>
#include <variant>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/tensor/layer_fields.hpp"
#include "common/wire/convert.hpp"

namespace chorus::wire {
namespace {

using tensor::for_each_field;
using tensor::for_each_kind;
using tensor::has_tensors;
using tensor::LayerTraits;

Failure unsupported(std::string what) {
  return fail(errc::unsupported_feature, what + "; a newer version of this software may know it");
}

// An empty name stands for the one that layout_of() makes up.
Result<std::string> layer_name_from(const std::string& name) {
  if (name.size() > limits::kTensorNameBytesMax) {
    return malformed({"work", "spec.layers.name"},
                     std::to_string(name.size()) + " bytes",
                     "at most " + std::to_string(limits::kTensorNameBytesMax));
  }
  return name;
}

// One attribute into one option. False: of another type.
bool value_from(const pb::Attribute& from, std::uint64_t& into) {
  into = from.whole();
  return from.value_case() == pb::Attribute::kWhole;
}
bool value_from(const pb::Attribute& from, double& into) {
  into = from.real();
  return from.value_case() == pb::Attribute::kReal && std::isfinite(into);
}
bool value_from(const pb::Attribute& from, bool& into) {
  into = from.flag();
  return from.value_case() == pb::Attribute::kFlag;
}
bool value_from(const pb::Attribute& from, std::string& into) {
  into = from.text();
  return from.value_case() == pb::Attribute::kText && into.size() <= limits::kNameBytesMax;
}
bool value_from(const pb::Attribute& from, std::vector<std::uint64_t>& into) {
  const auto& values = from.wholes().values();
  into.assign(values.begin(), values.end());
  return from.value_case() == pb::Attribute::kWholes && into.size() <= limits::kTensorRankMax;
}

void value_to(std::uint64_t value, pb::Attribute* to) {
  to->set_whole(value);
}
void value_to(double value, pb::Attribute* to) {
  to->set_real(value);
}
void value_to(bool value, pb::Attribute* to) {
  to->set_flag(value);
}
void value_to(const std::string& value, pb::Attribute* to) {
  to->set_text(value);
}
void value_to(const std::vector<std::uint64_t>& value, pb::Attribute* to) {
  auto* wholes = to->mutable_wholes();
  for (const std::uint64_t one : value) wholes->add_values(one);
}

template <class L>
Result<void> attribute_from(const pb::Attribute& proto, const std::string& where, L& layer) {
  bool known = false;
  bool fits = true;
  for_each_field<L>([&](const auto& field) {
    if (proto.key() != field.key) return;
    known = true;
    fits = value_from(proto, layer.*field.member);
  });
  const std::string key = text_to(proto.key(), limits::kNameBytesMax);
  if (!known) return unsupported(where + ": the option '" + key + "' is not known here");
  if (fits) return {};
  return malformed({"work", "spec.layers.operation.attributes"},
                   where + ": '" + key + "' of another type or length",
                   "the type of this option");
}

template <class L>
Result<Layer> operation_as(const pb::Operation& proto, const std::string& where) {
  L layer{};
  if constexpr (has_tensors<L>) {
    CHORUS_TRY(layer.name, layer_name_from(proto.name()));
  }
  for (const auto& attribute : proto.attributes()) {
    CHORUS_OK(attribute_from(attribute, where, layer));
  }
  return Layer(std::move(layer));
}

Result<Layer> operation_from(const pb::Operation& proto, int index) {
  const std::string where = "work.spec: layer " + std::to_string(index);
  if (proto.attributes_size() > static_cast<int>(limits::kLayerAttributesMax)) {
    return malformed({"work", "spec.layers.operation.attributes"},
                     std::to_string(proto.attributes_size()) + " attributes",
                     "at most " + std::to_string(limits::kLayerAttributesMax));
  }
  Result<Layer> layer = unsupported(
      where + ": kind '" + text_to(proto.kind(), limits::kNameBytesMax) + "' is not known here");
  for_each_kind([&]<class L>(std::in_place_type_t<L>) {
    if (proto.kind() == LayerTraits<L>::kind) layer = operation_as<L>(proto, where);
  });
  return layer;
}

Result<Layer> layer_from(const pb::Layer& proto, int index) {
  switch (proto.kind_case()) {
    case pb::Layer::kDense: {
      CHORUS_TRY(auto name, layer_name_from(proto.dense().name()));
      return Layer(Dense{std::move(name), proto.dense().units()});
    }
    case pb::Layer::kConv2D: {
      const auto& conv = proto.conv2d();
      CHORUS_TRY(auto name, layer_name_from(conv.name()));
      return Layer(
          Conv2d{std::move(name), conv.channels(), conv.kernel(), conv.stride(), conv.padding()});
    }
    case pb::Layer::kMaxPool2D:
      return Layer(MaxPool2d{proto.max_pool2d().kernel(), proto.max_pool2d().stride()});
    case pb::Layer::kRelu:
      return Layer(Relu{});
    case pb::Layer::kFlatten:
      return Layer(Flatten{});
    case pb::Layer::kOperation:
      return operation_from(proto.operation(), index);
    case pb::Layer::KIND_NOT_SET:
      break;
  }
  return unsupported("work.spec: layer " + std::to_string(index) +
                     " is of a kind that is not known here");
}

Result<void> loss_from(const pb::ModelSpec& proto, ModelSpec& spec) {
  const auto& options = proto.loss_options();
  switch (proto.loss()) {
    case pb::LOSS_UNSPECIFIED:
      return malformed({"work", "spec.loss"}, "missing", "a loss");
    case pb::LOSS_SOFTMAX_CROSS_ENTROPY_WITH_OPTIONS:
      if (options.class_weights_size() > static_cast<int>(limits::kClassWeightsMax)) {
        return malformed({"work", "spec.loss_options.class_weights"},
                         std::to_string(options.class_weights_size()) + " numbers",
                         "at most " + std::to_string(limits::kClassWeightsMax));
      }
      spec.loss = Loss::softmax_cross_entropy;
      spec.loss_options.label_smoothing = options.label_smoothing();
      for (const double weight : options.class_weights()) {
        spec.loss_options.class_weights.push_back(static_cast<float>(weight));
      }
      return {};
    case pb::LOSS_SOFTMAX_CROSS_ENTROPY:
    case pb::LOSS_BINARY_CROSS_ENTROPY:
    case pb::LOSS_MEAN_SQUARED_ERROR:
    case pb::LOSS_MEAN_ABSOLUTE_ERROR:
    case pb::LOSS_HUBER:
    case pb::LOSS_COX_PARTIAL_LIKELIHOOD:
      spec.loss = static_cast<Loss>(proto.loss());
      if (options.huber_delta() != 0.0) spec.loss_options.huber_delta = options.huber_delta();
      return {};
    default:
      return unsupported("work.spec.loss: number " + std::to_string(proto.loss()) +
                         " is not known here");
  }
}

struct LayerTo {
  pb::Layer* proto;

  void operator()(const Dense& dense) const {
    if (dense != Dense{dense.name, dense.units}) return operation(dense);
    proto->mutable_dense()->set_name(dense.name);
    proto->mutable_dense()->set_units(dense.units);
  }
  void operator()(const Conv2d& conv) const {
    if (conv != Conv2d{conv.name, conv.channels, conv.kernel, conv.stride, conv.padding}) {
      return operation(conv);
    }
    auto* to = proto->mutable_conv2d();
    to->set_name(conv.name);
    to->set_channels(conv.channels);
    to->set_kernel(conv.kernel);
    to->set_stride(conv.stride);
    to->set_padding(conv.padding);
  }
  void operator()(const MaxPool2d& pool) const {
    if (pool != MaxPool2d{pool.kernel, pool.stride}) return operation(pool);
    proto->mutable_max_pool2d()->set_kernel(pool.kernel);
    proto->mutable_max_pool2d()->set_stride(pool.stride);
  }
  void operator()(const Relu& /*relu*/) const { proto->mutable_relu(); }
  void operator()(const Flatten& /*flatten*/) const { proto->mutable_flatten(); }
  template <class L>
  void operator()(const L& layer) const {
    operation(layer);
  }

 private:
  template <class L>
  void operation(const L& layer) const {
    auto* to = proto->mutable_operation();
    to->set_kind(std::string(LayerTraits<L>::kind));
    if constexpr (has_tensors<L>) to->set_name(layer.name);
    const L defaults{};
    for_each_field<L>([&](const auto& field) {
      const auto& value = layer.*field.member;
      if (value == defaults.*field.member) return;
      auto* attribute = to->add_attributes();
      attribute->set_key(field.key);
      value_to(value, attribute);
    });
  }
};

}  // namespace

Result<ModelSpec> spec_from(const pb::ModelSpec& proto) {
  const auto rank = static_cast<std::size_t>(proto.input_shape_size());
  if (rank == 0 || rank > limits::kTensorRankMax) {
    return malformed({"work", "spec.input_shape"},
                     std::to_string(rank) + " dimensions",
                     "1 to " + std::to_string(limits::kTensorRankMax));
  }
  const auto layers = static_cast<std::size_t>(proto.layers_size());
  if (layers == 0 || layers > limits::kLayersMax) {
    return malformed({"work", "spec.layers"},
                     std::to_string(layers) + " layers",
                     "1 to " + std::to_string(limits::kLayersMax));
  }
  ModelSpec spec;
  spec.input_shape.assign(proto.input_shape().begin(), proto.input_shape().end());
  spec.layers.reserve(layers);
  for (int i = 0; i < proto.layers_size(); ++i) {
    CHORUS_TRY(auto layer, layer_from(proto.layers(i), i));
    spec.layers.push_back(std::move(layer));
  }
  CHORUS_OK(loss_from(proto, spec));
  return spec;
}

void spec_to(const ModelSpec& spec, pb::ModelSpec* proto) {
  for (const auto extent : spec.input_shape) proto->add_input_shape(extent);
  for (const auto& layer : spec.layers) std::visit(LayerTo{proto->add_layers()}, layer);
  const LossOptions& options = spec.loss_options;
  proto->set_loss(static_cast<pb::Loss>(spec.loss));
  if (spec.loss == Loss::softmax_cross_entropy &&
      (options.label_smoothing != 0.0 || !options.class_weights.empty())) {
    proto->set_loss(pb::LOSS_SOFTMAX_CROSS_ENTROPY_WITH_OPTIONS);
    auto* to = proto->mutable_loss_options();
    to->set_label_smoothing(options.label_smoothing);
    for (const float weight : options.class_weights) to->add_class_weights(weight);
  }
  if (options.huber_delta != LossOptions{}.huber_delta) {
    proto->mutable_loss_options()->set_huber_delta(options.huber_delta);
  }
}

}  // namespace chorus::wire
