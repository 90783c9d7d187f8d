// Operators that are one layer each.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <functional>

#include "common/base/try.hpp"
#include "common/onnx/importer.hpp"

namespace chorus::onnx {
namespace {

constexpr const char* kTooLarge = "its window is larger than its input";

bool all_equal(const std::vector<std::int64_t>& values) {
  return std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) == values.end();
}

std::uint64_t first_or(const std::vector<std::int64_t>& values, std::uint64_t otherwise) {
  return values.empty() ? otherwise : static_cast<std::uint64_t>(values.front());
}

// Places of a window along one side, or 0.
std::uint64_t places(std::uint64_t side, const Conv2d& window) {
  const std::uint64_t reach = (window.kernel - 1) * window.dilation + 1;
  const std::uint64_t padded = side + 2 * window.padding;
  return reach > padded ? 0 : (padded - reach) / window.stride + 1;
}

struct Windows {
  Conv2d window;  // kernel, stride, padding, dilation
  std::string problem;
};

// The window of a convolution or pooling, if it is the same along every side.
Windows windows_of(const Node& node, const std::vector<std::int64_t>& kernel, const Sides& input) {
  Windows result;
  Conv2d& window = result.window;
  const std::size_t sides = kernel.size();
  const std::vector<std::int64_t> strides = node.wholes("strides");
  const std::vector<std::int64_t> dilations = node.wholes("dilations");
  std::vector<std::int64_t> pads = node.wholes("pads");
  std::vector<std::int64_t> all = kernel;
  for (const std::vector<std::int64_t>* list : {&strides, &dilations, &std::as_const(pads)})
    all.insert(all.end(), list->begin(), list->end());
  if (std::any_of(all.begin(), all.end(), [](std::int64_t n) { return n < 0 || n > 1024; }) ||
      sides == 0 || sides + 1 != input.size()) {
    result.problem = "its window does not fit its input";
    return result;
  }
  if (!all_equal(kernel) || !all_equal(strides) || !all_equal(dilations)) {
    result.problem = fmt::format(
        "its window (kernel {}, strides {}, dilations {}) is not the same "
        "along every side",
        fmt::join(kernel, "x"),
        fmt::join(strides, "x"),
        fmt::join(dilations, "x"));
    return result;
  }
  window.kernel = static_cast<std::uint64_t>(kernel.front());
  window.stride = std::max<std::uint64_t>(first_or(strides, 1), 1);
  window.dilation = std::max<std::uint64_t>(first_or(dilations, 1), 1);
  const std::string automatic = node.text("auto_pad", "NOTSET");
  if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
    pads.clear();
    for (std::size_t i = 0; i < sides; ++i) {
      const std::uint64_t out = (input[i + 1] + window.stride - 1) / window.stride;
      const std::uint64_t needed =
          (out - 1) * window.stride + (window.kernel - 1) * window.dilation + 1;
      const std::uint64_t padding = needed > input[i + 1] ? needed - input[i + 1] : 0;
      pads.push_back(static_cast<std::int64_t>(padding / 2));
      pads.push_back(static_cast<std::int64_t>(padding - padding / 2));
    }
  }
  if (!all_equal(pads)) {
    result.problem =
        fmt::format("its padding [{}] is not the same on every side", fmt::join(pads, ", "));
    return result;
  }
  window.padding = first_or(pads, 0);
  return result;
}

bool has_values(const Constant& constant, std::size_t count) {
  return constant != nullptr && !constant->whole && constant->size() == count;
}

}  // namespace

// A layer that treats every number by itself does so in any arrangement.
Result<void> Importer::elementwise(const Node& node, Layer layer) {
  CHORUS_TRY(Flow held, value(node, 0));
  const Sides shape = step(held.step).shape;
  held.step = emit(std::move(layer), {held.step}, shape, node);
  set(node, std::move(held));
  return {};
}

Result<void> Importer::leaky_relu(const Node& node) {
  const double slope = decimal_of(node.real("alpha", 0.01F));
  if (!(slope >= 0.0 && slope <= 1.0)) return refuse(fmt::format("slope {}", slope));
  return elementwise(node, LeakyRelu{slope});
}

Result<void> Importer::gelu(const Node& node) {
  if (node.text("approximate", "none") != "none") {
    return refuse("Gelu's approximation by tanh", "use the exact one");
  }
  return elementwise(node, Gelu{});
}

