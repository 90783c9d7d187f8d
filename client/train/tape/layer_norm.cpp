// Layer norm, on oneDNN.
#include "client/train/tape/layers.hpp"

namespace chorus::train {
namespace {

using Flags = dnnl::normalization_flags;

Flags affine() {
  return Flags::use_scale | Flags::use_shift;
}

/// What the forward pass leaves for the backward one.
struct Normalised {
  Value x, mean, variance;
};

Graph::Bindings back(const Normalised& of,
                     const Tensor& weight,
                     const Tensor& bias,
                     const Value& dy,
                     const Value& dx,
                     const memory::desc& scratchpad) {
  return {{DNNL_ARG_SRC, of.x},
          {DNNL_ARG_MEAN, of.mean},
          {DNNL_ARG_VARIANCE, of.variance},
          {DNNL_ARG_SCALE, weight.value},
          {DNNL_ARG_SHIFT, bias.value},  // unused, but 2.6 counts it
          {DNNL_ARG_DIFF_DST, dy},
          {DNNL_ARG_DIFF_SRC, dx},
          {DNNL_ARG_DIFF_SCALE, weight.gradient},
          {DNNL_ARG_DIFF_SHIFT, bias.gradient},
          {DNNL_ARG_SCRATCHPAD, {-1, scratchpad, false}}};
}

}  // namespace

void add_layer(Graph& graph, const LayerNorm& layer, const Place& place) {
  const Value x = graph.rows(Pass::forward, graph.current);
  Dims rows = x.dims();
  rows.pop_back();
  const auto epsilon = static_cast<float>(layer.epsilon);
  const dnnl::layer_normalization_forward::primitive_desc forward(
      {graph.kind(), x.desc, plain(rows), epsilon, affine()}, graph.attributes(), graph.engine());
  const Tensor weight = place.tensors[0];
  const Tensor bias = place.tensors[1];
  const Value y = graph.make(x.desc);
  Graph::Bindings bindings = {{DNNL_ARG_SRC, x},
                              {DNNL_ARG_SCALE, weight.value},
                              {DNNL_ARG_SHIFT, bias.value},
                              {DNNL_ARG_DST, y},
                              {DNNL_ARG_SCRATCHPAD, {-1, forward.scratchpad_desc(), false}}};
  Value mean;
  Value variance;
  if (graph.training()) {
    mean = graph.make(rows);
    variance = graph.make(rows);
    bindings.emplace_back(DNNL_ARG_MEAN, mean);
    bindings.emplace_back(DNNL_ARG_VARIANCE, variance);
  }
  graph.step(Pass::forward, dnnl::layer_normalization_forward(forward), std::move(bindings));
  graph.current = y;
  graph.on_backward(
      [=, &graph](const Value& gradient, bool) {
        const Value dy = graph.rows(Pass::backward, gradient);
        const Value dx = graph.make(x.desc);
        const dnnl::layer_normalization_backward::primitive_desc desc(
            {dnnl::prop_kind::backward, x.desc, x.desc, mean.desc, epsilon, affine()},
            graph.attributes(),
            graph.engine(),
            forward);
        graph.step(Pass::backward,
                   dnnl::layer_normalization_backward(desc),
                   back({x, mean, variance}, weight, bias, dy, dx, desc.scratchpad_desc()));
        return dx;
      },
      true);
}

}  // namespace chorus::train
