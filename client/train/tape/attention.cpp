// Multi-head self-attention: softmax(Q·Kᵀ / √d)·V per example and head, between two dense layers.
#include <algorithm>
#include <cmath>
#include <span>

#include "chorus/kernels/training.hpp"
#include "client/train/tape/layers.hpp"
#include "client/train/tape/linear.hpp"
#include "client/train/tape/lora.hpp"

namespace chorus::train {
namespace {

struct Sizes {
  std::size_t batch = 0;
  std::size_t steps = 0;
  std::size_t features = 0;
  std::size_t heads = 0;
  bool causal = false;

  std::size_t rows() const { return batch * steps; }
  std::size_t depth() const { return features / heads; }
  float scale() const { return 1.0F / std::sqrt(static_cast<float>(depth())); }
  /// Steps that step i sees.
  std::size_t seen(std::size_t i) const { return causal ? i + 1 : steps; }
};

// Where the parts of one head of one example begin. Rows of q, k, v are 3 · features apart.
struct Head {
  std::size_t q, k, v;  // in (rows, 3 · features)
  std::size_t weights;  // in (batch, heads, steps, steps)
  std::size_t out;      // in (rows, features)

  Head(const Sizes& s, std::size_t n, std::size_t head)
      : q(n * s.steps * 3 * s.features + head * s.depth()),
        k(q + s.features),
        v(k + s.features),
        weights((n * s.heads + head) * s.steps * s.steps),
        out(n * s.steps * s.features + head * s.depth()) {}
};

void softmax_rows(const Sizes& s, float* scores) {
  for (std::size_t i = 0; i < s.steps; ++i) {
    float* const row = scores + i * s.steps;
    const std::size_t seen = s.seen(i);
    kernels::softmax_f32({row, seen}, {row, seen});
    std::fill(row + seen, row + s.steps, 0.0F);
  }
}

// In place: slopes of the weights to slopes of the scores.
void softmax_rows_backward(const Sizes& s, const float* weights, float* slopes) {
  for (std::size_t i = 0; i < s.steps; ++i) {
    const std::span<float> slope(slopes + i * s.steps, s.steps);
    kernels::softmax_backward_f32({weights + i * s.steps, s.steps}, slope, slope);
  }
}

void attend(const Sizes& s, const float* qkv, float* weights, float* out) {
  const std::size_t ld = 3 * s.features;
  const std::size_t t = s.steps;
  for (std::size_t n = 0; n < s.batch; ++n) {
    for (std::size_t head = 0; head < s.heads; ++head) {
      const Head h(s, n, head);
      float* const w = weights + h.weights;
      multiply_nt({t, t, s.depth(), qkv + h.q, ld, qkv + h.k, ld, w, t, s.scale(), 0.0F});
      softmax_rows(s, w);
      multiply_nn({t, s.depth(), t, w, t, qkv + h.v, ld, out + h.out, s.features, 1.0F, 0.0F});
    }
  }
}

struct Slopes {
  const float* out;  // (rows, features): in
  float* qkv;        // (rows, 3 · features): out
  float* scratch;    // (steps, steps)
};

void attend_backward(const Sizes& s, const float* qkv, const float* weights, const Slopes& d) {
  const std::size_t ld = 3 * s.features;
  const std::size_t t = s.steps;
  const std::size_t depth = s.depth();
  float* const dw = d.scratch;
  for (std::size_t n = 0; n < s.batch; ++n) {
    for (std::size_t head = 0; head < s.heads; ++head) {
      const Head h(s, n, head);
      const float* const w = weights + h.weights;
      const float* const dout = d.out + h.out;
      multiply_tn({t, depth, t, w, t, dout, s.features, d.qkv + h.v, ld, 1.0F, 0.0F});
      multiply_nt({t, t, depth, dout, s.features, qkv + h.v, ld, dw, t, 1.0F, 0.0F});
      softmax_rows_backward(s, w, dw);
      multiply_nn({t, depth, t, dw, t, qkv + h.k, ld, d.qkv + h.q, ld, s.scale(), 0.0F});
      multiply_tn({t, depth, t, dw, t, qkv + h.q, ld, d.qkv + h.k, ld, s.scale(), 0.0F});
    }
  }
}

}  // namespace

void add_layer(Graph& graph, const SelfAttention& layer, const Place& place) {
  const Value x = graph.rows(Pass::forward, graph.current);
  const Dims dims = x.dims();
  const Sizes s{static_cast<std::size_t>(dims[0]),
                static_cast<std::size_t>(dims[1]),
                static_cast<std::size_t>(dims[2]),
                layer.heads,
                layer.causal};
  const Tensor in_weight = place.tensors[0];
  const Tensor in_bias = place.tensors[1];
  const std::size_t adapted = layer.lora_rank > 0 ? 2 : 0;  // tensors between those of in and out
  const Tensor out_weight = place.tensors[2 + adapted];
  const Tensor out_bias = place.tensors[3 + adapted];
  const std::int64_t steps = dims[1];
  const Value qkv = graph.make(Dims{dims[0], steps, 3 * dims[2]});
  const Value weights =
      graph.make(Dims{dims[0], static_cast<std::int64_t>(layer.heads), steps, steps});
  const Value mixed = graph.make(x.desc);
  const Value y = graph.make(x.desc);
  const std::size_t f = s.features;
  const auto adapter = [&](std::size_t outputs, std::size_t first) {
    const auto scale = static_cast<float>(lora_scale(layer));
    return Adapter(graph,
                   {s.rows(), f, outputs, layer.lora_rank, scale},
                   place.tensors.subspan(first, adapted));
  };
  const Adapter adapter_in = adapter(3 * f, 2);
  const Adapter adapter_out = adapter(f, 4 + adapted);
  const auto into = [=, &graph] {
    return Linear{s.rows(), f, 3 * f, graph.at(in_weight.value), graph.at(in_bias.value)};
  };
  const auto out_of = [=, &graph] {
    return Linear{s.rows(), f, f, graph.at(out_weight.value), graph.at(out_bias.value)};
  };
  graph.step(Pass::forward,
             {x, qkv, weights, mixed, y, adapter_in.hidden(), adapter_out.hidden()},
             [=, &graph] {
               into().forward(graph.at(x), f, graph.at(qkv), 3 * f);
               adapter_in.forward(graph.at(x), graph.at(qkv));
               attend(s, graph.at(qkv), graph.at(weights), graph.at(mixed));
               out_of().forward(graph.at(mixed), f, graph.at(y), f);
               adapter_out.forward(graph.at(mixed), graph.at(y));
             });
  graph.current = y;
  graph.on_backward(
      [=, &graph](const Value& gradient, bool wanted) {
        const Value dy = graph.rows(Pass::backward, gradient);
        const Value dx = wanted ? graph.make(x.desc) : Value{};
        const Value dmixed = graph.make(x.desc);
        const Value dqkv = graph.make(qkv.desc);
        const Value scratch = graph.make(Dims{steps, steps});
        const Value back_in = adapter_in.scratch();
        const Value back_out = adapter_out.scratch();
        const auto work = [=, &graph] {
          const float* const above = graph.at(dy);
          const float* const between = graph.at(mixed);
          float* const slopes = graph.at(dqkv);
          out_of().input_gradient(above, f, graph.at(dmixed), 0.0F);
          adapter_out.backward(between, {above, graph.at(dmixed), back_out});
          if (out_weight.trained) {
            weight_gradient(
                {s.rows(), f, f, between, f, above, f, graph.at(out_weight.gradient), nullptr},
                nullptr);
          }
          sum_rows(above, f, s.rows(), f, graph.at(out_bias.gradient));
          attend_backward(
              s, graph.at(qkv), graph.at(weights), {graph.at(dmixed), slopes, graph.at(scratch)});
          const float* const in = graph.at(x);
          if (in_weight.trained) {
            weight_gradient(
                {s.rows(), f, 3 * f, in, f, slopes, 3 * f, graph.at(in_weight.gradient), nullptr},
                nullptr);
          }
          sum_rows(slopes, 3 * f, s.rows(), 3 * f, graph.at(in_bias.gradient));
          if (dx) into().input_gradient(slopes, 3 * f, graph.at(dx), 0.0F);
          adapter_in.backward(in, {slopes, dx ? graph.at(dx) : nullptr, back_in});
        };
        graph.step(Pass::backward,
                   {x,
                    dy,
                    dx,
                    dmixed,
                    dqkv,
                    scratch,
                    qkv,
                    weights,
                    mixed,
                    back_in,
                    back_out,
                    adapter_in.hidden(),
                    adapter_out.hidden()},
                   work);
        return dx;
      },
      true);
}

}  // namespace chorus::train
