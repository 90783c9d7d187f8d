// Batch norm, on our own loops over channels: oneDNN's need another layout than the one-dimensional
// convolutions', and sum in float.
#include <array>
#include <cmath>
#include <memory>
#include <vector>

#include "chorus/kernels/channels.hpp"
#include "client/train/tape/describe.hpp"
#include "client/train/tape/layers.hpp"

namespace chorus::train {
namespace {

using kernels::ChannelLayout;

/// Numbers per channel, padding included: what padding holds is 0, so its values stay 0.
struct State {
  explicit State(const ChannelLayout& layout)
      : at(layout),
        mean(at.channels()),
        inverse(at.channels()),
        scale(at.channels()),
        shift(at.channels()),
        slope(at.channels()),
        sum(at.channels()),
        products(at.channels()) {}
  ChannelLayout at;
  std::vector<float> mean;
  std::vector<double> inverse;  ///< 1 / sqrt(variance + epsilon)
  std::vector<float> scale, shift, slope;
  std::vector<double> sum, products;
};

/// Where the numbers of one layer are.
struct Numbers {
  std::size_t channels = 0;
  double count = 0.0;  ///< values of a channel
  double epsilon = 0.0;
  double momentum = 0.0;
  const float* weight = nullptr;
  const float* bias = nullptr;
  float* running_mean = nullptr;
  float* running_var = nullptr;
};

// The running variance is the unbiased one; a single value has none and leaves it alone.
void move_running(const Numbers& n, std::size_t c, double mean, double variance) {
  const auto move = [&n](float& value, double to) {
    value += static_cast<float>(n.momentum * (to - double{value}));
  };
  move(n.running_mean[c], mean);
  if (n.count > 1.0) move(n.running_var[c], variance * n.count / (n.count - 1.0));
}

void measure(State& state, const Numbers& n, std::span<const float> x) {
  kernels::channel_sums_f32(state.at, x, state.sum);
  for (std::size_t c = 0; c < n.channels; ++c) {
    state.mean[c] = static_cast<float>(state.sum[c] / n.count);
  }
  kernels::channel_squares_f32(state.at, x, state.mean, state.products);
  for (std::size_t c = 0; c < n.channels; ++c) {
    const double variance = state.products[c] / n.count;
    state.inverse[c] = 1.0 / std::sqrt(variance + n.epsilon);
    move_running(n, c, state.sum[c] / n.count, variance);
  }
}

void use_running(State& state, const Numbers& n) {
  for (std::size_t c = 0; c < n.channels; ++c) {
    state.mean[c] = n.running_mean[c];
    state.inverse[c] = 1.0 / std::sqrt(double{n.running_var[c]} + n.epsilon);
  }
}

void normalise(State& state, const Numbers& n, std::span<const float> x, std::span<float> y) {
  for (std::size_t c = 0; c < n.channels; ++c) {
    state.scale[c] = static_cast<float>(n.weight[c] * state.inverse[c]);
    state.shift[c] = n.bias[c];
  }
  kernels::channel_map_f32(state.at, {state.mean, state.scale, state.shift}, x, y);
}

/// dweight = Σ x̂·dy, dbias = Σ dy.
void parameter_gradients(State& state, const Numbers& n, float* dweight, float* dbias) {
  for (std::size_t c = 0; c < n.channels; ++c) {
    dweight[c] = static_cast<float>(state.products[c] * state.inverse[c]);
    dbias[c] = static_cast<float>(state.sum[c]);
  }
}

/// dx = w·r·(dy − Σdy/count − (x − μ)·r²·Σ(x − μ)·dy/count), r = inverse
void input_gradient(State& state,
                    const Numbers& n,
                    std::span<const float> x,
                    std::span<const float> dy,
                    std::span<float> dx) {
  for (std::size_t c = 0; c < n.channels; ++c) {
    const double scale = n.weight[c] * state.inverse[c];
    const double inverse = state.inverse[c];
    state.scale[c] = static_cast<float>(scale);
    state.slope[c] = static_cast<float>(scale * inverse * inverse * state.products[c] / n.count);
    state.shift[c] = static_cast<float>(-scale * state.sum[c] / n.count);
  }
  kernels::channel_slopes_f32(
      state.at, {state.mean, state.scale, state.shift}, {state.slope, x, dy, dx});
}

}  // namespace

// Training: the batch's mean and variance, which then move the running ones. Evaluation: those.
void add_layer(Graph& graph, const BatchNorm& layer, const Place& place) {
  const Value x = describe::in_channels(graph, graph.current);
  const auto state = std::make_shared<State>(describe::channels_of(x.desc).value());
  const Value y = graph.make(x.desc);
  const std::size_t values = state->at.values();
  const std::array<Tensor, 4> tensors{
      place.tensors[0], place.tensors[1], place.tensors[2], place.tensors[3]};
  const auto channels = static_cast<std::size_t>(x.dims()[1]);
  const Numbers fixed{channels,
                      static_cast<double>(state->at.examples * state->at.positions),
                      layer.epsilon,
                      layer.momentum};
  const auto numbers = [&graph, fixed, tensors] {
    Numbers n = fixed;
    n.weight = graph.at(tensors[0].value);
    n.bias = graph.at(tensors[1].value);
    n.running_mean = graph.at(tensors[2].value);
    n.running_var = graph.at(tensors[3].value);
    return n;
  };
  graph.step(Pass::forward, {x, y}, [=, &graph] {
    const Numbers n = numbers();
    const std::span<const float> in(graph.at(x), values);
    if (graph.training()) {
      measure(*state, n, in);
    } else {
      use_running(*state, n);
    }
    normalise(*state, n, in, {graph.at(y), values});
  });
  graph.current = y;
  graph.on_backward(
      [=, &graph](const Value& gradient, bool wanted) {
        const Value dy = graph.converted(Pass::backward, gradient, x.desc);
        const Value dx = !wanted ? Value{} : dy.exclusive ? dy : graph.make(x.desc);
        graph.step(Pass::backward, {x, dy, dx}, [=, &graph] {
          const Numbers n = numbers();
          const std::span<const float> in(graph.at(x), values);
          const std::span<const float> above(graph.at(dy), values);
          kernels::channel_products_f32(state->at, in, state->mean, above, state->products);
          kernels::channel_sums_f32(state->at, above, state->sum);
          parameter_gradients(
              *state, n, graph.at(tensors[0].gradient), graph.at(tensors[1].gradient));
          if (dx) input_gradient(*state, n, in, above, {graph.at(dx), values});
        });
        return dx;
      },
      true);
}

}  // namespace chorus::train
