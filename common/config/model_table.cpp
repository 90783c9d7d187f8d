#include "common/config/model_table.hpp"

#include <fmt/format.h>
#include <string>
#include <utility>
#include <vector>

#include "common/base/limits.hpp"
#include "common/tensor/layer_fields.hpp"
#include "common/tensor/layer_names.hpp"

namespace chorus::config {
namespace {

using tensor::FieldRule;

bool is_given_name(std::string_view text) {
  return !text.empty() && tensor::is_name(text);
}

void read_name(const TomlTable& table, const char* key, std::string& into) {
  table.text(key,
             into,
             {limits::kNameBytesMax, is_given_name, "a name of A-Z, a-z, 0-9, '.', '_' or '-'"});
}

// Reads the options of one layer by their tables.
class ReadField {
 public:
  explicit ReadField(const TomlTable& table) : table_(table) {}

  void operator()(const char* key, std::uint64_t& into, const FieldRule& rule) const {
    table_.whole(key, into, whole(rule));
  }
  void operator()(const char* key, double& into, const FieldRule& rule) const {
    table_.number(key,
                  into,
                  {.min = rule.min,
                   .max = rule.max,
                   .min_excluded = rule.min_excluded,
                   .max_excluded = rule.max_excluded});
  }
  void operator()(const char* key, bool& into, const FieldRule&) const {
    table_.boolean(key, into);
  }
  void operator()(const char* key, std::string& into, const FieldRule&) const {
    read_name(table_, key, into);
  }
  void operator()(const char* key, std::vector<std::uint64_t>& into, const FieldRule& rule) const {
    table_.wholes(key, into, whole(rule));
  }

 private:
  static WholeRule whole(const FieldRule& rule) {
    return {static_cast<std::uint64_t>(rule.min), static_cast<std::uint64_t>(rule.max)};
  }
  const TomlTable& table_;
};

template <class L>
constexpr bool kIsPool = requires(L pool) {
  pool.kernel;
  pool.stride;
}
&&!tensor::has_tensors<L>;

template <class L>
Layer read_layer(const TomlTable& table) {
  L layer{};
  if constexpr (tensor::has_tensors<L>) read_name(table, "name", layer.name);
  const ReadField read(table);
  tensor::for_each_field<L>([&](const auto& field) {
    if (field.rule.asks != nullptr && !table.require(field.key, field.rule.asks)) return;
    read(field.key, layer.*field.member, field.rule);
    if constexpr (kIsPool<L>) {
      // Windows side by side unless said otherwise.
      if (std::string_view(field.key) == "kernel") layer.stride = layer.kernel;
    }
  });
  return layer;
}

bool read_layers(const TomlTable& table, std::vector<Layer>& into) {
  std::vector<std::string_view> names;
  std::vector<Layer (*)(const TomlTable&)> readers;
  tensor::for_each_kind([&]<class L>(std::in_place_type_t<L>) {
    names.push_back(tensor::LayerTraits<L>::kind);
    readers.push_back(read_layer<L>);
  });
  bool all_known = true;
  for (const auto& layer : table.tables("layers")) {
    std::size_t kind = 0;
    if (layer.require("type", "a layer such as \"dense\" or \"conv2d\"") &&
        layer.word("type", kind, names)) {
      into.push_back(readers[kind](layer));
    } else {
      layer.rest();  // its other keys have no meaning without a type: one problem is enough
      all_known = false;
    }
  }
  return all_known;
}

void read_loss(const TomlTable& table, ModelSpec& into) {
  std::vector<std::string_view> names;
  for (const auto& loss : tensor::kLossNames) names.push_back(loss.name);
  std::size_t index = 0;
  if (table.word("loss", index, names)) into.loss = tensor::kLossNames[index].loss;
  LossOptions& options = into.loss_options;
  table.number(
      "label_smoothing", options.label_smoothing, {.min = 0, .max = 1, .max_excluded = true});
  table.number("huber_delta", options.huber_delta, {.min = 0, .max = 1e6, .min_excluded = true});
  table.numbers("class_weights", options.class_weights, {.min = 0, .max = 1e6});
}

// Devices are told every name, so the ones nobody wrote are given here.
void fill_names(ModelSpec& model) {
  auto names = tensor::layer_names(model);
  if (!names) return;  // layout_of says why
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    tensor::set_name(model.layers[i], (*names)[i]);
  }
}

}  // namespace

void read_model(const TomlTable& table, ModelSpec& into) {
  const bool shaped =
      table.require("input_shape", "one example's shape such as [1, 8, 8]") &&
      table.wholes(
          "input_shape", into.input_shape, {1, static_cast<std::uint64_t>(tensor::kUnitsMax)});
  read_loss(table, into);
  if (!table.require("layers", "one or more [[model.layers]]")) return;
  if (!read_layers(table, into.layers) || !shaped) return;
  if (into.layers.size() > limits::kLayersMax) {
    table.problem(
        "layers",
        fmt::format("{} layers; expected at most {}", into.layers.size(), limits::kLayersMax));
  } else if (const auto layout = layout_of(into); !layout) {
    table.problem("layers", layout.error().detail);
  } else {
    fill_names(into);
  }
}

}  // namespace chorus::config
