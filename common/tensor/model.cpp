// The tensors that follow from a model's layers, and what they are at the beginning.
#include "chorus/model.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <set>
#include <string_view>
#include <type_traits>
#include <utility>

#include "common/base/limits.hpp"
#include "common/base/rng.hpp"
#include "common/base/try.hpp"
#include "common/tensor/layer_fields.hpp"
#include "common/tensor/layer_names.hpp"

namespace chorus {
namespace {

using Shape = std::vector<std::uint64_t>;
using tensor::describe_shape;

constexpr std::string_view kAdapterDown = "lora_A";
constexpr std::string_view kAdapterUp = "lora_B";
constexpr std::uint64_t kParametersMax = limits::kModelBytesMax / sizeof(float);

// How a tensor begins: a constant, uniform in ±bound, or standard normal.
struct Start {
  enum class Kind : std::uint8_t { constant, uniform, normal };
  Kind kind = Kind::constant;
  double number = 0.0;  // the constant, or the bound
};
constexpr Start kZero{};
constexpr Start kOne{Start::Kind::constant, 1.0};
constexpr Start kNormal{Start::Kind::normal, 1.0};
Start within_bound(double bound) {
  return {Start::Kind::uniform, bound};
}
Start he(std::uint64_t fan_in) {
  return within_bound(std::sqrt(6.0 / static_cast<double>(fan_in)));
}

bool product_within(const Shape& factors, std::uint64_t most, std::uint64_t& product) {
  product = 1;
  for (const std::uint64_t factor : factors) {
    if (factor == 0 || __builtin_mul_overflow(product, factor, &product) || product > most) {
      return false;
    }
  }
  return true;
}

// Collects the tensors of one layer after the other.
class LayoutBuilder {
 public:
  Result<void> add_layer(const Layer& layer, const std::string& name, const Shape& input) {
    name_ = name;
    return std::visit([&](const auto& one) { return tensors(one, input); }, layer);
  }

  Result<TensorLayout> finish() && {
    if (layout_.parameters == 0) {
      return fail(errc::invalid_argument,
                  "the model has no parameters; add a dense or conv2d layer");
    }
    return std::move(layout_);
  }

  const std::vector<Start>& starts() const noexcept { return starts_; }

 private:
  Result<void> tensors(const Dense& dense, const Shape& input) {
    CHORUS_OK(weight_and_bias({dense.units, input.back()}, input.back(), dense.bias));
    return adapter("", dense.lora_rank, {dense.units, input.back()});
  }
  Result<void> tensors(const Conv2d& conv, const Shape& input) {
    const std::uint64_t inputs = input[0] / conv.groups;
    CHORUS_OK(weight_and_bias({conv.channels, inputs, conv.kernel, conv.kernel},
                              inputs * conv.kernel * conv.kernel,
                              conv.bias));
    return adapter("", conv.lora_rank, {conv.channels, inputs, conv.kernel, conv.kernel});
  }
  Result<void> tensors(const Conv1d& conv, const Shape& input) {
    const std::uint64_t inputs = input[0] / conv.groups;
    CHORUS_OK(
        weight_and_bias({conv.channels, inputs, conv.kernel}, inputs * conv.kernel, conv.bias));
    return adapter("", conv.lora_rank, {conv.channels, inputs, conv.kernel});
  }
  Result<void> tensors(const BatchNorm&, const Shape& input) {
    CHORUS_OK(scale_and_shift(input[0]));
    CHORUS_OK(append("running_mean", {input[0]}, kZero));
    return append("running_var", {input[0]}, kOne);
  }
  Result<void> tensors(const LayerNorm&, const Shape& input) {
    return scale_and_shift(input.back());
  }
  Result<void> tensors(const GroupNorm&, const Shape& input) { return scale_and_shift(input[0]); }
  Result<void> tensors(const ScaleShift&, const Shape& input) { return scale_and_shift(input[0]); }
  Result<void> tensors(const Embedding& embedding, const Shape&) {
    return append("weight", {embedding.vocabulary, embedding.width}, kNormal);
  }
  Result<void> tensors(const PositionEmbedding&, const Shape& input) {
    return append("weight", input, kZero);
  }
  Result<void> tensors(const Lstm& lstm, const Shape& input) {
    return recurrent(lstm, 4, input[1]);
  }
  Result<void> tensors(const Gru& gru, const Shape& input) { return recurrent(gru, 3, input[1]); }
  Result<void> tensors(const SelfAttention& attention, const Shape& input) {
    const std::uint64_t features = input[1];
    const auto real = static_cast<double>(features);
    CHORUS_OK(append(
        "in_proj_weight", {3 * features, features}, within_bound(std::sqrt(6.0 / (4 * real)))));
    CHORUS_OK(append("in_proj_bias", {3 * features}, kZero));
    CHORUS_OK(adapter("in_proj_", attention.lora_rank, {3 * features, features}));
    CHORUS_OK(
        append("out_proj.weight", {features, features}, within_bound(std::sqrt(6.0 / (2 * real)))));
    CHORUS_OK(append("out_proj.bias", {features}, kZero));
    return adapter("out_proj.", attention.lora_rank, {features, features});
  }
  template <class L>
  Result<void> tensors(const L&, const Shape&) {
    static_assert(!tensor::has_tensors<L>);
    return {};
  }

