// LSTM and GRU. The products with the inputs of all steps are one; those with the state, and the
// gates, go step by step.
#include <algorithm>
#include <memory>
#include <span>

#include "chorus/kernels/cells.hpp"
#include "chorus/kernels/products.hpp"
#include "chorus/kernels/training.hpp"
#include "client/train/tape/layers.hpp"
#include "client/train/tape/linear.hpp"
#include "client/train/tape/rounded.hpp"

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
  std::size_t row(std::size_t n, std::size_t k) const { return n * steps + step(k); }
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
    std::fill_n(previous + s.row(n, 0) * s.units, s.units, 0.0F);
    for (std::size_t k = 1; k < s.steps; ++k) {
      const float* const from = y + s.row(n, k - 1) * s.stride + s.offset;
      std::copy_n(from, s.units, previous + s.row(n, k) * s.units);
    }
  }
}

// One step's product with the state's weights, which were packed for all steps.
void multiply_step(const Product& p, std::size_t k) {
  kernels::product_packed_f32(
      p, k % 2 == 0 ? kernels::PanelOrder::from_first : kernels::PanelOrder::from_last);
}

// gates(row) += h(row before)·W_hhᵀ for the k-th step of all examples.
void add_state(
    const Sweep& s, std::size_t k, const float* packed, const float* y, float* out, std::size_t n) {
  if (k == 0) return;
  multiply_step({.m = s.batch,
                 .n = n,
                 .k = s.units,
                 .a = y + s.step(k - 1) * s.stride + s.offset,
                 .lda = s.steps * s.stride,
                 .b = packed,
                 .c = out + s.step(k) * n,
                 .ldc = s.steps * n,
                 .beta = 1.0F},
                k);
}

struct Level {
  Sweep sweep;
  Weights weights;
  std::size_t kinds = 4;  // gates
  Value x;                // (batch, steps, inputs)
  Value y;                // (batch, steps, stride)
  Value gates;            // (rows, kinds · units): after their activation
  Value side;             // LSTM: c (rows, units); GRU: the state's parts (rows, 3 · units)
  Value bias;             // what the gates begin with: of the input, in an LSTM of both

  bool lstm() const { return kinds == 4; }
  const Value& state_sums() const { return lstm() ? gates : side; }  // (rows, kinds · units)
};

Value matrix(Graph& graph, std::size_t rows, std::size_t columns) {
  return graph.make(Dims{static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns)});
}

// A place for W_hh as product_packed_f32 takes it: the right side of n columns, sums of k terms.
std::span<float> packed_at(const Graph& graph, const Value& place, std::size_t n, std::size_t k) {
  return {graph.at(place), kernels::packed_floats(n, k)};
}
Value make_packed(Graph& graph, std::size_t n, std::size_t k) {
  return graph.make(Dims{static_cast<std::int64_t>(kernels::packed_floats(n, k))});
}

// Level::bias
Value first_bias(Graph& graph, const Level& l) {
  if (!l.lstm()) return l.weights.input_bias.value;
  const std::size_t width = l.kinds * l.sweep.units;
  const Value sum = graph.make(Dims{static_cast<std::int64_t>(width)});
  graph.step(Pass::forward, {sum}, [=, &graph] {
    kernels::add_f32({graph.at(l.weights.input_bias.value), width},
                     {graph.at(l.weights.state_bias.value), width},
                     {graph.at(sum), width});
  });
  return sum;
}

// gates of all steps ← x·W_ihᵀ + bias
void input_products(const Graph& graph, const Level& l) {
  const Linear linear{l.sweep.rows(),
                      l.sweep.inputs,
                      l.kinds * l.sweep.units,
                      graph.at(l.weights.input.value),
                      graph.at(l.bias)};
  linear.forward(graph.at(l.x), l.sweep.inputs, graph.at(l.gates), l.kinds * l.sweep.units);
}

