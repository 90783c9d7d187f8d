#include "chorus/model.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <set>
#include <string_view>
#include <utility>

#include "common/base/limits.hpp"
#include "common/base/rng.hpp"
#include "common/base/try.hpp"
#include "common/tensor/layer_names.hpp"

namespace chorus {
namespace tensor {
namespace {

constexpr std::string_view kNameCharacters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

std::string_view given_name(const Layer& layer) noexcept {
  if (const auto* dense = std::get_if<Dense>(&layer)) return dense->name;
  if (const auto* conv = std::get_if<Conv2d>(&layer)) return conv->name;
  return {};
}

// What layers[index] is called, whether or not that name is allowed.
std::string name_at(const ModelSpec& model, std::size_t index) {
  const Layer& layer = model.layers[index];
  const bool dense = std::holds_alternative<Dense>(layer);
  if (!dense && !std::holds_alternative<Conv2d>(layer)) return {};
  if (const std::string_view given = given_name(layer); !given.empty()) return std::string(given);
  const auto number =
      std::count_if(model.layers.begin(),
                    model.layers.begin() + static_cast<std::ptrdiff_t>(index) + 1,
                    [&layer](const Layer& other) { return other.index() == layer.index(); });
  return fmt::format("{}{}", dense ? "dense" : "conv", number);
}

}  // namespace

std::string_view kind_of(const Layer& layer) noexcept {
  struct Kind {
    std::string_view operator()(const Dense&) const { return "dense"; }
    std::string_view operator()(const Conv2d&) const { return "conv2d"; }
    std::string_view operator()(const MaxPool2d&) const { return "max_pool2d"; }
    std::string_view operator()(const Relu&) const { return "relu"; }
    std::string_view operator()(const Flatten&) const { return "flatten"; }
  };
  return std::visit(Kind{}, layer);
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
    if (given.size() > limits::kNameBytesMax ||
        given.find_first_not_of(kNameCharacters) != std::string_view::npos) {
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

}  // namespace tensor

namespace {

using Shape = std::vector<std::uint64_t>;
using tensor::describe_layer;
using tensor::describe_shape;

constexpr std::uint64_t kParametersMax = limits::kModelBytesMax / sizeof(float);

// Product of `factors`, or nothing when one is 0 or the product exceeds `most`.
bool product_within(const Shape& factors, std::uint64_t most, std::uint64_t& product) {
  product = 1;
  for (const std::uint64_t factor : factors) {
    if (factor == 0 || __builtin_mul_overflow(product, factor, &product) || product > most) {
      return false;
    }
  }
  return true;
}

Result<void> check_activations(const Shape& shape, const std::string& where) {
  std::uint64_t elements = 0;
  if (product_within(shape, limits::kActivationElementsMax, elements)) return {};
  return fail(
      errc::invalid_argument,
      fmt::format("{} is {}; every dimension must be at least 1 and their product at most {}",
                  where,
                  describe_shape(shape),
                  limits::kActivationElementsMax));
}

Result<void> check_input(const ModelSpec& model) {
  if (model.input_shape.size() != 1 && model.input_shape.size() != 3) {
    return fail(errc::invalid_argument,
                fmt::format("input_shape has {} dimensions; expected 1 (features) or 3 (channels, "
                            "height, width)",
                            model.input_shape.size()));
  }
  return check_activations(model.input_shape, "input_shape");
}

Failure misfit(const ModelSpec& model,
               std::size_t index,
               const Shape& input,
               std::string_view expected) {
  return fail(errc::invalid_argument,
              fmt::format("{} receives {} and expects {}",
                          describe_layer(model, index),
                          describe_shape(input),
                          expected));
}

// Places of a window along one side: floor((side + 2·padding − kernel) / stride) + 1; 0 if none.
std::uint64_t windows(std::uint64_t side,
                      std::uint64_t kernel,
                      std::uint64_t stride,
                      std::uint64_t padding) {
  std::uint64_t padded = 0;
  if (__builtin_mul_overflow(padding, std::uint64_t{2}, &padded)) return 0;
  if (__builtin_add_overflow(padded, side, &padded)) return 0;
  if (kernel == 0 || stride == 0 || kernel > padded) return 0;
  return (padded - kernel) / stride + 1;
}

// Derives the output shape of one layer from its input shape.
struct OutputShape {
  const ModelSpec& model;
  std::size_t index;
  const Shape& input;

  Result<Shape> operator()(const Dense& dense) const {
    if (input.size() != 1) {
      return misfit(model, index, input, "a flat input; put a flatten layer before it");
    }
    if (dense.units == 0) return zero("units");
    return Shape{dense.units};
  }

  Result<Shape> operator()(const Conv2d& conv) const {
    if (conv.channels == 0) return zero("channels");
    if (conv.padding >= std::max<std::uint64_t>(conv.kernel, 1)) {
      return fail(errc::invalid_argument,
                  fmt::format("{} has padding {} and kernel {}; padding must be less than kernel",
                              describe_layer(model, index),
                              conv.padding,
                              conv.kernel));
    }
    return windowed(conv.channels, conv.kernel, conv.stride, conv.padding);
  }

  Result<Shape> operator()(const MaxPool2d& pool) const {
    return windowed(input[0], pool.kernel, pool.stride, 0);
  }

  Result<Shape> operator()(const Relu&) const { return input; }

  Result<Shape> operator()(const Flatten&) const {
    std::uint64_t elements = 1;
    for (const std::uint64_t side : input) elements *= side;  // within limits: checked before
    return Shape{elements};
  }

 private:
  Failure zero(std::string_view what) const {
    return fail(
        errc::invalid_argument,
        fmt::format("{} has {} 0; expected at least 1", describe_layer(model, index), what));
  }

  Result<Shape> windowed(std::uint64_t channels,
                         std::uint64_t kernel,
                         std::uint64_t stride,
                         std::uint64_t padding) const {
    if (kernel == 0) return zero("kernel");
    if (stride == 0) return zero("stride");
    if (input.size() != 3) return misfit(model, index, input, "channels x height x width");
    const std::uint64_t height = windows(input[1], kernel, stride, padding);
    const std::uint64_t width = windows(input[2], kernel, stride, padding);
    if (height == 0 || width == 0) {
      return misfit(
          model,
          index,
          input,
          fmt::format(
              "at least {0}x{0} pixels (its kernel), padding of {1} included", kernel, padding));
    }
    return Shape{channels, height, width};
  }
};

Result<void> check_output(const ModelSpec& model, const Shape& output) {
  if (model.loss != Loss::softmax_cross_entropy) {
    return fail(errc::invalid_argument,
                fmt::format("loss {} is unknown; expected softmax_cross_entropy",
                            static_cast<unsigned>(model.loss)));
  }
  if (output.size() == 1 && output[0] >= 2) return {};
  return fail(errc::invalid_argument,
              fmt::format("the last output, of {}, is {}; softmax_cross_entropy expects one score "
                          "for each of at least 2 classes",
                          describe_layer(model, model.layers.size() - 1),
                          describe_shape(output)));
}

// Collects tensors one after the other.
class LayoutBuilder {
 public:
  Result<void> add(const std::string& layer, Shape weight) {
    const std::uint64_t outputs = weight.front();
    CHORUS_OK(append(layer + ".weight", std::move(weight)));
    return append(layer + ".bias", Shape{outputs});
  }

  Result<TensorLayout> finish() && {
    if (layout_.parameters == 0) {
      return fail(errc::invalid_argument,
                  "the model has no parameters; add a dense or conv2d layer");
    }
    return std::move(layout_);
  }

 private:
  Result<void> append(std::string name, Shape shape) {
    std::uint64_t count = 0;
    if (!product_within(shape, kParametersMax - layout_.parameters, count)) {
      return fail(errc::invalid_argument,
                  fmt::format("tensor '{}' is {}; with it the model would exceed {} parameters",
                              name,
                              describe_shape(shape),
                              kParametersMax));
    }
    layout_.tensors.push_back({std::move(name), std::move(shape), layout_.parameters, count});
    layout_.parameters += count;
    return {};
  }

  TensorLayout layout_;
};

}  // namespace

Result<std::vector<std::vector<std::uint64_t>>> shapes_of(const ModelSpec& model) {
  CHORUS_OK(tensor::layer_names(model));
  CHORUS_OK(check_input(model));
  std::vector<Shape> shapes;
  shapes.reserve(model.layers.size());
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    const Shape& input = i == 0 ? model.input_shape : shapes.back();
    CHORUS_TRY(Shape output, std::visit(OutputShape{model, i, input}, model.layers[i]));
    CHORUS_OK(check_activations(output, "the output of " + describe_layer(model, i)));
    shapes.push_back(std::move(output));
  }
  CHORUS_OK(check_output(model, shapes.back()));
  return shapes;
}

Result<TensorLayout> layout_of(const ModelSpec& model) {
  CHORUS_TRY(const auto shapes, shapes_of(model));
  CHORUS_TRY(const auto names, tensor::layer_names(model));
  LayoutBuilder builder;
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    const Shape& input = i == 0 ? model.input_shape : shapes[i - 1];
    if (const auto* dense = std::get_if<Dense>(&model.layers[i])) {
      CHORUS_OK(builder.add(names[i], {dense->units, input[0]}));
    } else if (const auto* conv = std::get_if<Conv2d>(&model.layers[i])) {
      CHORUS_OK(builder.add(names[i], {conv->channels, input[0], conv->kernel, conv->kernel}));
    }
  }
  return std::move(builder).finish();
}

Result<std::vector<float>> initial_parameters(const ModelSpec& model, std::uint64_t seed) {
  CHORUS_TRY(const TensorLayout layout, layout_of(model));
  std::vector<float> parameters(layout.parameters, 0.0F);
  for (const TensorSpec& tensor : layout.tensors) {
    if (tensor.shape.size() < 2) continue;  // biases stay zero
    const std::uint64_t fan_in = tensor.count / tensor.shape[0];
    const double bound = std::sqrt(6.0 / static_cast<double>(fan_in));
    // One stream per tensor: the values of a layer do not depend on the layers before it.
    const std::string_view parts[] = {"initial parameters", tensor.name};
    Rng rng(stream_key(seed, parts));
    for (std::uint64_t i = 0; i < tensor.count; ++i) {
      parameters[tensor.offset + i] = static_cast<float>((2.0 * rng.uniform() - 1.0) * bound);
    }
  }
  return parameters;
}

}  // namespace chorus
