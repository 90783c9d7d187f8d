// Dense layers and embeddings: products with tables of rows.
#include <algorithm>

#include "client/train/tape/layers.hpp"
#include "client/train/tape/linear.hpp"
#include "client/train/tape/lora.hpp"
#include "client/train/tape/rounded.hpp"

namespace chorus::train {

void Linear::forward(const float* x, std::size_t ldx, float* y, std::size_t ldy) const {
  if (bias != nullptr) {
    for (std::size_t i = 0; i < rows; ++i) std::copy_n(bias, outputs, y + i * ldy);
  }
  multiply_nt({.m = rows,
               .n = outputs,
               .k = inputs,
               .a = x,
               .lda = ldx,
               .b = weight,
               .ldb = inputs,
               .c = y,
               .ldc = ldy,
               .beta = bias != nullptr ? 1.0F : 0.0F});
}

void Linear::input_gradient(const float* dy, std::size_t ldy, float* dx, float beta) const {
  multiply_nn({.m = rows,
               .n = inputs,
               .k = outputs,
               .a = dy,
               .lda = ldy,
               .b = weight,
               .ldb = inputs,
               .c = dx,
               .ldc = inputs,
               .beta = beta});
}

void weight_gradient(const LinearGradient& g, const FusedStep* fused) {
  Product product{.m = g.outputs,
                  .n = g.inputs,
                  .k = g.rows,
                  .a = g.dy,
                  .lda = g.ldy,
                  .b = g.x,
                  .ldb = g.ldx,
                  .c = g.gradient,
                  .ldc = g.inputs};
  if (fused != nullptr) {
    product.c = g.weight;
    product.alpha = -fused->rate;
    product.beta = fused->keep;
  }
  multiply_tn(product);
}

void sum_rows(const float* dy, std::size_t ldy, std::size_t rows, std::size_t count, float* sum) {
  std::copy_n(dy, count, sum);
  for (std::size_t i = 1; i < rows; ++i) {
    const float* const row = dy + i * ldy;
    for (std::size_t j = 0; j < count; ++j) sum[j] += row[j];
  }
}

namespace {

void add_rounded(Graph& graph,
                 const RoundedLinear::Sizes& sizes,
                 const Value& x,
                 const Tensor& weight,
                 const Tensor& bias) {
  Dims dims = x.dims();
  dims.back() = static_cast<std::int64_t>(sizes.outputs);
  const Value y = graph.make(dims);
  RoundedLinear linear(graph, sizes, weight.value, bias.value);
  linear.forward(x, y);
  graph.current = y;
  graph.on_backward(
      [=, &graph](const Value& gradient, bool wanted) {
        const Value dy = graph.rows(Pass::backward, gradient);
        const Value dx = wanted ? graph.make(x.desc) : Value{};
        linear.backward(linear.slopes(dy), dx, weight.trained ? weight.gradient : Value{});
        if (bias.trained) {
          graph.step(Pass::backward, {dy}, [=, &graph] {
            const auto& [rows, inputs, outputs] = sizes;
            sum_rows(graph.at(dy), outputs, rows, outputs, graph.at(bias.gradient));
          });
        }
        return dx;
      },
      true);
}

}  // namespace

void add_layer(Graph& graph, const Dense& layer, const Place& place) {
  const Value x = graph.rows(Pass::forward, graph.current);
  Dims dims = x.dims();
  const auto inputs = static_cast<std::size_t>(dims.back());
  const std::size_t count = elements(dims) / inputs;
  dims.back() = static_cast<std::int64_t>(layer.units);
  const std::size_t units = layer.units;
  const Tensor weight = place.tensors[0];
  const Tensor bias = layer.bias ? place.tensors[1] : Tensor{};
  if (layer.lora_rank == 0 && RoundedLinear::pays(graph, {count, inputs, units})) {
    return add_rounded(graph, {count, inputs, units}, x, weight, bias);
  }
  const Value y = graph.make(dims);
  const Adapter adapter(
      graph,
      {count, inputs, units, layer.lora_rank, static_cast<float>(lora_scale(layer))},
      place.tensors.subspan(layer.bias ? 2 : 1));
  const auto linear = [&graph, weight, bias, count, inputs, units] {
    return Linear{
        count, inputs, units, graph.at(weight.value), bias.value ? graph.at(bias.value) : nullptr};
  };
  graph.step(Pass::forward, {x, y, adapter.hidden()}, [=, &graph] {
    linear().forward(graph.at(x), inputs, graph.at(y), units);
    adapter.forward(graph.at(x), graph.at(y));
  });
  graph.current = y;
  if (weight.trained) graph.can_fuse(weight);
  graph.on_backward(
      [=, &graph](const Value& gradient, bool wanted) {
        const Value dy = graph.rows(Pass::backward, gradient);
        const Value dx = wanted ? graph.make(x.desc) : Value{};
        const Value scratch = adapter.scratch();
        graph.step(Pass::backward, {x, dy, dx, adapter.hidden(), scratch}, [=, &graph] {
          // The input's gradient first: the next step may change the weights.
          if (dx) linear().input_gradient(graph.at(dy), units, graph.at(dx), 0.0F);
          adapter.backward(graph.at(x), {graph.at(dy), dx ? graph.at(dx) : nullptr, scratch});
          if (bias.trained) sum_rows(graph.at(dy), units, count, units, graph.at(bias.gradient));
          if (!weight.trained) return;
          weight_gradient({count,
                           inputs,
                           units,
                           graph.at(x),
                           inputs,
                           graph.at(dy),
                           units,
                           graph.at(weight.gradient),
                           graph.at(weight.value)},
                          graph.running().fused);
        });
        return dx;
      },
      true);
}

void add_layer(Graph& graph, const Embedding& layer, const Place& place) {
  const Value x = graph.current;
  const std::size_t steps = elements(x.dims());
  const std::size_t width = layer.width;
  const std::size_t numbers = layer.vocabulary * layer.width;
  const Tensor table = place.tensors[0];
  Dims dims = x.dims();
  dims.push_back(static_cast<std::int64_t>(width));
  const Value y = graph.make(dims);
  graph.step(Pass::forward, {x, y}, [=, &graph] {
    const float* const index = graph.at(x);
    const float* const rows = graph.at(table.value);
    float* const out = graph.at(y);
    for (std::size_t i = 0; i < steps; ++i) {
      std::copy_n(rows + static_cast<std::size_t>(index[i]) * width, width, out + i * width);
    }
  });
  graph.current = y;
  graph.on_backward(
      [=, &graph](const Value& gradient, bool) {
        const Value dy = graph.rows(Pass::backward, gradient);
        graph.step(Pass::backward, {x, dy}, [=, &graph] {
          const float* const index = graph.at(x);
          const float* const slopes = graph.at(dy);
          float* const sums = graph.at(table.gradient);
          std::fill_n(sums, numbers, 0.0F);
          for (std::size_t i = 0; i < steps; ++i) {
            float* const row = sums + static_cast<std::size_t>(index[i]) * width;
            for (std::size_t j = 0; j < width; ++j) row[j] += slopes[i * width + j];
          }
        });
        return Value{};
      },
      true);
}

void add_layer(Graph& graph, const PositionEmbedding&, const Place& place) {
  const Value x = graph.rows(Pass::forward, graph.current);
  const Value y = graph.make(x.desc);
  const Tensor table = place.tensors[0];
  const auto batch = static_cast<std::size_t>(graph.batch());
  const std::size_t numbers = elements(x.dims()) / batch;
  graph.step(Pass::forward, {x, y}, [=, &graph] {
    const float* const add = graph.at(table.value);
    for (std::size_t n = 0; n < batch; ++n) {
      const float* const in = graph.at(x) + n * numbers;
      float* const out = graph.at(y) + n * numbers;
      for (std::size_t j = 0; j < numbers; ++j) out[j] = in[j] + add[j];
    }
  });
  graph.current = y;
  graph.on_backward(
      [=, &graph](const Value& gradient, bool) {
        const Value dy = graph.rows(Pass::backward, gradient);
        graph.step(Pass::backward, {dy}, [=, &graph] {
          sum_rows(graph.at(dy), numbers, batch, numbers, graph.at(table.gradient));
        });
        return dy;
      },
      true);
}

}  // namespace chorus::train