  Result<void> weight_and_bias(Shape weight, std::uint64_t fan_in, bool bias) {
    const std::uint64_t outputs = weight.front();
    CHORUS_OK(append("weight", std::move(weight), he(fan_in)));
    return bias ? append("bias", Shape{outputs}, kZero) : Result<void>();
  }
  // Of a weight of this shape: A as the weight with `rank` outputs, B with `rank` inputs and
  // windows of one. As in the paper the adapter begins without effect.
  Result<void> adapter(std::string_view prefix, std::uint64_t rank, Shape weight) {
    if (rank == 0) return {};
    Shape up(weight.size(), 1);
    up[0] = std::exchange(weight[0], rank);
    up[1] = rank;
    std::uint64_t fan_in = 0;
    product_within(Shape(weight.begin() + 1, weight.end()), kParametersMax, fan_in);
    const Start start = within_bound(1.0 / std::sqrt(static_cast<double>(fan_in)));
    CHORUS_OK(append(std::string(prefix) + std::string(kAdapterDown), std::move(weight), start));
    return append(std::string(prefix) + std::string(kAdapterUp), std::move(up), kZero);
  }
  Result<void> scale_and_shift(std::uint64_t channels) {
    CHORUS_OK(append("weight", {channels}, kOne));
    return append("bias", {channels}, kZero);
  }
  // PyTorch's order: of each layer, forwards then backwards, weights before biases.
  template <class L>
  Result<void> recurrent(const L& layer, std::uint64_t gates, std::uint64_t features) {
    const std::uint64_t rows = gates * layer.units;
    const Start start = within_bound(1.0 / std::sqrt(static_cast<double>(layer.units)));
    const std::uint64_t directions = layer.bidirectional ? 2 : 1;
    for (std::uint64_t level = 0; level < layer.depth; ++level) {
      const std::uint64_t inputs = level == 0 ? features : directions * layer.units;
      for (std::uint64_t direction = 0; direction < directions; ++direction) {
        const std::string tail = fmt::format("_l{}{}", level, direction == 0 ? "" : "_reverse");
        CHORUS_OK(append("weight_ih" + tail, {rows, inputs}, start));
        CHORUS_OK(append("weight_hh" + tail, {rows, layer.units}, start));
        CHORUS_OK(append("bias_ih" + tail, {rows}, start));
        CHORUS_OK(append("bias_hh" + tail, {rows}, start));
      }
    }
    return {};
  }

  Result<void> append(std::string_view part, Shape shape, const Start& start) {
    std::string name = fmt::format("{}.{}", name_, part);
    std::uint64_t count = 0;
    if (!product_within(shape, kParametersMax - layout_.parameters, count)) {
      return fail(errc::invalid_argument,
                  fmt::format("tensor '{}' is {}; with it the model would exceed {} parameters",
                              name,
                              describe_shape(shape),
                              kParametersMax));
    }
    if (layout_.tensors.size() == limits::kTensorsMax) {
      return fail(errc::invalid_argument,
                  fmt::format("with '{}' the model has more than {} tensors, the most allowed",
                              name,
                              limits::kTensorsMax));
    }
    // "a" may be attention and another layer be called "a.out_proj".
    if (!names_.insert(name).second) {
      return fail(errc::invalid_argument,
                  fmt::format("two tensors would be called '{}'; rename a layer", name));
    }
    const bool buffer = is_buffer_name(name);
    layout_.tensors.push_back(
        {std::move(name), std::move(shape), layout_.parameters, count, buffer});
    layout_.parameters += count;
    starts_.push_back(start);
    return {};
  }

  std::string name_;
  TensorLayout layout_;
  std::set<std::string> names_;
  std::vector<Start> starts_;  // of layout_.tensors
};

Result<TensorLayout> lay_out(const ModelSpec& model, std::vector<Start>& starts) {
  CHORUS_TRY(const auto shapes, shapes_of(model));
  CHORUS_TRY(const auto names, tensor::layer_names(model));
  LayoutBuilder builder;
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    const Shape& input = i == 0 ? model.input_shape : shapes[i - 1];
    CHORUS_OK(builder.add_layer(model.layers[i], names[i], input));
  }
  starts = builder.starts();
  return std::move(builder).finish();
}

}  // namespace

bool is_buffer_name(std::string_view tensor) noexcept {
  return tensor.ends_with(".running_mean") || tensor.ends_with(".running_var");
}

bool is_adapter_name(std::string_view tensor) noexcept {
  return tensor.ends_with(kAdapterDown) || tensor.ends_with(kAdapterUp);
}

Result<TensorLayout> layout_of(const ModelSpec& model) {
  std::vector<Start> starts;
  return lay_out(model, starts);
}

Result<std::vector<float>> initial_parameters(const ModelSpec& model, std::uint64_t seed) {
  std::vector<Start> starts;
  CHORUS_TRY(const TensorLayout layout, lay_out(model, starts));
  std::vector<float> parameters(layout.parameters, 0.0F);
  for (std::size_t t = 0; t < layout.tensors.size(); ++t) {
    const TensorSpec& tensor = layout.tensors[t];
    const Start& start = starts[t];
    float* const values = parameters.data() + tensor.offset;
    if (start.kind == Start::Kind::constant) {
      std::fill_n(values, tensor.count, static_cast<float>(start.number));
      continue;
    }
    // One stream per tensor: the values of a layer do not depend on the layers before it.
    const std::string_view parts[] = {"initial parameters", tensor.name};
    Rng rng(stream_key(seed, parts));
    const bool normal = start.kind == Start::Kind::normal;
    for (std::uint64_t i = 0; i < tensor.count; ++i) {
      const double drawn = normal ? rng.normal() : (2.0 * rng.uniform() - 1.0) * start.number;
      values[i] = static_cast<float>(drawn);
    }
  }
  return parameters;
}

}  // namespace chorus
