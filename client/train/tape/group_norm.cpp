// Group norm and scale-and-shift, on the loops over channels, in whatever layout they know.
#include <cmath>
#include <memory>
#include <vector>

#include "chorus/kernels/channels.hpp"
#include "client/train/tape/describe.hpp"
#include "client/train/tape/layers.hpp"

namespace chorus::train {
namespace {

using kernels::ChannelLayout;

/// Per channel, padding included: what padding holds is 0, so its values stay 0.
struct Channels {
  explicit Channels(std::size_t count)
      : scale(count), shift(count), slope(count), sum(count), products(count) {}
  std::vector<float> scale, shift, slope;
  std::vector<double> sum, products;
};

// ---- group norm ----

struct Groups {
  ChannelLayout at;  ///< of one example
  std::size_t batch = 0;
  std::size_t channels = 0;
  std::size_t count = 0;  ///< of groups
  double epsilon = 0.0;

  std::size_t members() const { return channels / count; }
  double size() const { return static_cast<double>(members() * at.positions); }
};

struct GroupState {
  GroupState(const Groups& g)
      : now(g.at.channels()),
        mean(g.batch * g.at.channels()),
        inverse(g.batch * g.at.channels()),
        dweight(g.channels),
        dbias(g.channels) {}
  Channels now;                 ///< of the example at hand
  std::vector<float> mean;      ///< of each example and channel: its group's
  std::vector<double> inverse;  ///< 1 / sqrt(variance + epsilon)
  std::vector<double> dweight, dbias;
};

// write(c, f(sum of one group's channels)) for every channel c of the group.
template <class Sum, class Write>
void by_group(const Groups& g, const Sum& of_channel, const Write& write) {
  for (std::size_t first = 0; first < g.channels; first += g.members()) {
    double sum = 0.0;
    for (std::size_t c = first; c < first + g.members(); ++c) sum += of_channel(c);
    for (std::size_t c = first; c < first + g.members(); ++c) write(c, sum);
  }
}

void normalise(const Groups& g,
               GroupState& state,
               std::size_t n,
               const float* weight,
               const float* bias,
               std::span<const float> x,
               std::span<float> y) {
  Channels& now = state.now;
  const std::size_t stride = g.at.channels();
  const std::span<float> mean(state.mean.data() + n * stride, stride);
  double* const inverse = state.inverse.data() + n * stride;
  kernels::channel_sums_f32(g.at, x, now.sum);
  by_group(
      g,
      [&](std::size_t c) { return now.sum[c]; },
      [&](std::size_t c, double sum) { mean[c] = static_cast<float>(sum / g.size()); });
  kernels::channel_squares_f32(g.at, x, mean, now.products);
  by_group(
      g,
      [&](std::size_t c) { return now.products[c]; },
      [&](std::size_t c, double sum) { inverse[c] = 1.0 / std::sqrt(sum / g.size() + g.epsilon); });
  for (std::size_t c = 0; c < g.channels; ++c) {
    now.scale[c] = static_cast<float>(double{weight[c]} * inverse[c]);
    now.shift[c] = bias[c];
  }
  kernels::channel_map_f32(g.at, {mean, now.scale, now.shift}, x, y);
}

// With r = inverse, x̂ = (x − μ)·r, sums over the group:
// dx = r·(w·dy − Σ w·dy / size − x̂·Σ w·dy·x̂ / size); dweight += Σ dy·x̂, dbias += Σ dy.
void go_back(const Groups& g,
             GroupState& state,
             std::size_t n,
             const float* weight,
             std::span<const float> x,
             std::span<const float> dy,
             std::span<float> dx) {
  Channels& now = state.now;
  const std::size_t stride = g.at.channels();
  const std::span<const float> mean(state.mean.data() + n * stride, stride);
  const double* const inverse = state.inverse.data() + n * stride;
  kernels::channel_sums_f32(g.at, dy, now.sum);
  kernels::channel_products_f32(g.at, x, mean, dy, now.products);
  for (std::size_t c = 0; c < g.channels; ++c) {
    state.dweight[c] += now.products[c] * inverse[c];
    state.dbias[c] += now.sum[c];
    now.scale[c] = static_cast<float>(double{weight[c]} * inverse[c]);
  }
  by_group(
      g,
      [&](std::size_t c) { return double{weight[c]} * now.sum[c]; },
      [&](std::size_t c, double sum) {
        now.shift[c] = static_cast<float>(-inverse[c] * sum / g.size());
      });
  by_group(
      g,
      [&](std::size_t c) { return double{weight[c]} * now.products[c] * inverse[c]; },
      [&](std::size_t c, double sum) {
        now.slope[c] = static_cast<float>(inverse[c] * inverse[c] * sum / g.size());
      });
  kernels::channel_slopes_f32(g.at, {mean, now.scale, now.shift}, {now.slope, x, dy, dx});
}

void store(const std::vector<double>& sums, float* gradient) {
  for (std::size_t c = 0; c < sums.size(); ++c) gradient[c] = static_cast<float>(sums[c]);
}

}  // namespace

void add_layer(Graph& graph, const GroupNorm& layer, const Place& place) {
  const Value x = describe::in_channels(graph, graph.current);
  Groups g;
  g.at = describe::channels_of(x.desc).value();
  g.batch = g.at.examples;
  g.at.examples = 1;
  g.channels = static_cast<std::size_t>(x.dims()[1]);
  g.count = layer.groups;
  g.epsilon = layer.epsilon;
  const auto state = std::make_shared<GroupState>(g);
  const Tensor weight = place.tensors[0];
  const Tensor bias = place.tensors[1];
  const Value y = graph.make(x.desc);
  const std::size_t values = g.at.values();
  const auto example = [values](float* numbers, std::size_t n) {
    return std::span<float>(numbers + n * values, values);
  };
  graph.step(Pass::forward, {x, y}, [=, &graph] {
    for (std::size_t n = 0; n < g.batch; ++n) {
      normalise(g,
                *state,
                n,
                graph.at(weight.value),
                graph.at(bias.value),
                example(graph.at(x), n),
                example(graph.at(y), n));
    }
  });
  graph.current = y;
  graph.on_backward(
      [=, &graph](const Value& gradient, bool) {
        const Value dy = graph.converted(Pass::backward, gradient, x.desc);
        const Value dx = dy.exclusive ? dy : graph.make(x.desc);
        graph.step(Pass::backward, {x, dy, dx}, [=, &graph] {
          state->dweight.assign(g.channels, 0.0);
          state->dbias.assign(g.channels, 0.0);
          for (std::size_t n = 0; n < g.batch; ++n) {
            go_back(g,
                    *state,
                    n,
                    graph.at(weight.value),
                    example(graph.at(x), n),
                    example(graph.at(dy), n),
                    example(graph.at(dx), n));
          }
          store(state->dweight, graph.at(weight.gradient));
          store(state->dbias, graph.at(bias.gradient));
        });
        return dx;
      },
      true);
}

void add_layer(Graph& graph, const ScaleShift&, const Place& place) {
  const Value x = describe::in_channels(graph, graph.current);
  const ChannelLayout at = describe::channels_of(x.desc).value();
  const auto channels = static_cast<std::size_t>(x.dims()[1]);
  const Tensor weight = place.tensors[0];
  const Tensor bias = place.tensors[1];
  const auto state = std::make_shared<Channels>(at.channels());
  const auto zeros = std::make_shared<const std::vector<float>>(at.channels());
  const Value y = graph.make(x.desc);
  const std::size_t values = at.values();
  graph.step(Pass::forward, {x, y}, [=, &graph] {
    std::copy_n(graph.at(weight.value), channels, state->scale.data());
    std::copy_n(graph.at(bias.value), channels, state->shift.data());
    kernels::channel_map_f32(
        at, {*zeros, state->scale, state->shift}, {graph.at(x), values}, {graph.at(y), values});
  });
  graph.current = y;
  graph.on_backward(
      [=, &graph](const Value& gradient, bool wanted) {
        const Value dy = graph.converted(Pass::backward, gradient, x.desc);
        const Value dx = !wanted ? Value{} : dy.exclusive ? dy : graph.make(x.desc);
        graph.step(Pass::backward, {x, dy, dx}, [=, &graph] {
          const std::span<const float> in(graph.at(x), values);
          const std::span<const float> above(graph.at(dy), values);
          kernels::channel_sums_f32(at, above, state->sum);
          kernels::channel_products_f32(at, in, *zeros, above, state->products);
          for (std::size_t c = 0; c < channels; ++c) {
            graph.at(weight.gradient)[c] = static_cast<float>(state->products[c]);
            graph.at(bias.gradient)[c] = static_cast<float>(state->sum[c]);
          }
          if (!dx) return;
          kernels::channel_slopes_f32(
              at, {*zeros, state->scale, *zeros}, {*zeros, in, above, {graph.at(dx), values}});
        });
        return dx;
      },
      true);
}

}  // namespace chorus::train
