// Sums and products: dense layers, biases, residual connections, and the layers that exporters
// write as several nodes (gelu, silu, layer norm).
#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "common/base/try.hpp"
#include "common/onnx/importer.hpp"

namespace chorus::onnx {
namespace {

bool near(double a, double b) {
  return std::abs(a - b) <= 1e-6 * std::max(std::abs(a), std::abs(b));
}

// Axes of size 1 in front say nothing.
Shape without_ones(Shape shape) {
  shape.erase(shape.begin(), std::find_if(shape.begin(), shape.end(), [](std::int64_t side) {
                return side != 1;
              }));
  return shape;
}

bool same_order(const Flow& a, const Flow& b) {
  if (a.shape != b.shape) return false;
  if (a.order == b.order) return true;
  const std::int64_t count = elements_of(a.shape);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (a.place(at) != b.place(at)) return false;
  }
  return true;
}

}  // namespace

// ---- x·Wᵀ + b ----

// On the last axis, in any arrangement of the rows before it.
Result<void> Importer::dense(const Node& node, Tensor weight, Constant bias) {
  CHORUS_TRY(Flow held, value(node, 0));
  const std::int64_t inputs = weight.shape[1];
  const std::int64_t units = weight.shape[0];
  if (held.shape.empty() || held.shape.back() != inputs || inputs < 1 || units < 1) {
    return refuse(fmt::format(
        "its weight takes {} features; it receives {}", inputs, onnx::text_of(held.shape)));
  }
  if (bias != nullptr && (bias->whole || bias->size() != static_cast<std::size_t>(units))) {
    return refuse("its bias does not fit");
  }
  const auto count = elements_of(held.shape);
  const Sides from = step(held.step).shape;
  bool rows = from.size() <= 2 && static_cast<std::int64_t>(from.back()) == inputs;
  for (std::int64_t i = 0; rows && held.order && i < count; ++i) {
    const std::int64_t start = held.place(static_cast<std::size_t>(i - i % inputs));
    rows = start % inputs == 0 && held.place(static_cast<std::size_t>(i)) == start + i % inputs;
  }
  if (!rows) {
    CHORUS_TRY(held.step, plain(held, node));
    held.order = nullptr;
    held.shape = shape_with_batch(step(held.step).shape);
  }
  Sides shape = step(held.step).shape;
  if (shape.size() > 2) return refuse("a dense layer on images", "a convolution with kernel 1");
  if (const auto closed = close_attention(node, held.step, weight, bias)) {
    held.step = *closed;
    set(node, std::move(held));
    return {};
  }
  shape.back() = static_cast<std::uint64_t>(units);
  const std::size_t made = emit(Dense{"", shape.back(), bias != nullptr}, {held.step}, shape, node);
  step(made).tensors["weight"] = std::move(weight.reals);
  step(made).name = name_for(node, {1, 2});
  if (bias != nullptr) step(made).tensors["bias"] = bias->reals;
  if (held.order) {
    std::vector<std::int64_t> order;
    for (std::int64_t row = 0; row < count / inputs; ++row) {
      const std::int64_t start =
          held.place(static_cast<std::size_t>(row * inputs)) / inputs * units;
      for (std::int64_t i = 0; i < units; ++i) order.push_back(start + i);
    }
    held.order = std::make_shared<const std::vector<std::int64_t>>(std::move(order));
  }
  held.shape.back() = units;
  held.step = made;
  set(node, std::move(held));
  return {};
}

Result<void> Importer::gemm(const Node& node) {
  CHORUS_TRY(const Constant weight, need_constant(node, 1, "its weight"));
  if (weight->shape.size() != 2 || weight->whole || node.whole("transA", 0) != 0) {
    return refuse("it is no product of rows with a matrix of weights");
  }
  Tensor rows = *weight;
  if (node.whole("transB", 0) == 0) {
    CHORUS_TRY(const Arrangement turned, transposed(weight->shape, {1, 0}));
    rows = arranged(*weight, turned);
  }
  for (float& value : rows.reals) value *= node.real("alpha", 1.0F);
  Constant bias;
  if (node.gives(2)) {
    CHORUS_TRY(const Constant given, need_constant(node, 2, "its bias"));
    Tensor scaled = *given;
    for (float& value : scaled.reals) value *= node.real("beta", 1.0F);
    bias = std::make_shared<const Tensor>(std::move(scaled));
  }
  return dense(node, std::move(rows), bias);
}

