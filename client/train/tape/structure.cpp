// Layers that move numbers and change none: shapes and branches.
#include <algorithm>

#include "chorus/kernels/training.hpp"
#include "client/train/tape/layers.hpp"

namespace chorus::train {
namespace {

void reshape(Graph& graph, const Dims& dims) {
  const Value x = graph.rows(Pass::forward, graph.current);
  graph.current = graph.view(x, plain(dims));
  graph.on_backward([&graph, x](const Value& gradient, bool wanted) {
    if (!wanted) return Value{};
    return graph.view(graph.rows(Pass::backward, gradient), x.desc);
  });
}

// out[n, j, i] = in[n, i, j]
void transpose(const float* in, std::size_t batch, std::size_t a, std::size_t b, float* out) {
  for (std::size_t n = 0; n < batch; ++n) {
    const float* const from = in + n * a * b;
    float* const to = out + n * a * b;
    for (std::size_t i = 0; i < a; ++i) {
      for (std::size_t j = 0; j < b; ++j) to[j * a + i] = from[i * b + j];
    }
  }
}

}  // namespace

void add_layer(Graph& graph, const Flatten&, const Place&) {
  const Dims in = graph.current.dims();
  if (in.size() == 2) return;
  reshape(graph, {in[0], static_cast<std::int64_t>(elements(in)) / in[0]});
}

void add_layer(Graph& graph, const Reshape& layer, const Place&) {
  Dims dims{graph.batch()};
  for (const std::uint64_t side : layer.shape) dims.push_back(static_cast<std::int64_t>(side));
  reshape(graph, dims);
}

void add_layer(Graph& graph, const Transpose&, const Place&) {
  const Value x = graph.rows(Pass::forward, graph.current);
  const Dims dims = x.dims();
  const auto batch = static_cast<std::size_t>(dims[0]);
  const auto a = static_cast<std::size_t>(dims[1]);
  const auto b = static_cast<std::size_t>(dims[2]);
  const Value y = graph.make(Dims{dims[0], dims[2], dims[1]});
  graph.step(
      Pass::forward, {x, y}, [=, &graph] { transpose(graph.at(x), batch, a, b, graph.at(y)); });
  graph.current = y;
  graph.on_backward([=, &graph](const Value& gradient, bool wanted) {
    if (!wanted) return Value{};
    const Value dy = graph.rows(Pass::backward, gradient);
    const Value dx = graph.make(x.desc);
    graph.step(Pass::backward, {dy, dx}, [=, &graph] {
      transpose(graph.at(dy), batch, b, a, graph.at(dx));
    });
    return dx;
  });
}

void add_layer(Graph& graph, const Mark& layer, const Place&) {
  graph.current.exclusive = false;  // read here and by whoever refers to the mark
  graph.marks[layer.name] = graph.current;
  graph.on_backward([&graph, name = layer.name](const Value& gradient, bool) {
    return graph.sum(Pass::backward, gradient, graph.take_mark_gradient(name));
  });
}

void add_layer(Graph& graph, const Branch& layer, const Place&) {
  graph.current = graph.marks.at(layer.from);
  graph.on_backward([&graph, from = layer.from](const Value& gradient, bool) {
    graph.add_to_mark(from, gradient);
    return Value{};  // the value before was marked: its gradient waits there
  });
}

void add_layer(Graph& graph, const Add& layer, const Place&) {
  graph.current = graph.sum(Pass::forward, graph.current, graph.marks.at(layer.with));
  graph.on_backward([&graph, with = layer.with](const Value& gradient, bool wanted) {
    if (!wanted) return Value{};
    Value shared = gradient;
    shared.exclusive = false;  // both branches read it
    graph.add_to_mark(with, shared);
    return shared;
  });
}

void add_layer(Graph& graph, const Concat& layer, const Place&) {
  const Value x = graph.rows(Pass::forward, graph.current);
  const Value other = graph.rows(Pass::forward, graph.marks.at(layer.with));
  const auto batch = static_cast<std::size_t>(graph.batch());
  const std::size_t first = elements(x.dims()) / batch;
  const std::size_t second = elements(other.dims()) / batch;
  Dims dims = x.dims();
  dims[1] += other.dims()[1];
  const Value y = graph.make(dims);
  graph.step(Pass::forward, {x, other, y}, [=, &graph] {
    for (std::size_t n = 0; n < batch; ++n) {
      float* const out = graph.at(y) + n * (first + second);
      std::copy_n(graph.at(x) + n * first, first, out);
      std::copy_n(graph.at(other) + n * second, second, out + first);
    }
  });
  graph.current = y;
  graph.on_backward([=, &graph, with = layer.with](const Value& gradient, bool wanted) {
    if (!wanted) return Value{};
    const Value dy = graph.rows(Pass::backward, gradient);
    const Value dx = graph.make(x.desc);
    const Value dother = graph.make(other.desc);
    graph.step(Pass::backward, {dy, dx, dother}, [=, &graph] {
      for (std::size_t n = 0; n < batch; ++n) {
        const float* const in = graph.at(dy) + n * (first + second);
        std::copy_n(in, first, graph.at(dx) + n * first);
        std::copy_n(in + first, second, graph.at(dother) + n * second);
      }
    });
    graph.add_to_mark(with, dother);
    return dx;
  });
}

}  // namespace chorus::train