// What a GRU's state begins with; an LSTM's is among the gates' already.
void begin_state(const Graph& graph, const Level& l) {
  if (l.lstm()) return;
  const Sweep& s = l.sweep;
  const std::size_t width = l.kinds * s.units;
  const float* const bias = graph.at(l.weights.state_bias.value);
  for (std::size_t row = 0; row < s.rows(); ++row) {
    std::copy_n(bias, width, graph.at(l.side) + row * width);
  }
}

// The k-th step of all examples, once its gates have received everything.
void forward_cells(const Graph& graph, const Level& l, std::size_t k) {
  const Sweep& s = l.sweep;
  const std::size_t width = l.kinds * s.units;
  float* const gates = graph.at(l.gates);
  float* const side = graph.at(l.side);
  float* const y = graph.at(l.y);
  for (std::size_t n = 0; n < s.batch; ++n) {
    const std::size_t row = s.row(n, k);
    const std::size_t last = k == 0 ? 0 : s.row(n, k - 1);  // unused at the first step
    if (l.lstm()) {
      kernels::lstm_cell_f32({.units = s.units,
                              .gates = gates + row * width,
                              .before = k == 0 ? nullptr : side + last * s.units,
                              .cell = side + row * s.units,
                              .h = y + row * s.stride + s.offset});
    } else {
      kernels::gru_cell_f32({.units = s.units,
                             .gates = gates + row * width,
                             .state = side + row * width,
                             .before = k == 0 ? nullptr : y + last * s.stride + s.offset,
                             .h = y + row * s.stride + s.offset});
    }
  }
}

void forward(const Graph& graph, const Level& l, const Value& place) {
  const Sweep& s = l.sweep;
  const std::size_t width = l.kinds * s.units;
  input_products(graph, l);
  begin_state(graph, l);
  const auto packed = packed_at(graph, place, width, s.units);
  kernels::pack_nt_f32({width, s.units, graph.at(l.weights.state.value), s.units}, packed);
  for (std::size_t k = 0; k < s.steps; ++k) {
    add_state(s, k, packed.data(), graph.at(l.y), graph.at(l.state_sums()), width);
    forward_cells(graph, l, k);
  }
}

// Scratch of the backward pass: dh and what flows to the step before, (batch, units) each.
struct Flow {
  Value dh;
  Value carried;
  Value previous;  // (rows, units)
  Value dc;        // LSTM only
  Value packed;    // W_hh, unless factors are rounded
};

Flow flow_of(Graph& graph, const Level& l) {
  const Sweep& s = l.sweep;
  return {matrix(graph, s.batch, s.units),
          matrix(graph, s.batch, s.units),
          matrix(graph, s.rows(), s.units),
          l.lstm() ? matrix(graph, s.batch, s.units) : Value{},
          Value{}};
}

// dh ← dy(row) + carried, for one step.
void take_slopes(const Sweep& s, std::size_t k, const float* dy, const float* carried, float* dh) {
  for (std::size_t n = 0; n < s.batch; ++n) {
    const float* const above = dy + s.row(n, k) * s.stride + s.offset;
    for (std::size_t u = 0; u < s.units; ++u) {
      dh[n * s.units + u] = above[u] + (k + 1 == s.steps ? 0.0F : carried[n * s.units + u]);
    }
  }
}

// The k-th step of all examples: from dy and what the step after left to the derivatives of what
// the gates received.
void backward_cells(
    const Graph& graph, const Level& l, const Value& dy, const Flow& flow, std::size_t k) {
  const Sweep& s = l.sweep;
  const std::size_t width = l.kinds * s.units;
  float* const gates = graph.at(l.gates);
  float* const side = graph.at(l.side);
  const float* const y = graph.at(l.y);
  float* const dh = graph.at(flow.dh);
  float* const carried = graph.at(flow.carried);
  if (l.lstm() && k + 1 == s.steps) std::fill_n(graph.at(flow.dc), s.batch * s.units, 0.0F);
  take_slopes(s, k, graph.at(dy), carried, dh);
  for (std::size_t n = 0; n < s.batch; ++n) {
    const std::size_t row = s.row(n, k);
    const std::size_t last = k == 0 ? 0 : s.row(n, k - 1);  // unused at the first step
    if (l.lstm()) {
      kernels::lstm_cell_backward_f32({.units = s.units,
                                       .gates = gates + row * width,
                                       .before = k == 0 ? nullptr : side + last * s.units,
                                       .cell = side + row * s.units,
                                       .dh = dh + n * s.units,
                                       .dc = graph.at(flow.dc) + n * s.units});
    } else {
      kernels::gru_cell_backward_f32({.units = s.units,
                                      .gates = gates + row * width,
                                      .state = side + row * width,
                                      .before = k == 0 ? nullptr : y + last * s.stride + s.offset,
                                      .dh = dh + n * s.units,
                                      .kept = carried + n * s.units});
    }
  }
}

