// Convolutions in one and two dimensions, on oneDNN: it chooses the layouts, because blocked ones
// are several times faster, and the copies between layouts are steps of their own.
#include "chorus/kernels/training.hpp"
#include "client/train/tape/describe.hpp"
#include "client/train/tape/layers.hpp"

namespace chorus::train {
namespace {

using Shape = describe::Convolution;

// Fewer channels leave most of a vector of bf16 pairs empty.
constexpr std::int64_t kRoundedChannels = 16;

template <class L>
Shape shape_of(const Graph& graph, const L& layer, const Dims& input) {
  const auto dim = [](std::uint64_t value) { return static_cast<std::int64_t>(value); };
  const std::size_t rank = input.size() - 2;
  const std::int64_t groups = dim(layer.groups);
  Shape s;
  s.in = input;
  if (groups > 1) s.weight.push_back(groups);
  s.weight.push_back(dim(layer.channels) / groups);
  s.weight.push_back(input[1] / groups);
  s.weight.insert(s.weight.end(), rank, dim(layer.kernel));
  if (layer.bias) s.bias = {dim(layer.channels)};
  s.strides.assign(rank, dim(layer.stride));
  s.dilates.assign(rank, dim(layer.dilation) - 1);
  s.padding.assign(rank, dim(layer.padding));
  if (graph.rounds_factors() && input[1] / groups >= kRoundedChannels &&
      dim(layer.channels) / groups >= kRoundedChannels) {
    s.factors = memory::data_type::bf16;
  }
  s.out = {input[0], dim(layer.channels)};
  const std::int64_t reach = (dim(layer.kernel) - 1) * dim(layer.dilation) + 1;
  for (std::size_t i = 0; i < rank; ++i) {
    s.out.push_back((input[2 + i] + 2 * s.padding[i] - reach) / s.strides[i] + 1);
  }
  return s;
}

// One convolution, and what its backward pass needs of the forward pass.
struct Convolution {
  Shape shape;
  dnnl::convolution_forward::primitive_desc forward;
  Value input;   // as the layer before left it
  Value source;  // the same in forward's layout
  Value weight;  // plain, the parameters themselves
  Value packed;  // the same in forward's layout
  Value output;
  Tensor weight_tensor;
  Tensor bias_tensor;
};

Convolution convolve(Graph& graph,
                     const Shape& shape,
                     const Value& input,
                     const Tensor& weight,
                     const Tensor& bias) {
  const auto forward = describe::forward(graph, shape);
  Convolution conv{shape, forward, input, {}, {}, {}, {}, weight, bias};
  conv.source = graph.converted(Pass::forward, conv.input, forward.src_desc());
  conv.weight = graph.view(weight.value, plain(shape.weight));
  conv.packed = graph.converted(Pass::forward, conv.weight, forward.weights_desc());
  conv.output = graph.make(forward.dst_desc());
  Graph::Bindings bindings = {
      {DNNL_ARG_SRC, conv.source}, {DNNL_ARG_WEIGHTS, conv.packed}, {DNNL_ARG_DST, conv.output}};
  if (bias.value) bindings.emplace_back(DNNL_ARG_BIAS, bias.value);
  graph.step<dnnl::convolution_forward>(Pass::forward, forward, std::move(bindings));
  return conv;
}

void add_weight_gradient(Graph& graph, const Convolution& conv, const Value& gradient) {
  const auto desc = describe::backward_weights(graph, conv.shape, conv.forward);
  // The input may be wanted in another layout than forwards.
  const bool same = desc.src_desc() == conv.source.desc;
  const Value source =
      same ? conv.source : graph.converted(Pass::backward, conv.input, desc.src_desc());
  const Value target = graph.view(conv.weight_tensor.gradient, plain(conv.shape.weight));
  const bool direct = desc.diff_weights_desc() == target.desc;
  const Value made = direct ? target : graph.make(desc.diff_weights_desc());
  Graph::Bindings bindings = {
      {DNNL_ARG_SRC, source},
      {DNNL_ARG_DIFF_DST, graph.converted(Pass::backward, gradient, desc.diff_dst_desc())},
      {DNNL_ARG_DIFF_WEIGHTS, made}};
  if (conv.bias_tensor.value) {
    bindings.emplace_back(DNNL_ARG_DIFF_BIAS, conv.bias_tensor.gradient);
  }
  graph.step<dnnl::convolution_backward_weights>(Pass::backward, desc, std::move(bindings));
  if (!direct) graph.convert(Pass::backward, made, target);
}

// `gradient` becomes what it was converted to, for the weights' sake.
Value add_input_gradient(Graph& graph, const Convolution& conv, Value& gradient) {
  const auto desc = describe::backward_data(graph, conv.shape, conv.forward);
  gradient = graph.converted(Pass::backward, gradient, desc.diff_dst_desc());
  const bool same = desc.weights_desc() == conv.packed.desc;
  const Value weight =
      same ? conv.packed : graph.converted(Pass::backward, conv.weight, desc.weights_desc());
  const Value result = graph.make(desc.diff_src_desc());
  graph.step<dnnl::convolution_backward_data>(
      Pass::backward,
      desc,
      {{DNNL_ARG_WEIGHTS, weight}, {DNNL_ARG_DIFF_DST, gradient}, {DNNL_ARG_DIFF_SRC, result}});
  return result;
}

// The gradient of the input, if wanted, and those of the tensors that are trained.
Value go_back(Graph& graph, const Convolution& conv, Value gradient, bool wanted) {
  const Value result = wanted ? add_input_gradient(graph, conv, gradient) : Value{};
  if (conv.weight_tensor.trained || conv.bias_tensor.trained) {
    add_weight_gradient(graph, conv, gradient);
  }
  return result;
}

// value ← factor · value, where it lies.
void scale(Graph& graph, Pass pass, const Value& value, float factor) {
  const std::size_t count = value.desc.get_size() / sizeof(float);
  graph.step(pass, {value}, [=, &graph] { kernels::scale_f32(factor, {graph.at(value), count}); });
}

// Beside `main`: x → `rank` channels by the same windows → all channels by 1 × 1, times alpha /
// rank.
template <class L>
void add_adapter(Graph& graph, const L& layer, const Convolution& main, const Place& place) {
  const auto rank = static_cast<std::int64_t>(layer.lora_rank);
  const auto factor = static_cast<float>(lora_scale(layer));
  Shape down = main.shape;
  down.weight[0] = down.out[1] = rank;
  down.bias.clear();
  down.factors = memory::data_type::f32;  // narrow
  Shape up = down;
  up.in = down.out;
  up.out = main.shape.out;
  up.weight.assign(up.weight.size(), 1);
  up.weight[0] = up.out[1];
  up.weight[1] = rank;
  up.strides.assign(up.strides.size(), 1);
  up.dilates.assign(up.dilates.size(), 0);
  up.padding.assign(up.padding.size(), 0);
  const std::size_t first = layer.bias ? 2 : 1;
  const Convolution a = convolve(graph, down, main.input, place.tensors[first], {});
  scale(graph, Pass::forward, a.output, factor);
  const Convolution b = convolve(graph, up, a.output, place.tensors[first + 1], {});
  graph.current = graph.sum(Pass::forward, main.output, b.output);
  graph.on_backward(
      [=, &graph](const Value& gradient, bool wanted) {
        const Value hidden = go_back(graph, b, gradient, true);
        scale(graph, Pass::backward, hidden, factor);
        const Value through = go_back(graph, a, hidden, wanted);
        return graph.sum(Pass::backward, go_back(graph, main, gradient, wanted), through);
      },
      true);
}

template <class L>
void add_convolution(Graph& graph, const L& layer, const Place& place) {
  const Shape shape = shape_of(graph, layer, graph.current.dims());
  const Tensor bias = layer.bias ? place.tensors[1] : Tensor{};
  const Convolution conv = convolve(graph, shape, graph.current, place.tensors[0], bias);
  if (layer.lora_rank > 0) return add_adapter(graph, layer, conv, place);
  graph.current = conv.output;
  graph.on_backward([&graph, conv](const Value& gradient,
                                   bool wanted) { return go_back(graph, conv, gradient, wanted); },
                    true);
}

}  // namespace

void add_layer(Graph& graph, const Conv2d& layer, const Place& place) {
  add_convolution(graph, layer, place);
}

void add_layer(Graph& graph, const Conv1d& layer, const Place& place) {
  add_convolution(graph, layer, place);
}

}  // namespace chorus::train
