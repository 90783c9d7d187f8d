// Group norm and scale-and-shift: plain loops over channels. Compiled with -O3.
#include <algorithm>
#include <cmath>

#include "client/train/tape/layers.hpp"

namespace chorus::train {
namespace {

// A sum in sixteen parts, so that the loop is vectorised and the error does not grow with n.
template <class Term>
double sum_of(std::size_t n, const Term& term) {
  constexpr std::size_t kParts = 16;
  float parts[kParts] = {};
  double sum = 0.0;
  std::size_t i = 0;
  for (; i + kParts <= n; i += kParts) {
    for (std::size_t j = 0; j < kParts; ++j) parts[j] += term(i + j);
    if (i / kParts % 256 == 255) {  // long sums leave float in time
      for (float& part : parts) {
        sum += double{part};
        part = 0.0F;
      }
    }
  }
  for (const float part : parts) sum += double{part};
  for (; i < n; ++i) sum += double{term(i)};
  return sum;
}

struct Sizes {
  std::size_t batch;
  std::size_t channels;
  std::size_t positions;
};

Sizes sizes_of(const Value& value) {
  const Dims dims = value.dims();
  const auto batch = static_cast<std::size_t>(dims[0]);
  const auto channels = static_cast<std::size_t>(dims[1]);
  return {batch, channels, elements(dims) / batch / channels};
}

struct Moments {
  float mean;
  float scale;  // 1 / sqrt(variance + epsilon)
};

Moments moments_of(const float* x, std::size_t n, double epsilon) {
  const double mean = sum_of(n, [x](std::size_t i) { return x[i]; }) / static_cast<double>(n);
  const auto middle = static_cast<float>(mean);
  const double squares = sum_of(n, [x, middle](std::size_t i) {
    const float off = x[i] - middle;
    return off * off;
  });
  const double variance = squares / static_cast<double>(n);
  return {middle, static_cast<float>(1.0 / std::sqrt(variance + epsilon))};
}

}  // namespace

void add_layer(Graph& graph, const GroupNorm& layer, const Place& place) {
  const Value x = graph.rows(Pass::forward, graph.current);
  const Sizes s = sizes_of(x);
  const std::size_t groups = layer.groups;
  const std::size_t members = s.channels / groups;
  const std::size_t size = members * s.positions;  // of a group
  const double epsilon = layer.epsilon;
  const Tensor weight = place.tensors[0];
  const Tensor bias = place.tensors[1];
  const Value y = graph.make(x.desc);
  const Value moments =
      graph.make(Dims{static_cast<std::int64_t>(s.batch), static_cast<std::int64_t>(groups), 2});
  graph.step(Pass::forward, {x, y, moments}, [=, &graph] {
    const float* const w = graph.at(weight.value);
    const float* const b = graph.at(bias.value);
    for (std::size_t g = 0; g < s.batch * groups; ++g) {
      const float* const in = graph.at(x) + g * size;
      float* const out = graph.at(y) + g * size;
      const Moments m = moments_of(in, size, epsilon);
      graph.at(moments)[2 * g] = m.mean;
      graph.at(moments)[2 * g + 1] = m.scale;
      for (std::size_t c = 0; c < members; ++c) {
        const std::size_t channel = g % groups * members + c;
        const float scale = m.scale * w[channel];
        const float shift = b[channel] - m.mean * scale;
        const std::size_t first = c * s.positions;
        for (std::size_t i = first; i < first + s.positions; ++i) out[i] = in[i] * scale + shift;
      }
    }
  });
  graph.current = y;
  graph.on_backward(
      [=, &graph](const Value& gradient, bool) {
        const Value dy = graph.rows(Pass::backward, gradient);
        const Value dx = graph.make(x.desc);
        graph.step(Pass::backward, {x, dy, dx, moments}, [=, &graph] {
          const float* const w = graph.at(weight.value);
          float* const dw = graph.at(weight.gradient);
          float* const db = graph.at(bias.gradient);
          std::fill_n(dw, s.channels, 0.0F);
          std::fill_n(db, s.channels, 0.0F);
          for (std::size_t g = 0; g < s.batch * groups; ++g) {
            const float* const in = graph.at(x) + g * size;
            const float* const above = graph.at(dy) + g * size;
            float* const below = graph.at(dx) + g * size;
            const float mean = graph.at(moments)[2 * g];
            const float scale = graph.at(moments)[2 * g + 1];
            double sum = 0.0;     // Σ w·dy
            double with_x = 0.0;  // Σ w·dy·x̂
            for (std::size_t c = 0; c < members; ++c) {
              const std::size_t channel = g % groups * members + c;
              const float* const in_c = in + c * s.positions;
              const float* const above_c = above + c * s.positions;
              const double slopes =
                  sum_of(s.positions, [above_c](std::size_t i) { return above_c[i]; });
              const double weighted = sum_of(s.positions, [=](std::size_t i) {
                return above_c[i] * ((in_c[i] - mean) * scale);
              });
              dw[channel] += static_cast<float>(weighted);
              db[channel] += static_cast<float>(slopes);
              sum += slopes * double{w[channel]};
              with_x += weighted * double{w[channel]};
            }
            const auto n = static_cast<double>(size);
            const auto flat = static_cast<float>(sum / n);
            const auto tilt = static_cast<float>(with_x / n);
            for (std::size_t c = 0; c < members; ++c) {
              const float factor = w[g % groups * members + c];
              const std::size_t first = c * s.positions;
              for (std::size_t i = first; i < first + s.positions; ++i) {
                const float normal = (in[i] - mean) * scale;
                below[i] = scale * (factor * above[i] - flat - normal * tilt);
              }
            }
          }
        });
        return dx;
      },
      true);
}

void add_layer(Graph& graph, const ScaleShift&, const Place& place) {
  const Value x = graph.rows(Pass::forward, graph.current);
  const Sizes s = sizes_of(x);
  const Tensor weight = place.tensors[0];
  const Tensor bias = place.tensors[1];
  const Value y = graph.make(x.desc);
  graph.step(Pass::forward, {x, y}, [=, &graph] {
    for (std::size_t row = 0; row < s.batch * s.channels; ++row) {
      const float scale = graph.at(weight.value)[row % s.channels];
      const float shift = graph.at(bias.value)[row % s.channels];
      const float* const in = graph.at(x) + row * s.positions;
      float* const out = graph.at(y) + row * s.positions;
      for (std::size_t i = 0; i < s.positions; ++i) out[i] = in[i] * scale + shift;
    }
  });
  graph.current = y;
  graph.on_backward(
      [=, &graph](const Value& gradient, bool wanted) {
        const Value dy = graph.rows(Pass::backward, gradient);
        const Value dx = wanted ? graph.make(x.desc) : Value{};
        graph.step(Pass::backward, {x, dy, dx}, [=, &graph] {
          float* const dw = graph.at(weight.gradient);
          float* const db = graph.at(bias.gradient);
          std::fill_n(dw, s.channels, 0.0F);
          std::fill_n(db, s.channels, 0.0F);
          for (std::size_t row = 0; row < s.batch * s.channels; ++row) {
            const float* const in = graph.at(x) + row * s.positions;
            const float* const above = graph.at(dy) + row * s.positions;
            dw[row % s.channels] += static_cast<float>(
                sum_of(s.positions, [=](std::size_t i) { return above[i] * in[i]; }));
            db[row % s.channels] +=
                static_cast<float>(sum_of(s.positions, [=](std::size_t i) { return above[i]; }));
            if (!dx) continue;
            const float scale = graph.at(weight.value)[row % s.channels];
            float* const below = graph.at(dx) + row * s.positions;
            for (std::size_t i = 0; i < s.positions; ++i) below[i] = above[i] * scale;
          }
        });
        return dx;
      },
      true);
}

}  // namespace chorus::train