void backward(const Graph& graph, const Level& l, const Value& dy, const Flow& flow) {
  const Sweep& s = l.sweep;
  const std::size_t width = l.kinds * s.units;
  const auto packed = packed_at(graph, flow.packed, s.units, width);
  kernels::pack_nn_f32({s.units, width, graph.at(l.weights.state.value), s.units}, packed);
  for (std::size_t k = s.steps; k-- > 0;) {
    backward_cells(graph, l, dy, flow, k);
    if (k == 0) break;
    // slopes of the k-th step · W_hh: what reaches the state before
    multiply_step({.m = s.batch,
                   .n = s.units,
                   .k = width,
                   .a = graph.at(l.state_sums()) + s.step(k) * width,
                   .lda = s.steps * width,
                   .b = packed.data(),
                   .c = graph.at(flow.carried),
                   .ldc = s.units,
                   .beta = l.lstm() ? 0.0F : 1.0F},  // a GRU's state goes on by itself, too
                  k);
  }
}

// From the derivatives of what the gates received.
void bias_gradients(const Graph& graph, const Level& l) {
  const Sweep& s = l.sweep;
  const std::size_t width = l.kinds * s.units;
  float* const of_input = graph.at(l.weights.input_bias.gradient);
  float* const of_state = graph.at(l.weights.state_bias.gradient);
  sum_rows(graph.at(l.gates), width, s.rows(), width, of_input);
  if (l.lstm()) {
    std::copy_n(of_input, width, of_state);
  } else {
    sum_rows(graph.at(l.side), width, s.rows(), width, of_state);
  }
}

void weight_gradients(const Graph& graph, const Level& l, const Flow& flow) {
  const Sweep& s = l.sweep;
  const std::size_t width = l.kinds * s.units;
  float* const previous = graph.at(flow.previous);
  gather_previous(s, graph.at(l.y), previous);
  const auto gradient = [&](std::size_t inputs, const float* x, const Value& dy, const Tensor& of) {
    weight_gradient(
        {s.rows(), inputs, width, x, inputs, graph.at(dy), width, graph.at(of.gradient), nullptr},
        nullptr);
  };
  gradient(s.inputs, graph.at(l.x), l.gates, l.weights.input);
  gradient(s.units, previous, l.state_sums(), l.weights.state);
}

// dx (+)= derivatives of the gates · W_ih; directions add up.
void add_backward(
    Graph& graph, const Level& l, const Value& dy, const Value& dx, bool first_direction) {
  const Sweep& s = l.sweep;
  Flow flow = flow_of(graph, l);
  flow.packed = make_packed(graph, s.units, l.kinds * s.units);
  graph.step(
      Pass::backward,
      {dy,
       dx,
       flow.dc,
       flow.dh,
       flow.carried,
       flow.previous,
       flow.packed,
       l.x,
       l.y,
       l.gates,
       l.side},
      [=, &graph] {
        backward(graph, l, dy, flow);
        weight_gradients(graph, l, flow);
        bias_gradients(graph, l);
        if (!dx) return;
        const Linear linear{
            s.rows(), s.inputs, l.kinds * s.units, graph.at(l.weights.input.value), nullptr};
        linear.input_gradient(
            graph.at(l.gates), l.kinds * s.units, graph.at(dx), first_direction ? 0.0F : 1.0F);
      });
}

// ---- with rounded factors: the same, a step of the graph for each product ----

RoundedLinear::Sizes input_sizes(const Level& l) {
  return {l.sweep.rows(), l.sweep.inputs, l.kinds * l.sweep.units};
}

