#include "server/config/job_model.hpp"

#include <array>
#include <fmt/format.h>

#include "common/base/limits.hpp"
#include "common/tensor/layer_names.hpp"
#include "server/config/names.hpp"

namespace chorus::server {
namespace {

using config::TomlTable;
using config::WholeRule;

constexpr std::uint64_t kUnitsMax = 1ULL << 32U;
constexpr WholeRule kWindowRule{1, 1024};

// A layer: its type as written, and how its other keys are read.
struct LayerKind {
  std::string_view name;
  Layer (*read)(const TomlTable& table);
};

void read_name(const TomlTable& table, std::string& into) {
  table.text("name",
             into,
             {limits::kNameBytesMax, valid_layer_name, "a name of A-Z, a-z, 0-9, '.', '_' or '-'"});
}

Layer read_dense(const TomlTable& table) {
  Dense layer;
  read_name(table, layer.name);
  if (table.require("units", "the number of outputs"))
    table.whole("units", layer.units, {1, kUnitsMax});
  return layer;
}

Layer read_conv2d(const TomlTable& table) {
  Conv2d layer;
  read_name(table, layer.name);
  if (table.require("channels", "the number of output channels")) {
    table.whole("channels", layer.channels, {1, kUnitsMax});
  }
  table.whole("kernel", layer.kernel, kWindowRule);
  table.whole("stride", layer.stride, kWindowRule);
  table.whole("padding", layer.padding, {0, kWindowRule.max});
  return layer;
}

Layer read_max_pool2d(const TomlTable& table) {
  MaxPool2d layer;
  table.whole("kernel", layer.kernel, kWindowRule);
  layer.stride = layer.kernel;  // windows side by side unless said otherwise
  table.whole("stride", layer.stride, kWindowRule);
  return layer;
}

constexpr std::array<LayerKind, 5> kLayerKinds{{
    {"dense", read_dense},
    {"conv2d", read_conv2d},
    {"max_pool2d", read_max_pool2d},
    {"relu", [](const TomlTable&) -> Layer { return Relu{}; }},
    {"flatten", [](const TomlTable&) -> Layer { return Flatten{}; }},
}};

bool read_layers(const TomlTable& table, std::vector<Layer>& into) {
  std::array<std::string_view, kLayerKinds.size()> names;
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = kLayerKinds[i].name;
  bool all_known = true;
  for (const auto& layer : table.tables("layers")) {
    std::size_t kind = 0;
    if (layer.require("type", "a layer such as \"dense\" or \"conv2d\"") &&
        layer.word("type", kind, names)) {
      into.push_back(kLayerKinds[kind].read(layer));
    } else {
      layer.rest();  // its other keys have no meaning without a type: one problem is enough
      all_known = false;
    }
  }
  return all_known;
}

// Devices are told every name, so the ones nobody wrote are given here.
void fill_names(ModelSpec& model) {
  auto names = tensor::layer_names(model);
  if (!names) return;  // layout_of says why
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    if (auto* dense = std::get_if<Dense>(&model.layers[i])) dense->name = (*names)[i];
    if (auto* conv = std::get_if<Conv2d>(&model.layers[i])) conv->name = (*names)[i];
  }
}

}  // namespace

void read_model(const TomlTable& table, ModelSpec& into) {
  const bool shaped = table.require("input_shape", "one example's shape such as [1, 8, 8]") &&
                      table.wholes("input_shape", into.input_shape, {1, kUnitsMax});
  table.choice("loss", into.loss, {{"softmax_cross_entropy", Loss::softmax_cross_entropy}});
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

}  // namespace chorus::server
