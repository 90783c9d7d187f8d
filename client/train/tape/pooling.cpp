// Pooling, on oneDNN, in whatever layout the values come.
#include "client/train/tape/describe.hpp"
#include "client/train/tape/layers.hpp"

namespace chorus::train {
namespace {

using describe::Windows;

Dims output_dims(const Dims& in, const Windows& w) {
  Dims out = {in[0], in[1]};
  for (std::size_t i = 0; i < w.kernel.size(); ++i) {
    out.push_back((in[2 + i] + 2 * w.padding[i] - w.kernel[i]) / w.strides[i] + 1);
  }
  return out;
}

void add_pooling(Graph& graph, dnnl::algorithm algorithm, const Windows& w) {
  const Value source = graph.current;
  const auto forward =
      describe::forward(graph, algorithm, w, source.desc, output_dims(source.dims(), w));
  const Value output = graph.make(forward.dst_desc());
  Value places;  // where each maximum was found
  Graph::Bindings bindings = {{DNNL_ARG_SRC, source}, {DNNL_ARG_DST, output}};
  if (graph.training() && algorithm == dnnl::algorithm::pooling_max) {
    places = graph.make(forward.workspace_desc());
    bindings.emplace_back(DNNL_ARG_WORKSPACE, places);
  }
  graph.step<dnnl::pooling_forward>(Pass::forward, forward, std::move(bindings));
  graph.current = output;
  graph.on_backward([=, &graph](const Value& gradient, bool wanted) {
    if (!wanted) return Value{};
    const Value result = graph.make(source.desc);
    Graph::Bindings back = {
        {DNNL_ARG_DIFF_DST, graph.converted(Pass::backward, gradient, output.desc)},
        {DNNL_ARG_DIFF_SRC, result}};
    if (places) back.emplace_back(DNNL_ARG_WORKSPACE, places);
    graph.step<dnnl::pooling_backward>(
        Pass::backward,
        describe::backward(graph, algorithm, w, source.desc, output.desc, forward),
        std::move(back));
    return result;
  });
}

template <class L>
Windows windows_of(const Graph& graph, const L& pool) {
  const std::size_t rank = graph.current.dims().size() - 2;
  const auto all = [rank](std::uint64_t value) {
    return Dims(rank, static_cast<std::int64_t>(value));
  };
  return {all(pool.kernel), all(pool.stride), all(pool.padding)};
}

constexpr auto kMax = dnnl::algorithm::pooling_max;
constexpr auto kMean = dnnl::algorithm::pooling_avg_include_padding;

void add_global_pooling(Graph& graph, dnnl::algorithm algorithm) {
  const Dims in = graph.current.dims();
  const Dims sides(in.begin() + 2, in.end());
  add_pooling(graph, algorithm, {sides, Dims(sides.size(), 1), Dims(sides.size(), 0)});
  // {n, c, 1, …} → {n, c}
  const Value pooled = graph.rows(Pass::forward, graph.current);
  const memory::desc flat = plain({in[0], in[1]});
  graph.current = graph.view(pooled, flat);
  graph.on_backward([&graph, pooled](const Value& gradient, bool wanted) {
    if (!wanted) return Value{};
    return graph.view(graph.rows(Pass::backward, gradient), pooled.desc);
  });
}

}  // namespace

void add_layer(Graph& graph, const MaxPool2d& layer, const Place&) {
  add_pooling(graph, kMax, windows_of(graph, layer));
}
void add_layer(Graph& graph, const MaxPool1d& layer, const Place&) {
  add_pooling(graph, kMax, windows_of(graph, layer));
}
void add_layer(Graph& graph, const AvgPool2d& layer, const Place&) {
  add_pooling(graph, kMean, windows_of(graph, layer));
}
void add_layer(Graph& graph, const AvgPool1d& layer, const Place&) {
  add_pooling(graph, kMean, windows_of(graph, layer));
}

void add_layer(Graph& graph, const GlobalAvgPool&, const Place&) {
  add_global_pooling(graph, kMean);
}
void add_layer(Graph& graph, const GlobalMaxPool&, const Place&) {
  add_global_pooling(graph, kMax);
}

}  // namespace chorus::train