Result<void> Importer::matmul(const Node& node) {
  const Constant weight = constant(node, 1);
  if (weight == nullptr) {
    CHORUS_TRY(const Flow left, flow(node, 0));
    CHORUS_TRY(const Flow right, flow(node, 1));
    return left.stage == Stage::shares ? mixture(node, left, right) : scores(node, left, right);
  }
  if (weight->shape.size() != 2 || weight->whole) {
    return refuse(fmt::format("its weight is {}, no matrix", onnx::text_of(weight->shape)));
  }
  CHORUS_TRY(const Arrangement turned, transposed(weight->shape, {1, 0}));
  return dense(node, arranged(*weight, turned), nullptr);
}

// ---- constants that belong to a layer ----

std::optional<std::vector<float>> Importer::per_channel(const Flow& flow,
                                                        const Tensor& constant) const {
  const Sides& sides = steps_[flow.step]->shape;
  if (!is_plain(flow) || constant.whole) return {};
  Shape expected = shape_with_batch(sides);
  std::fill(expected.begin() + 2, expected.end(), 1);
  expected[0] = 1;
  if (without_ones(constant.shape) != without_ones(expected)) return {};
  return constant.reals;
}

std::optional<std::vector<float>> Importer::per_feature(const Flow& flow,
                                                        const Tensor& constant) const {
  const Sides& sides = steps_[flow.step]->shape;
  if (constant.whole || constant.size() != sides.back() || flow.shape.empty() ||
      flow.shape.back() != static_cast<std::int64_t>(sides.back()) ||
      without_ones(constant.shape).size() > 1) {
    return {};
  }
  for (std::size_t i = 0; flow.order && i < flow.order->size(); ++i) {  // features stay in order
    if ((*flow.order)[i] % flow.shape.back() != static_cast<std::int64_t>(i) % flow.shape.back()) {
      return {};
    }
  }
  return constant.reals;
}

// Makes the constant the weight or bias of the layer whose output it meets, if that has none yet.
bool Importer::amend(const Node& node,
                     std::size_t input,
                     const Tensor& constant,
                     std::string_view part) {
  const Flow held = std::get<Flow>(known(node, input));
  Step& made = step(held.step);
  if (held.step == 0 || made.node.empty() || !only_reader(node, input)) return false;
  std::string key(part);
  const bool adds = part == "bias";
  const auto bare = [&](float value) {
    const auto found = made.tensors.find(key);
    return found != made.tensors.end() &&
           std::all_of(
               found->second.begin(), found->second.end(), [value](float x) { return x == value; });
  };
  std::optional<std::vector<float>> values;
  if (std::holds_alternative<SelfAttention>(made.layer) && adds && !made.open) {
    key = "out_proj.bias";
    if (bare(0.0F)) values = per_feature(held, constant);
  } else if (auto* layer = std::get_if<Dense>(&made.layer);
             layer != nullptr && adds && !layer->bias) {
    values = per_feature(held, constant);
    layer->bias = values.has_value();
  } else if (auto* conv = std::get_if<Conv2d>(&made.layer);
             conv != nullptr && adds && !conv->bias) {
    values = per_channel(held, constant);
    conv->bias = values.has_value();
  } else if (auto* conv1 = std::get_if<Conv1d>(&made.layer);
             conv1 != nullptr && adds && !conv1->bias) {
    values = per_channel(held, constant);
    conv1->bias = values.has_value();
  } else if (std::holds_alternative<LayerNorm>(made.layer) && bare(adds ? 0.0F : 1.0F)) {
    values = per_feature(held, constant);
  } else if (std::holds_alternative<GroupNorm>(made.layer) && bare(adds ? 0.0F : 1.0F)) {
    values = per_channel(held, constant);
  } else if (std::holds_alternative<ScaleShift>(made.layer) && adds && bare(0.0F)) {
    values = per_channel(held, constant);
  }
  if (!values) return false;
  made.tensors[key] = std::move(*values);
  if (std::string name = name_for(node, {0, 1}); made.name.empty()) made.name = std::move(name);
  set(node, held);
  return true;
}

