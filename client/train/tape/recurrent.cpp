// LSTM and GRU. The products with the inputs of all steps are one; those with the state, and the
// gates, go step by step.
#include <algorithm>
#include <memory>

#include "chorus/kernels/cells.hpp"
#include "chorus/kernels/training.hpp"
#include "client/train/tape/layers.hpp"
#include "client/train/tape/linear.hpp"

namespace chorus::train {
namespace {

// One level in one direction. Rows of two-dimensional arrays are (example, step).
struct Sweep {
  std::size_t batch = 0;
  std::size_t steps = 0;
  std::size_t inputs = 0;
  std::size_t units = 0;
  std::size_t stride = 0;  // of a row of y: the units of all directions
  std::size_t offset = 0;  // of this direction within it
  bool backwards = false;  // from the last step to the first

  std::size_t rows() const { return batch * steps; }
  std::size_t step(std::size_t k) const { return backwards ? steps - 1 - k : k; }  // the k-th one
};

struct Weights {
  Tensor input;       // (gates · units, inputs)
  Tensor state;       // (gates · units, units)
  Tensor input_bias;  // (gates · units)
  Tensor state_bias;
};

// h of the step before, for all rows; zero at the first step.
void gather_previous(const Sweep& s, const float* y, float* previous) {
  for (std::size_t n = 0; n < s.batch; ++n) {
    std::fill_n(previous + (n * s.steps + s.step(0)) * s.units, s.units, 0.0F);
    for (std::size_t k = 1; k < s.steps; ++k) {
      const float* const from = y + (n * s.steps + s.step(k - 1)) * s.stride + s.offset;
      std::copy_n(from, s.units, previous + (n * s.steps + s.step(k)) * s.units);
    }
  }
}

// gates(row) += h(row before)·W_hhᵀ (+ bias) for the k-th step of all examples.
void add_state(const Sweep& s,
               std::size_t k,
               const float* weight,
               std::size_t gates,
               const float* y,
               float* out,
               std::size_t ldout) {
  if (k == 0) return;
  multiply_nt({.m = s.batch,
               .n = gates * s.units,
               .k = s.units,
               .a = y + s.step(k - 1) * s.stride + s.offset,
               .lda = s.steps * s.stride,
               .b = weight,
               .ldb = s.units,
               .c = out,
               .ldc = ldout,
               .beta = 1.0F});
}

struct Level {
  Sweep sweep;
  Weights weights;
  std::size_t kinds = 4;  // gates
  Value x;                // (batch, steps, inputs)
  Value y;                // (batch, steps, stride)
  Value gates;            // (rows, kinds · units): after their activation
  Value side;             // LSTM: c (rows, units); GRU: the state's parts (rows, 3 · units)
};

Value matrix(Graph& graph, std::size_t rows, std::size_t columns) {
  return graph.make(Dims{static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns)});
}

// gates of all steps ← x·W_ihᵀ + b_ih
void input_products(const Graph& graph, const Level& l) {
  const Linear linear{l.sweep.rows(),
                      l.sweep.inputs,
                      l.kinds * l.sweep.units,
                      graph.at(l.weights.input.value),
                      graph.at(l.weights.input_bias.value)};
  linear.forward(graph.at(l.x), l.sweep.inputs, graph.at(l.gates), l.kinds * l.sweep.units);
}

void lstm_forward(const Graph& graph, const Level& l) {
  const Sweep& s = l.sweep;
  const std::size_t width = 4 * s.units;
  float* const gates = graph.at(l.gates);
  float* const cells = graph.at(l.side);
  float* const y = graph.at(l.y);
  input_products(graph, l);
  const float* const bias = graph.at(l.weights.state_bias.value);
  for (std::size_t row = 0; row < s.rows(); ++row) {
    const std::span<float> one(gates + row * width, width);
    kernels::add_f32(one, {bias, width}, one);
  }
  for (std::size_t k = 0; k < s.steps; ++k) {
    const std::size_t t = s.step(k);
    add_state(s, k, graph.at(l.weights.state.value), 4, y, gates + t * width, s.steps * width);
    for (std::size_t n = 0; n < s.batch; ++n) {
      const std::size_t row = n * s.steps + t;
      const std::size_t last = n * s.steps + (k == 0 ? 0 : s.step(k - 1));
      kernels::lstm_cell_f32({.units = s.units,
                              .gates = gates + row * width,
                              .before = k == 0 ? nullptr : cells + last * s.units,
                              .cell = cells + row * s.units,
                              .h = y + row * s.stride + s.offset});
    }
  }
}

void gru_forward(const Graph& graph, const Level& l) {
  const Sweep& s = l.sweep;
  const std::size_t width = 3 * s.units;
  float* const gates = graph.at(l.gates);
  float* const states = graph.at(l.side);
  float* const y = graph.at(l.y);
  input_products(graph, l);
  const float* const bias = graph.at(l.weights.state_bias.value);
  for (std::size_t row = 0; row < s.rows(); ++row) std::copy_n(bias, width, states + row * width);
  for (std::size_t k = 0; k < s.steps; ++k) {
    const std::size_t t = s.step(k);
    add_state(s, k, graph.at(l.weights.state.value), 3, y, states + t * width, s.steps * width);
    for (std::size_t n = 0; n < s.batch; ++n) {
      const std::size_t row = n * s.steps + t;
      const std::size_t last = n * s.steps + (k == 0 ? 0 : s.step(k - 1));
      kernels::gru_cell_f32({.units = s.units,
                             .gates = gates + row * width,
                             .state = states + row * width,
                             .before = k == 0 ? nullptr : y + last * s.stride + s.offset,
                             .h = y + row * s.stride + s.offset});
    }
  }
}

// Scratch of the backward pass: dh and what flows to the step before, (batch, units) each.
struct Flow {
  Value dh;
  Value carried;
  Value previous;  // (rows, units)
};

// dh ← dy(row) + carried, for one step.
void take_slopes(const Sweep& s, std::size_t k, const float* dy, const float* carried, float* dh) {
  for (std::size_t n = 0; n < s.batch; ++n) {
    const float* const above = dy + (n * s.steps + s.step(k)) * s.stride + s.offset;
    for (std::size_t u = 0; u < s.units; ++u) {
      dh[n * s.units + u] = above[u] + (k + 1 == s.steps ? 0.0F : carried[n * s.units + u]);
    }
  }
}

// out ← slopes of the k-th step · W_hh + beta·out: what reaches the state before.
void to_state(const Sweep& s,
              std::size_t k,
              std::size_t kinds,
              const float* slopes,
              const float* weight,
              float* out,
              float beta) {
  const std::size_t width = kinds * s.units;
  const Linear linear{s.batch, s.units, width, weight, nullptr};
  linear.input_gradient(slopes + s.step(k) * width, s.steps * width, out, beta);
}

void lstm_backward(
    const Graph& graph, const Level& l, const float* dy, const Flow& flow, float* dc) {
  const Sweep& s = l.sweep;
  const std::size_t width = 4 * s.units;
  float* const gates = graph.at(l.gates);
  const float* const cells = graph.at(l.side);
  float* const dh = graph.at(flow.dh);
  float* const carried = graph.at(flow.carried);
  std::fill_n(dc, s.batch * s.units, 0.0F);
  for (std::size_t k = s.steps; k-- > 0;) {
    take_slopes(s, k, dy, carried, dh);
    for (std::size_t n = 0; n < s.batch; ++n) {
      const std::size_t row = n * s.steps + s.step(k);
      const std::size_t last = n * s.steps + (k == 0 ? 0 : s.step(k - 1));
      kernels::lstm_cell_backward_f32({.units = s.units,
                                       .gates = gates + row * width,
                                       .before = k == 0 ? nullptr : cells + last * s.units,
                                       .cell = cells + row * s.units,
                                       .dh = dh + n * s.units,
                                       .dc = dc + n * s.units});
    }
    if (k > 0) to_state(s, k, 4, gates, graph.at(l.weights.state.value), carried, 0.0F);
  }
}

void gru_backward(const Graph& graph, const Level& l, const float* dy, const Flow& flow) {
  const Sweep& s = l.sweep;
  const std::size_t width = 3 * s.units;
  float* const gates = graph.at(l.gates);
  float* const states = graph.at(l.side);
  const float* const y = graph.at(l.y);
  float* const dh = graph.at(flow.dh);
  float* const carried = graph.at(flow.carried);
  for (std::size_t k = s.steps; k-- > 0;) {
    take_slopes(s, k, dy, carried, dh);
    for (std::size_t n = 0; n < s.batch; ++n) {
      const std::size_t row = n * s.steps + s.step(k);
      const std::size_t last = n * s.steps + (k == 0 ? 0 : s.step(k - 1));
      kernels::gru_cell_backward_f32({.units = s.units,
                                      .gates = gates + row * width,
                                      .state = states + row * width,
                                      .before = k == 0 ? nullptr : y + last * s.stride + s.offset,
                                      .dh = dh + n * s.units,
                                      .kept = carried + n * s.units});
    }
    if (k > 0) to_state(s, k, 3, states, graph.at(l.weights.state.value), carried, 1.0F);
  }
}

// Gradients of the four tensors, from the derivatives of what the gates received.
void tensor_gradients(const Graph& graph,
                      const Level& l,
                      const Value& from_x,
                      const Value& from_h,
                      const Flow& flow) {
  const Sweep& s = l.sweep;
  const std::size_t width = l.kinds * s.units;
  float* const previous = graph.at(flow.previous);
  gather_previous(s, graph.at(l.y), previous);
  weight_gradient({s.rows(),
                   s.inputs,
                   width,
                   graph.at(l.x),
                   s.inputs,
                   graph.at(from_x),
                   width,
                   graph.at(l.weights.input.gradient),
                   nullptr},
                  nullptr);
  weight_gradient({s.rows(),
                   s.units,
                   width,
                   previous,
                   s.units,
                   graph.at(from_h),
                   width,
                   graph.at(l.weights.state.gradient),
                   nullptr},
                  nullptr);
  sum_rows(graph.at(from_x), width, s.rows(), width, graph.at(l.weights.input_bias.gradient));
  sum_rows(graph.at(from_h), width, s.rows(), width, graph.at(l.weights.state_bias.gradient));
}

// dx (+)= derivatives of the gates · W_ih; directions add up.
void add_backward(
    Graph& graph, const Level& l, const Value& dy, const Value& dx, bool first_direction) {
  const Sweep& s = l.sweep;
  const bool lstm = l.kinds == 4;
  const Flow flow{matrix(graph, s.batch, s.units),
                  matrix(graph, s.batch, s.units),
                  matrix(graph, s.rows(), s.units)};
  const Value dc = lstm ? matrix(graph, s.batch, s.units) : Value{};
  const Value from_h = lstm ? l.gates : l.side;
  graph.step(
      Pass::backward,
      {dy, dx, dc, flow.dh, flow.carried, flow.previous, l.x, l.y, l.gates, l.side},
      [=, &graph] {
        if (lstm) {
          lstm_backward(graph, l, graph.at(dy), flow, graph.at(dc));
        } else {
          gru_backward(graph, l, graph.at(dy), flow);
        }
        tensor_gradients(graph, l, l.gates, from_h, flow);
        if (!dx) return;
        const Linear linear{
            s.rows(), s.inputs, l.kinds * s.units, graph.at(l.weights.input.value), nullptr};
        linear.input_gradient(
            graph.at(l.gates), l.kinds * s.units, graph.at(dx), first_direction ? 0.0F : 1.0F);
      });
}

// One level, one or two directions: x (batch, steps, inputs) → y (batch, steps, all units).
void add_level(Graph& graph, bool lstm, std::size_t units, std::span<const Tensor> tensors) {
  const Value x = graph.rows(Pass::forward, graph.current);
  const Dims dims = x.dims();
  const std::size_t directions = tensors.size() / 4;
  const auto steps = static_cast<std::size_t>(dims[1]);
  const auto inputs = static_cast<std::size_t>(dims[2]);
  const auto batch = static_cast<std::size_t>(dims[0]);
  const Value y = graph.make(Dims{dims[0], dims[1], static_cast<std::int64_t>(directions * units)});
  std::vector<Level> levels;
  for (std::size_t d = 0; d < directions; ++d) {
    Level l;
    l.sweep = {batch, steps, inputs, units, directions * units, d * units, d == 1};
    const auto own = tensors.subspan(4 * d, 4);
    l.weights = {own[0], own[1], own[2], own[3]};
    l.kinds = lstm ? 4 : 3;
    l.x = x;
    l.y = y;
    l.gates = matrix(graph, batch * steps, l.kinds * units);
    l.side = matrix(graph, batch * steps, lstm ? units : 3 * units);
    graph.step(Pass::forward, {x, y, l.gates, l.side}, [=, &graph] {
      lstm ? lstm_forward(graph, l) : gru_forward(graph, l);
    });
    levels.push_back(l);
  }
  graph.current = y;
  graph.current.exclusive = false;  // the backward pass reads the states
  graph.on_backward(
      [=, &graph](const Value& gradient, bool wanted) {
        const Value dy = graph.rows(Pass::backward, gradient);
        const Value dx = wanted ? graph.make(x.desc) : Value{};
        for (const Level& l : levels) add_backward(graph, l, dy, dx, &l == &levels.front());
        return dx;
      },
      true);
}

// What each direction ends with: forwards at the last step, backwards at the first.
void add_last(Graph& graph, std::size_t units) {
  const Value y = graph.rows(Pass::forward, graph.current);
  const Dims dims = y.dims();
  const auto batch = static_cast<std::size_t>(dims[0]);
  const auto steps = static_cast<std::size_t>(dims[1]);
  const auto width = static_cast<std::size_t>(dims[2]);
  const Value last = graph.make(Dims{dims[0], dims[2]});
  const auto place = [=](std::size_t n, std::size_t direction) {
    return (n * steps + (direction == 0 ? steps - 1 : 0)) * width + direction * units;
  };
  graph.step(Pass::forward, {y, last}, [=, &graph] {
    for (std::size_t n = 0; n < batch; ++n) {
      for (std::size_t d = 0; d < width / units; ++d) {
        std::copy_n(graph.at(y) + place(n, d), units, graph.at(last) + n * width + d * units);
      }
    }
  });
  graph.current = last;
  graph.on_backward([=, &graph](const Value& gradient, bool wanted) {
    if (!wanted) return Value{};
    const Value above = graph.rows(Pass::backward, gradient);
    const Value dy = graph.make(y.desc);
    graph.step(Pass::backward, {above, dy}, [=, &graph] {
      std::fill_n(graph.at(dy), batch * steps * width, 0.0F);
      for (std::size_t n = 0; n < batch; ++n) {
        for (std::size_t d = 0; d < width / units; ++d) {
          std::copy_n(graph.at(above) + n * width + d * units, units, graph.at(dy) + place(n, d));
        }
      }
    });
    return dy;
  });
}

template <class L>
void add_recurrent(Graph& graph, const L& layer, bool lstm, const Place& place) {
  const std::size_t per_level = layer.bidirectional ? 8 : 4;
  for (std::size_t level = 0; level < layer.depth; ++level) {
    add_level(graph, lstm, layer.units, place.tensors.subspan(level * per_level, per_level));
  }
  if (!layer.sequence) add_last(graph, layer.units);
}

}  // namespace

void add_layer(Graph& graph, const Lstm& layer, const Place& place) {
  add_recurrent(graph, layer, true, place);
}

void add_layer(Graph& graph, const Gru& layer, const Place& place) {
  add_recurrent(graph, layer, false, place);
}

}  // namespace chorus::train