RoundedLinear add_rounded_forward(Graph& graph, const Level& l) {
  const Sweep& s = l.sweep;
  const std::size_t width = l.kinds * s.units;
  RoundedLinear input(graph, input_sizes(l), l.weights.input.value, l.bias);
  input.forward(l.x, l.gates);
  graph.step(Pass::forward, {l.side}, [=, &graph] { begin_state(graph, l); });
  const RoundedSteps products(graph,
                              Pass::forward,
                              {.rows = s.batch,
                               .inputs = s.units,
                               .outputs = width,
                               .a_stride = s.steps * s.stride,
                               .c_stride = s.steps * width,
                               .turned = true,
                               .adds = true},
                              l.weights.state.value);
  for (std::size_t k = 0; k < s.steps; ++k) {
    if (k > 0) {
      const std::size_t from = s.step(k - 1) * s.stride + s.offset;
      products.step(l.y, from, l.state_sums(), s.step(k) * width);
    }
    graph.step(Pass::forward, {l.y, l.gates, l.side}, [=, &graph] { forward_cells(graph, l, k); });
  }
  return input;
}

void add_rounded_backward(
    Graph& graph, const Level& l, const RoundedLinear& input, const Value& dy, const Value& dx) {
  const Sweep& s = l.sweep;
  const std::size_t width = l.kinds * s.units;
  const Flow flow = flow_of(graph, l);
  const RoundedSteps products(graph,
                              Pass::backward,
                              {.rows = s.batch,
                               .inputs = width,
                               .outputs = s.units,
                               .a_stride = s.steps * width,
                               .c_stride = s.units,
                               .adds = !l.lstm()},
                              l.weights.state.value);
  for (std::size_t k = s.steps; k-- > 0;) {
    graph.step(Pass::backward,
               {dy, flow.dc, flow.dh, flow.carried, l.y, l.gates, l.side},
               [=, &graph] { backward_cells(graph, l, dy, flow, k); });
    if (k > 0) products.step(l.state_sums(), s.step(k) * width, flow.carried, 0);
  }
  graph.step(Pass::backward, {l.y, l.gates, l.side, flow.previous}, [=, &graph] {
    gather_previous(s, graph.at(l.y), graph.at(flow.previous));
    bias_gradients(graph, l);
  });
  const Value slopes = input.slopes(l.gates);
  input.backward(slopes, dx, l.weights.input.gradient);
  RoundedLinear state(graph, {s.rows(), s.units, width}, l.weights.state.value, {});
  state.keep_input(Pass::backward, flow.previous);
  state.backward(l.lstm() ? slopes : state.slopes(l.side), {}, l.weights.state.gradient);
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
  std::vector<RoundedLinear> rounded;  // of each level, or none
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
    l.bias = first_bias(graph, l);
    levels.push_back(l);
    if (RoundedLinear::pays(graph, {batch * steps, units, l.kinds * units})) {
      rounded.push_back(add_rounded_forward(graph, l));
    } else {
      const Value packed = make_packed(graph, l.kinds * units, units);
      graph.step(Pass::forward, {x, y, l.gates, l.side, l.bias, packed}, [=, &graph] {
        forward(graph, l, packed);
      });
    }
  }
  graph.current = y;
  graph.current.exclusive = false;  // the backward pass reads the states
  graph.on_backward(
      [=, &graph](const Value& gradient, bool wanted) {
        const Value dy = graph.rows(Pass::backward, gradient);
        const Value dx = wanted ? graph.make(x.desc) : Value{};
        if (rounded.empty()) {
          for (const Level& l : levels) add_backward(graph, l, dy, dx, &l == &levels.front());
          return dx;
        }
        Value sum = dx;
        for (std::size_t d = 0; d < levels.size(); ++d) {
          const Value part = d == 0 || !wanted ? dx : graph.make(x.desc);
          add_rounded_backward(graph, levels[d], rounded[d], dy, part);
          if (d > 0) sum = graph.sum(Pass::backward, sum, part);
        }
        return sum;
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