// ---- sums ----

Result<void> Importer::add(const Node& node) {
  for (const std::size_t input : {0U, 1U}) {
    if (const Constant held = constant(node, input)) return add_constant(node, 1 - input, *held);
  }
  return add_values(node);
}

Result<void> Importer::add_values(const Node& node) {
  CHORUS_TRY(Flow a, value(node, 0));
  CHORUS_TRY(const Flow b, value(node, 1));
  if (a.shape != b.shape) {
    return refuse(fmt::format("it adds {} and {}", onnx::text_of(a.shape), onnx::text_of(b.shape)),
                  "only values of one shape are added");
  }
  if (step(a.step).shape != step(b.step).shape || !same_order(a, b)) {
    CHORUS_TRY(const std::size_t left, plain(a, node));
    CHORUS_TRY(const std::size_t right, plain(b, node));
    const std::size_t made = emit(Add{}, {left, right}, step(left).shape, node);
    set(node, Flow{made, a.shape, nullptr, Stage::none, 1, 0, nullptr, ""});
    return {};
  }
  const std::size_t made = emit(Add{}, {a.step, b.step}, step(a.step).shape, node);
  a.step = made;
  set(node, std::move(a));
  return {};
}

Result<void> Importer::add_constant(const Node& node, std::size_t input, const Tensor& constant) {
  CHORUS_TRY(Flow held, flow(node, input));
  const bool one_number = constant.size() > 0 && constant.uniform();
  switch (held.stage) {
    case Stage::erf:
      if (!one_number || !near(constant.at(0), 1.0)) return unfinished(held);
      held.stage = Stage::erf_plus_one;
      held.number = 1.0;
      set(node, std::move(held));
      return {};
    case Stage::variance:
      if (!one_number) return unfinished(held);
      held.number = constant.at(0);
      set(node, std::move(held));
      return {};
    case Stage::scores:
      return mask(node, std::move(held), constant);
    case Stage::none:
      break;
    default:
      return unfinished(held);
  }
  if (one_number && constant.at(0) == 0.0) return set(node, held), Result<void>();
  if (amend(node, input, constant, "bias")) return {};
  const Sides shape = step(held.step).shape;
  if (shape.size() == 2 && is_plain(held) && !constant.whole &&
      without_ones(constant.shape) == without_ones(Shape{static_cast<std::int64_t>(shape[0]),
                                                         static_cast<std::int64_t>(shape[1])})) {
    const std::size_t made = emit(PositionEmbedding{}, {held.step}, shape, node);
    step(made).tensors["weight"] = constant.reals;
    step(made).name = name_for(node, {0, 1});
    set(node, Flow{made, held.shape, nullptr, Stage::none, 1, 0, nullptr, ""});
    return {};
  }
  if (auto values = per_channel(held, constant)) {
    const std::size_t made = emit(ScaleShift{}, {held.step}, shape, node);
    step(made).tensors = {{"weight", std::vector<float>(values->size(), 1.0F)}, {"bias", *values}};
    set(node, Flow{made, held.shape, nullptr, Stage::none, 1, 0, nullptr, ""});
    return {};
  }
  return refuse(
      fmt::format(
          "it adds a constant {} to {}", onnx::text_of(constant.shape), onnx::text_of(held.shape)),
      "constants are added per channel, or per step and feature");
}

Result<void> Importer::subtract(const Node& node) {
  if (const Constant held = constant(node, 1)) {
    Tensor negative = *held;
    for (float& value : negative.reals) value = -value;
    for (auto& value : negative.wholes) value = -value;
    return add_constant(node, 0, negative);
  }
  CHORUS_TRY(Flow a, value(node, 0));
  CHORUS_TRY(const Flow b, flow(node, 1));
  if (b.stage != Stage::mean || a.step != b.step || !is_plain(a)) {
    return refuse("a difference of two values", "differences appear in layer norm only");
  }
  a.stage = Stage::centred;
  set(node, std::move(a));
  return {};
}

// ---- products ----

