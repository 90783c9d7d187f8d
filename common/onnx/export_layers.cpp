#include "common/onnx/export_layers.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "common/base/assert.hpp"
#include "common/tensor/layer_names.hpp"

namespace chorus::onnx {
namespace {

using Wholes = std::vector<std::int64_t>;

std::int64_t whole(std::uint64_t number) {
  return static_cast<std::int64_t>(number);
}

Wholes times(std::size_t count, std::uint64_t value) {
  return Wholes(count, whole(value));
}

}  // namespace

LayerWriter::LayerWriter(GraphWriter& graph,
                         const TensorLayout& layout,
                         std::span<const float> parameters)
    : graph_(graph), layout_(layout), parameters_(parameters) {}

Result<void> LayerWriter::write(const Layer& layer,
                                const std::string& name,
                                const Shape& in,
                                const Shape& out) {
  name_ = name;
  kind_ = tensor::kind_of(layer);
  graph_.begin_layer(name.empty() ? std::string(kind_) : name);
  return std::visit([&](const auto& one) { return put(one, Place{in, out}); }, layer);
}

template <class L>
Result<void> LayerWriter::put(const L&, const Place&) {
  return fail(errc::unsupported_feature,
              fmt::format("layers of kind {} have no form in ONNX; export as safetensors", kind_));
}

const TensorSpec& LayerWriter::spec(std::string_view part) const {
  const std::string full = fmt::format("{}.{}", name_, part);
  const auto found = std::find_if(layout_.tensors.begin(),
                                  layout_.tensors.end(),
                                  [&full](const TensorSpec& one) { return one.name == full; });
  CHORUS_ASSERT(found != layout_.tensors.end());  // a layer has the tensors of its layout
  return *found;
}

std::span<const float> LayerWriter::values(std::string_view part) const {
  const TensorSpec& found = spec(part);
  return parameters_.subspan(found.offset, found.count);
}

std::string LayerWriter::tensor(std::string_view part) {
  const TensorSpec& found = spec(part);
  return graph_.tensor(found.name, found.shape, values(part));
}

// {c} as {c, 1, …}: one value per channel of an image or sequence.
std::string LayerWriter::per_channel(std::string_view part, std::size_t rank) {
  std::string name = tensor(part);
  if (rank == 1) return name;
  Wholes axes;
  for (std::size_t i = 1; i < rank; ++i) axes.push_back(whole(i));
  return graph_.add("Unsqueeze", {name, graph_.wholes(axes)});
}

void LayerWriter::reshape(const Shape& shape) {
  Wholes sides{0};  // the batch stays
  for (const std::uint64_t side : shape) sides.push_back(whole(side));
  current = graph_.add("Reshape", {current, graph_.wholes(sides)});
}

// W + factor·B·A, each row flat: what whoever runs the model does not have to know of.
template <class L>
std::string LayerWriter::merged(const L& layer, std::string_view part, std::string_view prefix) {
  if (layer.lora_rank == 0) return tensor(part);
  const TensorSpec& base = spec(part);
  const auto own = values(part);
  const auto down = values(fmt::format("{}lora_A", prefix));
  const auto up = values(fmt::format("{}lora_B", prefix));
  const std::size_t rank = layer.lora_rank;
  const std::size_t width = down.size() / rank;
  const double factor = lora_scale(layer);
  std::vector<float> sum(own.size());
  for (std::size_t i = 0; i < sum.size(); ++i) {
    double product = 0.0;
    for (std::size_t r = 0; r < rank; ++r) {
      product += double{up[i / width * rank + r]} * double{down[r * width + i % width]};
    }
    sum[i] = static_cast<float>(double{own[i]} + factor * product);
  }
  return graph_.tensor(base.name, base.shape, sum);
}

std::string LayerWriter::rows_times(const std::string& value, const std::string& weight) {
  const std::string turned = graph_.add("Transpose", {weight}, {{"perm", Wholes{1, 0}}});
  return graph_.add("MatMul", {value, turned});
}

Result<void> LayerWriter::put(const Dense& layer, const Place& at) {
  if (at.in.size() == 1) {
    GraphWriter::Names inputs{current, merged(layer, "weight", "")};
    if (layer.bias) inputs.push_back(tensor("bias"));
    current = graph_.add("Gemm", inputs, {{"transB", std::int64_t{1}}});
    return {};
  }
  current = rows_times(current, merged(layer, "weight", ""));
  if (layer.bias) current = graph_.add("Add", {current, tensor("bias")});
  return {};
}

template <class Conv>
void LayerWriter::convolution(const Conv& layer, std::size_t sides) {
  GraphWriter::Names inputs{current, merged(layer, "weight", "")};
  if (layer.bias) inputs.push_back(tensor("bias"));
  current = graph_.add("Conv",
                       inputs,
                       {{"kernel_shape", times(sides, layer.kernel)},
                        {"strides", times(sides, layer.stride)},
                        {"pads", times(2 * sides, layer.padding)},
                        {"dilations", times(sides, layer.dilation)},
                        {"group", whole(layer.groups)}});
}
Result<void> LayerWriter::put(const Conv2d& layer, const Place&) {
  return convolution(layer, 2), Result<void>();
}
Result<void> LayerWriter::put(const Conv1d& layer, const Place&) {
  return convolution(layer, 1), Result<void>();
}

template <class Pool>
void LayerWriter::pool(std::string_view op, const Pool& layer, std::size_t sides) {
  GraphWriter::Attributes attributes{{"kernel_shape", times(sides, layer.kernel)},
                                     {"strides", times(sides, layer.stride)},
                                     {"pads", times(2 * sides, layer.padding)}};
  if (op == "AveragePool") attributes.emplace_back("count_include_pad", std::int64_t{1});
  current = graph_.add(op, {current}, attributes);
}
Result<void> LayerWriter::put(const MaxPool2d& layer, const Place&) {
  return pool("MaxPool", layer, 2), Result<void>();
}
Result<void> LayerWriter::put(const MaxPool1d& layer, const Place&) {
  return pool("MaxPool", layer, 1), Result<void>();
}
Result<void> LayerWriter::put(const AvgPool2d& layer, const Place&) {
  return pool("AveragePool", layer, 2), Result<void>();
}
Result<void> LayerWriter::put(const AvgPool1d& layer, const Place&) {
  return pool("AveragePool", layer, 1), Result<void>();
}

Result<void> LayerWriter::put(const GlobalAvgPool&, const Place&) {
  current = graph_.add("GlobalAveragePool", {current});
  current = graph_.add("Flatten", {current}, {{"axis", std::int64_t{1}}});
  return {};
}

Result<void> LayerWriter::put(const GlobalMaxPool&, const Place&) {
  current = graph_.add("GlobalMaxPool", {current});
  current = graph_.add("Flatten", {current}, {{"axis", std::int64_t{1}}});
  return {};
}

Result<void> LayerWriter::put(const Relu&, const Place&) {
  current = graph_.add("Relu", {current});
  return {};
}
Result<void> LayerWriter::put(const LeakyRelu& layer, const Place&) {
  current = graph_.add("LeakyRelu", {current}, {{"alpha", static_cast<float>(layer.slope)}});
  return {};
}
Result<void> LayerWriter::put(const Tanh&, const Place&) {
  current = graph_.add("Tanh", {current});
  return {};
}
Result<void> LayerWriter::put(const Sigmoid&, const Place&) {
  current = graph_.add("Sigmoid", {current});
  return {};
}
Result<void> LayerWriter::put(const Softmax&, const Place&) {
  current = graph_.add("Softmax", {current}, {{"axis", std::int64_t{-1}}});
  return {};
}
// x·(1 + erf(x / √2)) / 2: opset 17 has no operator for it.
Result<void> LayerWriter::put(const Gelu&, const Place&) {
  const std::string scaled =
      graph_.add("Div", {current, graph_.number(static_cast<float>(std::sqrt(2.0)))});
  const std::string error = graph_.add("Erf", {scaled});
  const std::string sum = graph_.add("Add", {error, graph_.number(1.0F)});
  const std::string twice = graph_.add("Mul", {current, sum});
  current = graph_.add("Mul", {twice, graph_.number(0.5F)});
  return {};
}
Result<void> LayerWriter::put(const Silu&, const Place&) {
  const std::string gate = graph_.add("Sigmoid", {current});
  current = graph_.add("Mul", {current, gate});
  return {};
}

Result<void> LayerWriter::put(const BatchNorm& layer, const Place&) {
  current = graph_.add(
      "BatchNormalization",
      {current, tensor("weight"), tensor("bias"), tensor("running_mean"), tensor("running_var")},
      {{"epsilon", static_cast<float>(layer.epsilon)},
       {"momentum", static_cast<float>(1.0 - layer.momentum)}});
  return {};
}
Result<void> LayerWriter::put(const LayerNorm& layer, const Place&) {
  current =
      graph_.add("LayerNormalization",
                 {current, tensor("weight"), tensor("bias")},
                 {{"axis", std::int64_t{-1}}, {"epsilon", static_cast<float>(layer.epsilon)}});
  return {};
}
// Instance norm of (batch, groups, rest), then weights per channel: so PyTorch writes it.
Result<void> LayerWriter::put(const GroupNorm& layer, const Place& at) {
  const std::string grouped =
      graph_.add("Reshape", {current, graph_.wholes({0, whole(layer.groups), -1})});
  const std::vector<float> ones(layer.groups, 1.0F);
  const std::vector<float> zeros(layer.groups, 0.0F);
  const std::string scale = graph_.tensor(name_ + ".ones", {layer.groups}, ones);
  const std::string shift = graph_.tensor(name_ + ".zeros", {layer.groups}, zeros);
  current = graph_.add("InstanceNormalization",
                       {grouped, scale, shift},
                       {{"epsilon", static_cast<float>(layer.epsilon)}});
  reshape(at.in);
  current = graph_.add("Mul", {current, per_channel("weight", at.in.size())});
  current = graph_.add("Add", {current, per_channel("bias", at.in.size())});
  return {};
}
Result<void> LayerWriter::put(const ScaleShift&, const Place& at) {
  current = graph_.add("Mul", {current, per_channel("weight", at.in.size())});
  current = graph_.add("Add", {current, per_channel("bias", at.in.size())});
  return {};
}
// Outside training it does nothing; whoever trains the exported model finds it there.
Result<void> LayerWriter::put(const Dropout& layer, const Place&) {
  current = graph_.add("Dropout", {current, graph_.number(static_cast<float>(layer.rate))});
  return {};
}

Result<void> LayerWriter::put(const Embedding&, const Place&) {
  current = graph_.add("Gather", {tensor("weight"), current}, {{"axis", std::int64_t{0}}});
  return {};
}
Result<void> LayerWriter::put(const PositionEmbedding&, const Place&) {
  current = graph_.add("Add", {current, tensor("weight")});
  return {};
}

Result<void> LayerWriter::put(const Flatten&, const Place&) {
  current = graph_.add("Flatten", {current}, {{"axis", std::int64_t{1}}});
  return {};
}
Result<void> LayerWriter::put(const Reshape&, const Place& at) {
  return reshape(at.out), Result<void>();
}
Result<void> LayerWriter::put(const Transpose&, const Place&) {
  current = graph_.add("Transpose", {current}, {{"perm", Wholes{0, 2, 1}}});
  return {};
}
Result<void> LayerWriter::put(const Mark& layer, const Place&) {
  marks_[layer.name] = current;
  return {};
}
Result<void> LayerWriter::put(const Branch& layer, const Place&) {
  current = marks_[layer.from];
  return {};
}
Result<void> LayerWriter::put(const Add& layer, const Place&) {
  current = graph_.add("Add", {current, marks_[layer.with]});
  return {};
}
Result<void> LayerWriter::put(const Concat& layer, const Place&) {
  current = graph_.add("Concat", {current, marks_[layer.with]}, {{"axis", std::int64_t{1}}});
  return {};
}

// ---- sequences ----

// W, R and B of one level, gates in ONNX's order.
template <class Cell>
GraphWriter::Names LayerWriter::cell_weights(const Cell& layer,
                                             std::uint64_t level,
                                             const std::vector<std::size_t>& gates) {
  const std::uint64_t directions = layer.bidirectional ? 2 : 1;
  std::vector<float> w;
  std::vector<float> r;
  std::vector<float> b;
  const auto append = [&](const std::string& part, std::vector<float>& into) {
    const std::span<const float> all = values(part);
    const std::size_t each = all.size() / gates.size();
    for (const std::size_t gate : gates) {
      const auto rows = all.subspan(gate * each, each);
      into.insert(into.end(), rows.begin(), rows.end());
    }
  };
  for (std::uint64_t direction = 0; direction < directions; ++direction) {
    const std::string tail = fmt::format("_l{}{}", level, direction == 0 ? "" : "_reverse");
    append("weight_ih" + tail, w);
    append("weight_hh" + tail, r);
    append("bias_ih" + tail, b);
    append("bias_hh" + tail, b);
  }
  const std::uint64_t rows = gates.size() * layer.units;
  const std::string stem = fmt::format("{}.l{}", name_, level);
  return {graph_.tensor(stem + ".W", {directions, rows, w.size() / (directions * rows)}, w),
          graph_.tensor(stem + ".R", {directions, rows, layer.units}, r),
          graph_.tensor(stem + ".B", {directions, 2 * rows}, b)};
}

template <class Cell>
void LayerWriter::recurrent(std::string_view op,
                            const Cell& layer,
                            const std::vector<std::size_t>& gates) {
  const GraphWriter::Attributes to_steps{{"perm", Wholes{1, 0, 2}}};
  GraphWriter::Attributes attributes{
      {"hidden_size", whole(layer.units)},
      {"direction", std::string(layer.bidirectional ? "bidirectional" : "forward")}};
  if (op == "GRU") attributes.emplace_back("linear_before_reset", std::int64_t{1});
  current = graph_.add("Transpose", {current}, to_steps);
  for (std::uint64_t level = 0; level < layer.depth; ++level) {
    const auto weights = cell_weights(layer, level, gates);
    const auto made = graph_.add(op, {current, weights[0], weights[1], weights[2]}, attributes, 2);
    if (level + 1 == layer.depth && !layer.sequence) {  // (directions, batch, units)
      current = graph_.add("Transpose", {made[1]}, to_steps);
      current = graph_.add("Flatten", {current}, {{"axis", std::int64_t{1}}});
      return;
    }
    // (steps, directions, batch, units) → (steps, batch, directions · units)
    current = graph_.add("Transpose", {made[0]}, {{"perm", Wholes{0, 2, 1, 3}}});
    current = graph_.add("Reshape", {current, graph_.wholes({0, 0, -1})});
  }
  current = graph_.add("Transpose", {current}, to_steps);
}

Result<void> LayerWriter::put(const Lstm& layer, const Place&) {
  return recurrent("LSTM", layer, {0, 3, 1, 2}), Result<void>();  // i f g o → i o f c
}
Result<void> LayerWriter::put(const Gru& layer, const Place&) {
  return recurrent("GRU", layer, {1, 0, 2}), Result<void>();  // r z n → z r h
}

Result<void> LayerWriter::put(const SelfAttention& layer, const Place& at) {
  const std::uint64_t steps = at.in[0];
  const std::uint64_t width = at.in[1] / layer.heads;
  std::string all = rows_times(current, merged(layer, "in_proj_weight", "in_proj_"));
  all = graph_.add("Add", {all, tensor("in_proj_bias")});
  const Wholes parts{0, whole(steps), 3, whole(layer.heads), whole(width)};
  all = graph_.add("Reshape", {all, graph_.wholes(parts)});
  all = graph_.add("Transpose", {all}, {{"perm", Wholes{2, 0, 3, 1, 4}}});
  const auto part = [&](std::int64_t index) {
    const std::string one =
        graph_.add("Gather", {all, graph_.wholes({index})}, {{"axis", std::int64_t{0}}});
    return graph_.add("Squeeze", {one, graph_.wholes({0})});
  };
  const std::string query = part(0);
  const std::string key = graph_.add("Transpose", {part(1)}, {{"perm", Wholes{0, 1, 3, 2}}});
  const std::string value = part(2);
  std::string scores = graph_.add("MatMul", {query, key});
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(width)));
  scores = graph_.add("Mul", {scores, graph_.number(scale)});
  if (layer.causal) {
    std::vector<float> mask(steps * steps, 0.0F);
    for (std::uint64_t i = 0; i < mask.size(); ++i) {
      if (i % steps > i / steps) mask[i] = -std::numeric_limits<float>::infinity();
    }
    scores = graph_.add("Add", {scores, graph_.tensor(name_ + ".mask", {steps, steps}, mask)});
  }
  const std::string shares = graph_.add("Softmax", {scores}, {{"axis", std::int64_t{-1}}});
  current = graph_.add("MatMul", {shares, value});
  current = graph_.add("Transpose", {current}, {{"perm", Wholes{0, 2, 1, 3}}});
  reshape(at.in);
  current = rows_times(current, merged(layer, "out_proj.weight", "out_proj."));
  current = graph_.add("Add", {current, tensor("out_proj.bias")});
  return {};
}

}  // namespace chorus::onnx
