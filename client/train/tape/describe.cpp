#include "client/train/tape/describe.hpp"

#include <vector>

namespace chorus::train::describe {
namespace {

using kernels::ChannelLayout;

constexpr auto kDirect = dnnl::algorithm::convolution_direct;

dnnl::normalization_flags affine() {
  return dnnl::normalization_flags::use_scale | dnnl::normalization_flags::use_shift;
}

/// An empty description is no bias.
memory::desc bias_of(const Convolution& c) {
  return c.bias.empty() ? memory::desc() : plain(c.bias);
}

/// Whether one number follows the other in memory in this order of dimensions, from the innermost.
bool dense(const dnnl_memory_desc_t& desc, const std::vector<int>& order, std::int64_t step) {
  for (const int d : order) {
    const bool blocked = d == 1 && desc.format_desc.blocking.inner_nblks == 1;
    if (desc.format_desc.blocking.strides[d] != step) return false;
    step *= blocked ? desc.padded_dims[1] / desc.format_desc.blocking.inner_blks[0] : desc.dims[d];
  }
  return true;
}

}  // namespace

dnnl::convolution_forward::primitive_desc forward(const Graph& graph, const Convolution& c) {
  const dnnl::convolution_forward::desc desc(graph.kind(),
                                             kDirect,
                                             any_layout(c.in, c.factors),
                                             any_layout(c.weight, c.factors),
                                             bias_of(c),
                                             any_layout(c.out),
                                             c.strides,
                                             c.dilates,
                                             c.padding,
                                             c.padding);
  return {desc, graph.attributes(), graph.engine()};
}

dnnl::convolution_backward_data::primitive_desc backward_data(
    const Graph& graph,
    const Convolution& c,
    const dnnl::convolution_forward::primitive_desc& forward) {
  const dnnl::convolution_backward_data::desc desc(kDirect,
                                                   any_layout(c.in),
                                                   any_layout(c.weight, c.factors),
                                                   any_layout(c.out, c.factors),
                                                   c.strides,
                                                   c.dilates,
                                                   c.padding,
                                                   c.padding);
  return {desc, graph.attributes(), graph.engine(), forward};
}

dnnl::convolution_backward_weights::primitive_desc backward_weights(
    const Graph& graph,
    const Convolution& c,
    const dnnl::convolution_forward::primitive_desc& forward) {
  const dnnl::convolution_backward_weights::desc desc(kDirect,
                                                      any_layout(c.in, c.factors),
                                                      any_layout(c.weight),
                                                      bias_of(c),
                                                      any_layout(c.out, c.factors),
                                                      c.strides,
                                                      c.dilates,
                                                      c.padding,
                                                      c.padding);
  return {desc, graph.attributes(), graph.engine(), forward};
}

dnnl::pooling_forward::primitive_desc forward(const Graph& graph,
                                              dnnl::algorithm algorithm,
                                              const Windows& w,
                                              const memory::desc& in,
                                              const Dims& out) {
  const dnnl::pooling_forward::desc desc(
      graph.kind(), algorithm, in, any_layout(out), w.strides, w.kernel, w.padding, w.padding);
  return {desc, graph.attributes(), graph.engine()};
}

dnnl::pooling_backward::primitive_desc backward(
    const Graph& graph,
    dnnl::algorithm algorithm,
    const Windows& w,
    const memory::desc& in,
    const memory::desc& out,
    const dnnl::pooling_forward::primitive_desc& forward) {
  const dnnl::pooling_backward::desc desc(
      algorithm, in, out, w.strides, w.kernel, w.padding, w.padding);
  return {desc, graph.attributes(), graph.engine(), forward};
}

dnnl::eltwise_forward::primitive_desc forward(const Graph& graph,
                                              dnnl::algorithm algorithm,
                                              const memory::desc& x) {
  const dnnl::eltwise_forward::desc desc(graph.kind(), algorithm, x, 1.0F);
  return {desc, graph.attributes(), graph.engine()};
}

dnnl::eltwise_backward::primitive_desc backward(
    const Graph& graph,
    dnnl::algorithm algorithm,
    const memory::desc& x,
    const dnnl::eltwise_forward::primitive_desc& forward) {
  const dnnl::eltwise_backward::desc desc(algorithm, x, x, 1.0F);
  return {desc, graph.attributes(), graph.engine(), forward};
}

dnnl::layer_normalization_forward::primitive_desc forward(const Graph& graph, const LayerNorm& n) {
  const dnnl::layer_normalization_forward::desc desc(
      graph.kind(), n.x, plain(n.rows), n.epsilon, affine());
  return {desc, graph.attributes(), graph.engine()};
}

dnnl::layer_normalization_backward::primitive_desc backward(
    const Graph& graph,
    const LayerNorm& n,
    const dnnl::layer_normalization_forward::primitive_desc& forward) {
  const dnnl::layer_normalization_backward::desc desc(
      dnnl::prop_kind::backward, n.x, n.x, plain(n.rows), n.epsilon, affine());
  return {desc, graph.attributes(), graph.engine(), forward};
}

dnnl::matmul::primitive_desc product(const Graph& graph, const Product& p) {
  const dnnl::matmul::desc desc(p.a, p.b, p.bias, p.c);
  if (!p.adds) return {desc, graph.attributes(), graph.engine()};
  dnnl::primitive_attr adding;  // a copy of the graph's would be the same object
  adding.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops more;
  more.append_sum(1.0F);
  adding.set_post_ops(more);
  return {desc, adding, graph.engine()};
}

std::optional<ChannelLayout> channels_of(const memory::desc& of) {
  const dnnl_memory_desc_t& desc = of.data;
  if (desc.format_kind != dnnl_blocked || desc.offset0 != 0) return std::nullopt;
  const auto& blocking = desc.format_desc.blocking;
  std::vector<int> space;  // innermost first
  std::size_t positions = 1;
  for (int d = desc.ndims - 1; d >= 2; --d) {
    space.push_back(d);
    positions *= static_cast<std::size_t>(desc.dims[d]);
  }
  std::vector<int> outside = space;
  outside.insert(outside.end(), {1, 0});
  ChannelLayout at;
  at.examples = static_cast<std::size_t>(desc.dims[0]);
  at.positions = positions;
  if (blocking.inner_nblks == 1 && blocking.inner_idxs[0] == 1) {
    at.lanes = static_cast<std::size_t>(blocking.inner_blks[0]);
    at.blocks = static_cast<std::size_t>(desc.padded_dims[1]) / at.lanes;
    return dense(desc, outside, blocking.inner_blks[0]) ? std::optional(at) : std::nullopt;
  }
  if (blocking.inner_nblks != 0) return std::nullopt;
  const auto channels = static_cast<std::size_t>(desc.dims[1]);
  std::vector<int> last = {1};
  last.insert(last.end(), space.begin(), space.end());
  last.push_back(0);
  if (dense(desc, last, 1)) {
    at.lanes = channels;
    return at;
  }
  at.blocks = channels;
  return dense(desc, outside, 1) ? std::optional(at) : std::nullopt;
}

Value in_channels(Graph& graph, const Value& value) {
  return channels_of(value.desc) ? value : graph.rows(Pass::forward, value);
}

}  // namespace chorus::train::describe