Result<void> Importer::multiply(const Node& node) {
  for (const std::size_t input : {0U, 1U}) {
    if (const Constant held = constant(node, input)) return scale(node, 1 - input, *held);
  }
  return multiply_values(node);
}

Result<void> Importer::divide(const Node& node) {
  if (const Constant held = constant(node, 1)) {
    Tensor inverse = *held;
    inverse.whole = false;
    inverse.reals.clear();
    for (std::size_t i = 0; i < held->size(); ++i) {
      inverse.reals.push_back(static_cast<float>(1.0 / held->at(i)));
    }
    return scale(node, 0, inverse);
  }
  CHORUS_TRY(const Flow a, flow(node, 0));
  CHORUS_TRY(const Flow b, flow(node, 1));
  if (a.stage != Stage::centred || b.stage != Stage::deviation || a.step != b.step) {
    return refuse("a quotient of two values", "quotients appear in layer norm only");
  }
  const Sides shape = step(a.step).shape;
  if (shape.size() > 2)
    return refuse("layer norm over the last axis of an image", "use group norm");
  const std::size_t made =
      emit(LayerNorm{"", decimal_of(static_cast<float>(b.number))}, {a.step}, shape, node);
  step(made).tensors = {{"weight", std::vector<float>(shape.back(), 1.0F)},
                        {"bias", std::vector<float>(shape.back(), 0.0F)}};
  set(node, Flow{made, shape_with_batch(shape), nullptr, Stage::none, 1, 0, nullptr, ""});
  return {};
}

Result<void> Importer::multiply_values(const Node& node) {
  CHORUS_TRY(Flow a, flow(node, 0));
  CHORUS_TRY(Flow b, flow(node, 1));
  if (a.stage == Stage::erf_plus_one) std::swap(a, b);
  const bool plain_or_scaled = a.stage == Stage::none || a.stage == Stage::scaled;
  if (b.stage == Stage::erf_plus_one && plain_or_scaled && a.step == b.step && same_order(a, b)) {
    const double number = (a.stage == Stage::scaled ? a.number : 1.0) * b.number;
    a.stage = Stage::gelu;
    a.number = number;
    if (!near(number, 0.5)) return set(node, std::move(a)), Result<void>();
    a.stage = Stage::none;
    a.step = emit(Gelu{}, {a.step}, step(a.step).shape, node);
    set(node, std::move(a));
    return {};
  }
  if (a.stage == Stage::centred && b.stage == Stage::centred && a.step == b.step) {
    a.stage = Stage::squared;
    set(node, std::move(a));
    return {};
  }
  if (a.stage != Stage::none) return unfinished(a);
  if (b.stage != Stage::none) return unfinished(b);
  for (const auto& [gate, other] : {std::pair(&a, &b), std::pair(&b, &a)}) {
    const Step& made = step(gate->step);
    if (std::holds_alternative<Sigmoid>(made.layer) && gate->step != 0 &&
        made.inputs.front() == other->step && same_order(*gate, *other)) {
      Flow result = *other;
      result.step = emit(Silu{}, {other->step}, step(other->step).shape, node);
      set(node, std::move(result));
      return {};
    }
  }
  return refuse("a product of two values", "gates are there inside LSTM, GRU and SiLU only");
}

Result<void> Importer::scale(const Node& node, std::size_t input, const Tensor& constant) {
  CHORUS_TRY(Flow held, flow(node, input));
  const bool one_number = constant.size() > 0 && constant.uniform();
  if (held.stage == Stage::none && amend(node, input, constant, "weight")) return {};
  if (one_number) {
    const double number = constant.at(0);
    switch (held.stage) {
      case Stage::none:
        if (number == 1.0) return set(node, held), Result<void>();
        held.stage = Stage::scaled;
        held.number = number;
        break;
      case Stage::gelu:
        held.number *= number;
        if (near(held.number, 0.5)) {
          held.stage = Stage::none;
          held.step = emit(Gelu{}, {held.step}, step(held.step).shape, node);
        }
        break;
      case Stage::scaled:
      case Stage::erf_plus_one:
      case Stage::scores:
        held.number *= number;
        break;
      default:
        return unfinished(held);
    }
    set(node, std::move(held));
    return {};
  }
  if (held.stage != Stage::none) return unfinished(held);
  if (auto values = per_channel(held, constant)) {
    const Sides shape = step(held.step).shape;
    const std::size_t made = emit(ScaleShift{}, {held.step}, shape, node);
    step(made).tensors = {{"weight", *values}, {"bias", std::vector<float>(values->size(), 0.0F)}};
    step(made).name = name_for(node, {0, 1});
    set(node, Flow{made, held.shape, nullptr, Stage::none, 1, 0, nullptr, ""});
    return {};
  }
  return refuse(fmt::format("it multiplies {} by a constant {}",
                            onnx::text_of(held.shape),
                            onnx::text_of(constant.shape)),
                "values are multiplied per channel, or by one number inside attention and gelu");
}