Result<void> Importer::softmax(const Node& node) {
  CHORUS_TRY(Flow held, flow(node, 0));
  const auto rank = held.shape.size();
  CHORUS_TRY(const std::size_t axis, axis_of(node.whole("axis", graph_.opset < 13 ? 1 : -1), rank));
  if (axis + 1 != rank) return refuse(fmt::format("softmax over axis {} of {}", axis, rank));
  if (held.stage == Stage::scores) {
    const double expected = 1.0 / std::sqrt(static_cast<double>(attentions_[held.record].width));
    if (std::abs(held.number / expected - 1.0) > 1e-4) {
      return refuse(fmt::format("attention scores are multiplied by {:.6g}; expected 1/√{}",
                                held.number,
                                attentions_[held.record].width));
    }
    held.stage = Stage::shares;
    set(node, std::move(held));
    return {};
  }
  if (held.stage != Stage::none) return unfinished(held);
  if (node.op == "LogSoftmax") {
    held.stage = Stage::log_softmax;
    set(node, std::move(held));
    return {};
  }
  CHORUS_TRY(const std::size_t input, plain(held, node));
  if (step(input).shape.size() > 2) return refuse("softmax over an image's last axis");
  const std::size_t made = emit(Softmax{}, {input}, step(input).shape, node);
  set(node,
      Flow{made, shape_with_batch(step(made).shape), nullptr, Stage::none, 1, 0, nullptr, ""});
  return {};
}

Result<void> Importer::dropout(const Node& node) {
  float rate = node.real("ratio", 0.5F);
  if (node.gives(1)) {
    CHORUS_TRY(const Constant ratio, need_constant(node, 1, "the ratio"));
    if (ratio->size() == 1) rate = static_cast<float>(ratio->at(0));
  }
  if (!(rate >= 0.0F && rate < 1.0F)) return refuse(fmt::format("dropout with ratio {}", rate));
  if (rate == 0.0F) return identity(node);
  return elementwise(node, Dropout{decimal_of(rate)});
}

Result<void> Importer::conv(const Node& node) {
  CHORUS_TRY(const Flow held, value(node, 0));
  CHORUS_TRY(const Constant weight, need_constant(node, 1, "its weight"));
  const Shape& sides = weight->shape;
  if (weight->whole || (sides.size() != 3 && sides.size() != 4)) {
    return refuse(fmt::format("its weight is {}; convolutions here have one or two dimensions",
                              onnx::text_of(sides)));
  }
  CHORUS_TRY(const std::size_t input, plain(held, node));
  const Sides from = step(input).shape;
  auto [window, problem] = windows_of(node, {sides.begin() + 2, sides.end()}, from);
  if (!problem.empty()) return refuse(problem, "use square kernels with equal padding");
  window.channels = static_cast<std::uint64_t>(sides[0]);
  const std::int64_t groups = node.whole("group", 1);
  window.groups = static_cast<std::uint64_t>(std::max<std::int64_t>(groups, 1));
  window.bias = node.gives(2);
  const bool fits = sides[0] > 0 && sides[1] > 0 && groups > 0 && sides[0] % groups == 0 &&
                    static_cast<std::uint64_t>(sides[1]) * window.groups == from[0];
  if (!fits) return refuse(fmt::format("its weight {} does not fit", onnx::text_of(sides)));
  Sides shape{window.channels};
  for (std::size_t i = 1; i < from.size(); ++i) shape.push_back(places(from[i], window));
  if (std::find(shape.begin(), shape.end(), 0U) != shape.end()) return refuse(kTooLarge);
  Layer layer = window;
  if (from.size() == 2) {
    layer = Conv1d{"",
                   window.channels,
                   window.kernel,
                   window.stride,
                   window.padding,
                   window.dilation,
                   window.groups,
                   window.bias};
  }
  const std::size_t made = emit(std::move(layer), {input}, shape, node);
  step(made).tensors["weight"] = weight->reals;
  step(made).name = name_for(node, {1, 2});
  if (window.bias) {
    CHORUS_TRY(const Constant bias, need_constant(node, 2, "its bias"));
    if (!has_values(bias, window.channels)) return refuse("its bias does not fit");
    step(made).tensors["bias"] = bias->reals;
  }
  set(node, Flow{made, shape_with_batch(shape), nullptr, Stage::none, 1, 0, nullptr, ""});
  return {};
}

