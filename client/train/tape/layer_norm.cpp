// Layer norm, on oneDNN.
#include "client/train/tape/describe.hpp"
#include "client/train/tape/layers.hpp"

namespace chorus::train {
namespace {

/// What the forward pass leaves for the backward one.
struct Normalised {
  Value x, mean, variance;
};

Graph::Bindings back(const Normalised& of,
                     const Tensor& weight,
                     const Tensor& bias,
                     const Value& dy,
                     const Value& dx) {
  return {{DNNL_ARG_SRC, of.x},
          {DNNL_ARG_MEAN, of.mean},
          {DNNL_ARG_VARIANCE, of.variance},
          {DNNL_ARG_SCALE, weight.value},
          {DNNL_ARG_SHIFT, bias.value},  // unused, but 2.6 counts it
          {DNNL_ARG_DIFF_DST, dy},
          {DNNL_ARG_DIFF_SRC, dx},
          {DNNL_ARG_DIFF_SCALE, weight.gradient},
          {DNNL_ARG_DIFF_SHIFT, bias.gradient}};
}

}  // namespace

void add_layer(Graph& graph, const LayerNorm& layer, const Place& place) {
  const Value x = graph.rows(Pass::forward, graph.current);
  Dims rows = x.dims();
  rows.pop_back();
  const describe::LayerNorm norm{x.desc, rows, static_cast<float>(layer.epsilon)};
  const auto forward = describe::forward(graph, norm);
  const Tensor weight = place.tensors[0];
  const Tensor bias = place.tensors[1];
  const Value y = graph.make(x.desc);
  Graph::Bindings bindings = {{DNNL_ARG_SRC, x},
                              {DNNL_ARG_SCALE, weight.value},
                              {DNNL_ARG_SHIFT, bias.value},
                              {DNNL_ARG_DST, y}};
  Value mean;
  Value variance;
  if (graph.training()) {
    mean = graph.make(rows);
    variance = graph.make(rows);
    bindings.emplace_back(DNNL_ARG_MEAN, mean);
    bindings.emplace_back(DNNL_ARG_VARIANCE, variance);
  }
  graph.step<dnnl::layer_normalization_forward>(Pass::forward, forward, std::move(bindings));
  graph.current = y;
  graph.on_backward(
      [=, &graph](const Value& gradient, bool) {
        const Value dy = graph.rows(Pass::backward, gradient);
        const Value dx = graph.make(x.desc);
        graph.step<dnnl::layer_normalization_backward>(
            Pass::backward,
            describe::backward(graph, norm, forward),
            back({x, mean, variance}, weight, bias, dy, dx));
        return dx;
      },
      true);
}

}  // namespace chorus::train