Result<void> Importer::power(const Node& node) {
  CHORUS_TRY(Flow held, flow(node, 0));
  CHORUS_TRY(const Constant exponent, need_constant(node, 1, "its exponent"));
  const bool square = exponent->size() == 1 && exponent->at(0) == 2.0;
  if (held.stage != Stage::centred || !square) {
    return refuse("a power of a value", "squares appear in layer norm only");
  }
  held.stage = Stage::squared;
  set(node, std::move(held));
  return {};
}

Result<void> Importer::square_root(const Node& node) {
  CHORUS_TRY(Flow held, flow(node, 0));
  if (held.stage != Stage::variance) {
    return refuse("a square root of a value", "square roots appear in layer norm only");
  }
  held.stage = Stage::deviation;
  set(node, std::move(held));
  return {};
}

Result<void> Importer::erf(const Node& node) {
  CHORUS_TRY(Flow held, flow(node, 0));
  if (held.stage != Stage::scaled || !near(held.number, std::sqrt(0.5))) {
    return refuse("an error function", "it appears in gelu only: x·(1 + erf(x / √2)) / 2");
  }
  held.stage = Stage::erf;
  set(node, std::move(held));
  return {};
}

Result<void> Importer::reduce_mean(const Node& node) {
  CHORUS_TRY(Flow held, flow(node, 0));
  CHORUS_TRY(auto axes, axes_of(node, 1));
  const auto rank = static_cast<std::int64_t>(held.shape.size());
  for (auto& axis : axes) axis = axis < 0 ? axis + rank : axis;
  std::sort(axes.begin(), axes.end());
  const bool keeps = node.whole("keepdims", 1) != 0;
  const bool last = axes == std::vector<std::int64_t>{rank - 1};
  if (held.stage == Stage::squared && last && keeps) {
    held.stage = Stage::variance;
    set(node, std::move(held));
    return {};
  }
  if (held.stage != Stage::none) return unfinished(held);
  CHORUS_TRY(std::size_t input, plain(held, node));
  held = Flow{input, shape_with_batch(step(input).shape), nullptr, Stage::none, 1, 0, nullptr, ""};
  const Sides shape = step(input).shape;
  if (last && keeps) {
    held.stage = Stage::mean;
    set(node, std::move(held));
    return {};
  }
  const bool steps_mean = shape.size() == 2 && axes == std::vector<std::int64_t>{1};
  std::vector<std::int64_t> positions;
  for (std::int64_t axis = 2; axis < rank; ++axis) positions.push_back(axis);
  if (!steps_mean && (positions.empty() || axes != positions)) {
    return refuse(
        fmt::format(
            "a mean over the axes [{}] of {}", fmt::join(axes, ", "), onnx::text_of(held.shape)),
        "means are taken over all positions, or over all steps");
  }
  if (steps_mean) input = emit(Transpose{}, {input}, {shape[1], shape[0]}, node);
  const std::uint64_t channels = step(input).shape[0];
  const std::size_t made = emit(GlobalAvgPool{}, {input}, {channels}, node);
  Shape after = held.shape;
  for (const std::int64_t axis : axes) after[static_cast<std::size_t>(axis)] = 1;
  if (!keeps) after = shape_with_batch({channels});
  set(node, Flow{made, after, nullptr, Stage::none, 1, 0, nullptr, ""});
  return {};
}

}  // namespace chorus::onnx