template <class Pool1, class Pool2>
Result<void> Importer::pool(const Node& node) {
  CHORUS_TRY(const Flow held, value(node, 0));
  CHORUS_TRY(const std::size_t input, plain(held, node));
  const Sides from = step(input).shape;
  auto [window, problem] = windows_of(node, node.wholes("kernel_shape"), from);
  if (!problem.empty()) return refuse(problem, "use square windows with equal padding");
  if (window.dilation != 1) return refuse("a window with gaps (dilations)");
  Sides shape{from[0]};
  for (std::size_t i = 1; i < from.size(); ++i) {
    shape.push_back(places(from[i], window));
    const std::uint64_t padded = from[i] + 2 * window.padding;
    if (node.whole("ceil_mode", 0) != 0 && (padded - window.kernel) % window.stride != 0) {
      return refuse("ceil_mode", "pad the input so that the windows fit");
    }
  }
  if (std::find(shape.begin(), shape.end(), 0U) != shape.end()) return refuse(kTooLarge);
  const Layer layer = from.size() == 2 ? Layer(Pool1{window.kernel, window.stride, window.padding})
                                       : Layer(Pool2{window.kernel, window.stride, window.padding});
  const std::size_t made = emit(layer, {input}, shape, node);
  set(node, Flow{made, shape_with_batch(shape), nullptr, Stage::none, 1, 0, nullptr, ""});
  return {};
}

Result<void> Importer::max_pool(const Node& node) {
  if (node.outputs.size() > 1 && readers_.contains(node.outputs[1])) {
    return refuse("the places of the maxima are used");
  }
  return pool<MaxPool1d, MaxPool2d>(node);
}

Result<void> Importer::average_pool(const Node& node) {
  const std::vector<std::int64_t> pads = node.wholes("pads");
  const bool padded = std::any_of(pads.begin(), pads.end(), [](std::int64_t n) { return n != 0; });
  if (padded && node.whole("count_include_pad", 0) == 0) {
    return refuse("means that leave the padding out", "count_include_pad=True");
  }
  return pool<AvgPool1d, AvgPool2d>(node);
}

Result<void> Importer::global_pool(const Node& node, const Layer& layer) {
  CHORUS_TRY(const Flow held, value(node, 0));
  CHORUS_TRY(const std::size_t input, plain(held, node));
  if (step(input).shape.size() < 2) return refuse("its input has no positions");
  const std::uint64_t channels = step(input).shape[0];
  const std::size_t made = emit(layer, {input}, {channels}, node);
  Shape shape(held.shape.size(), 1);  // the axes stay
  shape[0] = batch_;
  shape[1] = static_cast<std::int64_t>(channels);
  set(node, Flow{made, shape, nullptr, Stage::none, 1, 0, nullptr, ""});
  return {};
}

Result<void> Importer::global_average_pool(const Node& node) {
  return global_pool(node, GlobalAvgPool{});
}

Result<void> Importer::global_max_pool(const Node& node) {
  return global_pool(node, GlobalMaxPool{});
}

Result<void> Importer::batch_norm(const Node& node) {
  CHORUS_TRY(const Flow held, value(node, 0));
  CHORUS_TRY(const std::size_t input, plain(held, node));
  const Sides shape = step(input).shape;
  // ONNX counts what stays, PyTorch what is new.
  const double momentum =
      decimal_of(static_cast<float>(1.0 - decimal_of(node.real("momentum", 0.9F))));
  BatchNorm norm{"", decimal_of(node.real("epsilon", 1e-5F)), momentum > 0 ? momentum : 0.1};
  const std::size_t made = emit(norm, {input}, shape, node);
  step(made).name = name_for(node, {1, 2});
  constexpr const char* kParts[] = {"weight", "bias", "running_mean", "running_var"};
  for (std::size_t i = 0; i < 4; ++i) {
    CHORUS_TRY(const Constant part, need_constant(node, i + 1, kParts[i]));
    if (!has_values(part, shape[0])) return refuse(fmt::format("its {} does not fit", kParts[i]));
    step(made).tensors[kParts[i]] = part->reals;
  }
  set(node, Flow{made, held.shape, nullptr, Stage::none, 1, 0, nullptr, ""});
  return {};
}

