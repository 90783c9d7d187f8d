#include "common/tensor/layer_names.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <set>
#include <type_traits>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/tensor/layer_fields.hpp"

namespace chorus::tensor {
namespace {

constexpr std::string_view kNameCharacters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

std::string_view given_name(const Layer& layer) noexcept {
  return std::visit(
      [](const auto& one) -> std::string_view {
        if constexpr (has_tensors<std::decay_t<decltype(one)>>) return one.name;
        return {};
      },
      layer);
}

std::string_view prefix_of(const Layer& layer) noexcept {
  return std::visit(
      [](const auto& one) { return LayerTraits<std::decay_t<decltype(one)>>::prefix; }, layer);
}

// What layers[index] is called, whether or not that name is allowed.
std::string name_at(const ModelSpec& model, std::size_t index) {
  const Layer& layer = model.layers[index];
  const std::string_view prefix = prefix_of(layer);
  if (prefix.empty()) return {};
  if (const std::string_view given = given_name(layer); !given.empty()) return std::string(given);
  const auto number =
      std::count_if(model.layers.begin(),
                    model.layers.begin() + static_cast<std::ptrdiff_t>(index) + 1,
                    [&layer](const Layer& other) { return other.index() == layer.index(); });
  return fmt::format("{}{}", prefix, number);
}

}  // namespace

bool is_name(std::string_view text) noexcept {
  return text.size() <= limits::kNameBytesMax &&
         text.find_first_not_of(kNameCharacters) == std::string_view::npos;
}

std::string_view kind_of(const Layer& layer) noexcept {
  return std::visit([](const auto& one) { return LayerTraits<std::decay_t<decltype(one)>>::kind; },
                    layer);
}

std::string_view name_of(Loss loss) noexcept {
  for (const LossName& known : kLossNames) {
    if (known.loss == loss) return known.name;
  }
  return "unknown";
}

void set_name(Layer& layer, std::string name) {
  std::visit(
      [&name](auto& one) {
        if constexpr (has_tensors<std::decay_t<decltype(one)>>) one.name = std::move(name);
      },
      layer);
}
std::string describe_layer(const ModelSpec& model, std::size_t index) {
  const std::string name = name_at(model, index);
  const std::string_view kind = kind_of(model.layers[index]);
  if (name.empty()) return fmt::format("layer {} ({})", index + 1, kind);
  return fmt::format("layer {} ({} '{}')", index + 1, kind, name);
}

std::string describe_shape(const std::vector<std::uint64_t>& shape) {
  if (shape.empty()) return "a scalar";
  return fmt::format("{}", fmt::join(shape, "x"));
}

Result<std::vector<std::string>> layer_names(const ModelSpec& model) {
  if (model.layers.empty() || model.layers.size() > limits::kLayersMax) {
    return fail(
        errc::invalid_argument,
        fmt::format(
            "the model has {} layers; expected 1 to {}", model.layers.size(), limits::kLayersMax));
  }
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    const std::string_view given = given_name(model.layers[i]);
    if (!is_name(given)) {
      return fail(errc::invalid_argument,
                  fmt::format("the name of layer {} ({}) must be at most {} characters out of A-Z "
                              "a-z 0-9 . _ -; it has {} bytes",
                              i + 1,
                              kind_of(model.layers[i]),
                              limits::kNameBytesMax,
                              given.size()));
    }
    names.push_back(name_at(model, i));
    if (!names.back().empty() && !seen.insert(names.back()).second) {
      return fail(errc::invalid_argument,
                  fmt::format("{} has the name of an earlier layer; every layer needs its own name",
                              describe_layer(model, i)));
    }
  }
  return names;
}

}  // namespace chorus::tensor
