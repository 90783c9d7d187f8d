// Convolutions in one and two dimensions, on oneDNN: it chooses the layouts, because blocked ones
// are several times faster, and the copies between layouts are steps of their own.
#include "client/train/tape/layers.hpp"

namespace chorus::train {
namespace {

constexpr auto kDirect = dnnl::algorithm::convolution_direct;

// Everything about one convolution but its primitives.
struct Shape {
  Dims in;
  Dims out;
  Dims weight;  // with a first dimension of groups, if there are several
  Dims bias;
  Dims strides;
  Dims dilates;  // oneDNN counts from 0
  Dims padding;
  bool has_bias = true;

  template <class L>
  Shape(const L& layer, const Dims& input) : in(input), has_bias(layer.bias) {
    const auto dim = [](std::uint64_t value) { return static_cast<std::int64_t>(value); };
    const std::size_t rank = input.size() - 2;
    const std::int64_t groups = dim(layer.groups);
    if (groups > 1) weight.push_back(groups);
    weight.push_back(dim(layer.channels) / groups);
    weight.push_back(in[1] / groups);
    weight.insert(weight.end(), rank, dim(layer.kernel));
    bias = {dim(layer.channels)};
    strides.assign(rank, dim(layer.stride));
    dilates.assign(rank, dim(layer.dilation) - 1);
    padding.assign(rank, dim(layer.padding));
    out = {in[0], dim(layer.channels)};
    const std::int64_t reach = (dim(layer.kernel) - 1) * dim(layer.dilation) + 1;
    for (std::size_t i = 0; i < rank; ++i) {
      out.push_back((in[2 + i] + 2 * padding[i] - reach) / strides[i] + 1);
    }
  }
};

/// An empty description is no bias.
memory::desc bias_of(const Shape& s) {
  return s.has_bias ? plain(s.bias) : memory::desc();
}

dnnl::convolution_forward::primitive_desc describe_forward(Graph& graph, const Shape& s) {
  const dnnl::convolution_forward::desc desc(graph.kind(),
                                             kDirect,
                                             any_layout(s.in),
                                             any_layout(s.weight),
                                             bias_of(s),
                                             any_layout(s.out),
                                             s.strides,
                                             s.dilates,
                                             s.padding,
                                             s.padding);
  return {desc, graph.attributes(), graph.engine()};
}

dnnl::convolution_backward_weights::primitive_desc describe_weights(
    Graph& graph, const Shape& s, const dnnl::convolution_forward::primitive_desc& forward) {
  const dnnl::convolution_backward_weights::desc desc(kDirect,
                                                      any_layout(s.in),
                                                      any_layout(s.weight),
                                                      bias_of(s),
                                                      any_layout(s.out),
                                                      s.strides,
                                                      s.dilates,
                                                      s.padding,
                                                      s.padding);
  return {desc, graph.attributes(), graph.engine(), forward};
}

// What the backward pass needs of the forward pass.
struct Convolution {
  Shape shape;
  dnnl::convolution_forward::primitive_desc forward;
  Value input;   // as the layer before left it
  Value source;  // the same in forward's layout
  Value weight;  // plain, the parameters themselves
  Value packed;  // the same in forward's layout
  Tensor weight_tensor;
  Tensor bias_tensor;
};

void add_weight_gradient(Graph& graph, const Convolution& conv, const Value& gradient) {
  const auto desc = describe_weights(graph, conv.shape, conv.forward);
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
      {DNNL_ARG_DIFF_WEIGHTS, made},
      {DNNL_ARG_SCRATCHPAD, {-1, desc.scratchpad_desc(), false}}};
  if (conv.shape.has_bias) bindings.emplace_back(DNNL_ARG_DIFF_BIAS, conv.bias_tensor.gradient);
  graph.step(Pass::backward, dnnl::convolution_backward_weights(desc), std::move(bindings));
  if (!direct) {
    const dnnl::reorder::primitive_desc unpack(
        graph.engine(), made.desc, graph.engine(), target.desc, graph.attributes());
    graph.step(Pass::backward,
               dnnl::reorder(unpack),
               {{DNNL_ARG_FROM, made},
                {DNNL_ARG_TO, target},
                {DNNL_ARG_SCRATCHPAD, {-1, unpack.scratchpad_desc(), false}}});
  }
}

Value add_input_gradient(Graph& graph, const Convolution& conv, const Value& gradient) {
  const Shape& s = conv.shape;
  const dnnl::convolution_backward_data::primitive_desc desc({kDirect,
                                                              any_layout(s.in),
                                                              any_layout(s.weight),
                                                              any_layout(s.out),
                                                              s.strides,
                                                              s.dilates,
                                                              s.padding,
                                                              s.padding},
                                                             graph.attributes(),
                                                             graph.engine(),
                                                             conv.forward);
  const bool same = desc.weights_desc() == conv.packed.desc;
  const Value weight =
      same ? conv.packed : graph.converted(Pass::backward, conv.weight, desc.weights_desc());
  const Value result = graph.make(desc.diff_src_desc());
  graph.step(Pass::backward,
             dnnl::convolution_backward_data(desc),
             {{DNNL_ARG_WEIGHTS, weight},
              {DNNL_ARG_DIFF_DST, graph.converted(Pass::backward, gradient, desc.diff_dst_desc())},
              {DNNL_ARG_DIFF_SRC, result},
              {DNNL_ARG_SCRATCHPAD, {-1, desc.scratchpad_desc(), false}}});
  return result;
}

template <class L>
void add_convolution(Graph& graph, const L& layer, const Place& place) {
  Shape shape(layer, graph.current.dims());
  const auto forward = describe_forward(graph, shape);
  Convolution conv{shape, forward, graph.current, {}, {}, {}, place.tensors[0], {}};
  conv.source = graph.converted(Pass::forward, conv.input, forward.src_desc());
  conv.weight = graph.view(conv.weight_tensor.value, plain(shape.weight));
  conv.packed = graph.converted(Pass::forward, conv.weight, forward.weights_desc());
  const Value output = graph.make(forward.dst_desc());
  Graph::Bindings bindings = {{DNNL_ARG_SRC, conv.source},
                              {DNNL_ARG_WEIGHTS, conv.packed},
                              {DNNL_ARG_DST, output},
                              {DNNL_ARG_SCRATCHPAD, {-1, forward.scratchpad_desc(), false}}};
  if (shape.has_bias) {
    conv.bias_tensor = place.tensors[1];
    bindings.emplace_back(DNNL_ARG_BIAS, conv.bias_tensor.value);
  }
  graph.step(Pass::forward, dnnl::convolution_forward(forward), std::move(bindings));
  graph.current = output;
  graph.on_backward(
      [&graph, conv](const Value& gradient, bool wanted) {
        const Value result = wanted ? add_input_gradient(graph, conv, gradient) : Value{};
        add_weight_gradient(graph, conv, gradient);
        return result;
      },
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