Result<void> Importer::layer_norm(const Node& node) {
  CHORUS_TRY(Flow held, value(node, 0));
  CHORUS_TRY(const std::size_t axis, axis_of(node.whole("axis", -1), held.shape.size()));
  CHORUS_TRY(const Constant weight, need_constant(node, 1, "its weight"));
  if (axis + 1 != held.shape.size()) return refuse("it normalises over several axes");
  CHORUS_TRY(const std::size_t input, plain(held, node));
  const Sides shape = step(input).shape;
  if (shape.size() > 2 || !has_values(weight, shape.back()))
    return refuse("its weight does not fit");
  const std::size_t made =
      emit(LayerNorm{"", decimal_of(node.real("epsilon", 1e-5F))}, {input}, shape, node);
  step(made).name = name_for(node, {1, 2});
  step(made).tensors["weight"] = weight->reals;
  step(made).tensors["bias"] = std::vector<float>(weight->size(), 0.0F);
  if (const Constant bias = constant(node, 2); has_values(bias, shape.back())) {
    step(made).tensors["bias"] = bias->reals;
  }
  set(node, Flow{made, shape_with_batch(shape), nullptr, Stage::none, 1, 0, nullptr, ""});
  return {};
}

// PyTorch writes group norm as instance norm of (batch, groups, rest), with weights of its own
// after.
Result<void> Importer::instance_norm(const Node& node) {
  CHORUS_TRY(Flow held, value(node, 0));
  CHORUS_TRY(const Constant weight, need_constant(node, 1, "its weight"));
  CHORUS_TRY(const Constant bias, need_constant(node, 2, "its bias"));
  const Sides shape = step(held.step).shape;
  const bool grouped =
      !held.order && held.shape.size() >= 3 && held.shape[0] == batch_ &&
      elements_of(held.shape) == elements_of(shape_with_batch(shape)) &&
      static_cast<std::int64_t>(shape[0]) % std::max<std::int64_t>(held.shape[1], 1) == 0;
  const bool simple = weight->size() > 0 && weight->uniform() && weight->at(0) == 1.0 &&
                      bias->uniform() && bias->size() > 0 && bias->at(0) == 0.0;
  if (!grouped || shape.size() < 2)
    return refuse("it normalises something else than groups of channels");
  const auto groups = static_cast<std::uint64_t>(held.shape[1]);
  if (!simple && (groups != shape[0] || !has_values(weight, groups) || !has_values(bias, groups))) {
    return refuse("its weights are not per channel", "use group norm");
  }
  const std::size_t made = emit(
      GroupNorm{"", groups, decimal_of(node.real("epsilon", 1e-5F))}, {held.step}, shape, node);
  step(made).name = name_for(node, {1});
  step(made).tensors["weight"] = simple ? std::vector<float>(shape[0], 1.0F) : weight->reals;
  step(made).tensors["bias"] = simple ? std::vector<float>(shape[0], 0.0F) : bias->reals;
  held.step = made;
  set(node, std::move(held));
  return {};
}

Result<void> Importer::group_norm(const Node& node) {
  CHORUS_TRY(const Flow held, value(node, 0));
  CHORUS_TRY(const Constant weight, need_constant(node, 1, "its weight"));
  CHORUS_TRY(const Constant bias, need_constant(node, 2, "its bias"));
  CHORUS_TRY(const std::size_t input, plain(held, node));
  const Sides shape = step(input).shape;
  const std::int64_t groups = node.whole("num_groups", 0);
  if (groups < 1 || shape[0] % static_cast<std::uint64_t>(groups) != 0 ||
      !has_values(weight, shape[0]) || !has_values(bias, shape[0])) {
    return refuse("its groups and weights do not fit its channels",
                  "opset 18 has a weight per group: export group norm with opset 17 or 21");
  }
  const std::size_t made = emit(
      GroupNorm{"", static_cast<std::uint64_t>(groups), decimal_of(node.real("epsilon", 1e-5F))},
      {input},
      shape,
      node);
  step(made).name = name_for(node, {1, 2});
  step(made).tensors = {{"weight", weight->reals}, {"bias", bias->reals}};
  set(node, Flow{made, held.shape, nullptr, Stage::none, 1, 0, nullptr, ""});
  return {};
}

}  // namespace chorus::onnx
