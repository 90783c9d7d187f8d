#include "common/config/model_text.hpp"

#include <fmt/format.h>
#include <type_traits>
#include <vector>

#include "common/base/try.hpp"
#include "common/tensor/layer_fields.hpp"
#include "common/tensor/layer_names.hpp"

namespace chorus::config {
namespace {

// Names are of A-Z a-z 0-9 . _ - only: nothing to escape.
std::string text_of(const std::string& value) {
  return fmt::format("\"{}\"", value);
}
std::string text_of(bool value) {
  return value ? "true" : "false";
}
std::string text_of(std::uint64_t value) {
  return std::to_string(value);
}
std::string text_of(double value) {
  return fmt::format("{}", value);  // the shortest that reads back as the same
}
std::string text_of(float value) {
  return fmt::format("{}", value);
}
template <class T>
std::string text_of(const std::vector<T>& values) {
  std::string text;
  for (const T& value : values) text += (text.empty() ? "" : ", ") + text_of(value);
  return "[" + text + "]";
}

template <class L>
constexpr bool kIsPool = requires(L pool) {
  pool.kernel;
  pool.stride;
}
&&!tensor::has_tensors<L>;

struct WriteLayer {
  const std::string& name;  // empty: the one it would get anyway

  template <class L>
  std::string operator()(const L& layer) const {
    std::string text = fmt::format("type = \"{}\"", tensor::LayerTraits<L>::kind);
    if (!name.empty()) text += fmt::format(", name = \"{}\"", name);
    L usual{};
    if constexpr (kIsPool<L>) usual.stride = layer.kernel;  // as read_model() has it
    tensor::for_each_field<L>([&](const auto& field) {
      const auto& value = layer.*field.member;
      if (field.rule.asks == nullptr && value == usual.*field.member) return;
      text += fmt::format(", {} = {}", field.key, text_of(value));
    });
    return text;
  }
};

std::string loss_text(const ModelSpec& model) {
  const LossOptions usual;
  const LossOptions& options = model.loss_options;
  std::string text = fmt::format("loss = \"{}\"\n", tensor::name_of(model.loss));
  if (options.label_smoothing != usual.label_smoothing) {
    text += fmt::format("label_smoothing = {}\n", text_of(options.label_smoothing));
  }
  if (options.huber_delta != usual.huber_delta) {
    text += fmt::format("huber_delta = {}\n", text_of(options.huber_delta));
  }
  if (!options.class_weights.empty()) {
    text += fmt::format("class_weights = {}\n", text_of(options.class_weights));
  }
  return text;
}

}  // namespace

Result<std::string> model_keys(const ModelSpec& model, bool loss) {
  CHORUS_OK(layout_of(model));
  CHORUS_TRY(const auto names, tensor::layer_names(model));
  ModelSpec nameless = model;
  for (Layer& layer : nameless.layers) tensor::set_name(layer, "");
  CHORUS_TRY(const auto usual, tensor::layer_names(nameless));
  std::string text = "input_shape = " + text_of(model.input_shape) + "\n";
  if (loss) text += loss_text(model);
  text += "layers = [\n";
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    const std::string name = names[i] == usual[i] ? "" : names[i];
    text += fmt::format("  {{ {} }},\n", std::visit(WriteLayer{name}, model.layers[i]));
  }
  return text + "]\n";
}

Result<std::string> model_text(const ModelSpec& model) {
  CHORUS_TRY(const auto keys, model_keys(model, true));
  return "[model]\n" + keys;
}

}  // namespace chorus::config
