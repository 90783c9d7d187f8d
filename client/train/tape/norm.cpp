// Batch norm and layer norm, on oneDNN.
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

// Training: the batch's mean and variance, which then move the running ones. Evaluation: those.
void add_layer(Graph& graph, const BatchNorm& layer, const Place& place) {
  const Value x = graph.current;
  const Dims dims = x.dims();
  const std::int64_t channels = dims[1];
  const bool training = graph.training();
  const auto epsilon = static_cast<float>(layer.epsilon);
  const dnnl::batch_normalization_forward::primitive_desc forward(
      {graph.kind(), x.desc, epsilon, training ? affine() : affine() | Flags::use_global_stats},
      graph.attributes(),
      graph.engine());
  const Tensor weight = place.tensors[0];
  const Tensor bias = place.tensors[1];
  const Value running_mean = place.tensors[2].value;
  const Value running_var = place.tensors[3].value;
  const Value mean = training ? graph.make(Dims{channels}) : running_mean;
  const Value variance = training ? graph.make(Dims{channels}) : running_var;
  const Value y = graph.make(x.desc);
  graph.step(Pass::forward,
             dnnl::batch_normalization_forward(forward),
             {{DNNL_ARG_SRC, x},
              {DNNL_ARG_MEAN, mean},
              {DNNL_ARG_VARIANCE, variance},
              {DNNL_ARG_SCALE, weight.value},
              {DNNL_ARG_SHIFT, bias.value},
              {DNNL_ARG_DST, y},
              {DNNL_ARG_SCRATCHPAD, {-1, forward.scratchpad_desc(), false}}});
  graph.current = y;
  if (!training) return;
  const auto count = static_cast<double>(elements(dims)) / static_cast<double>(channels);
  const auto share = static_cast<float>(layer.momentum);
  // The running variance is the unbiased one; a single value has none and leaves it alone.
  const bool has_variance = count > 1.0;
  const auto unbiased = static_cast<float>(has_variance ? count / (count - 1.0) : 0.0);
  graph.step(Pass::forward, {mean, variance}, [=, &graph] {
    const float* const now_mean = graph.at(mean);
    const float* const now_var = graph.at(variance);
    float* const old_mean = graph.at(running_mean);
    float* const old_var = graph.at(running_var);
    for (std::int64_t c = 0; c < channels; ++c) {
      old_mean[c] += share * (now_mean[c] - old_mean[c]);
      if (has_variance) old_var[c] += share * (unbiased * now_var[c] - old_var[c]);
    }
  });
  graph.on_backward(
      [=, &graph](const Value& gradient, bool) {
        const Value dy = graph.converted(Pass::backward, gradient, x.desc);
        const Value dx = graph.make(x.desc);
        const dnnl::batch_normalization_backward::primitive_desc desc(
            {dnnl::prop_kind::backward, x.desc, x.desc, epsilon, affine()},
            graph.attributes(),
            graph.engine(),
            forward);
        graph.step(Pass::backward,
                   dnnl::batch_normalization_backward(desc),
                   back({x, mean, variance}, weight, bias, dy, dx, desc.scratchpad_desc()));
        return dx;
      },
      true);
}

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
