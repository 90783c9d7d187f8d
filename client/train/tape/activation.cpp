// Activations and dropout.
#include <array>

#include "chorus/kernels/training.hpp"
#include "client/train/tape/describe.hpp"
#include "client/train/tape/layers.hpp"
#include "common/base/rng.hpp"

namespace chorus::train {
namespace {

std::size_t stored(const Value& value) {
  return value.desc.get_size() / sizeof(float);
}

// y = x where x > 0, else slope·x; in place where nobody else needs x. The derivative follows from
// y: its sign is x's when slope > 0, and y > 0 exactly where x > 0 when slope = 0.
void add_relu(Graph& graph, float slope) {
  const Value x = graph.current;
  const Value y = x.exclusive ? x : graph.make(x.desc);
  const std::size_t count = stored(x);
  graph.step(Pass::forward, {x, y}, [=, &graph] {
    kernels::relu_f32({graph.at(x), count}, slope, {graph.at(y), count});
  });
  graph.current = y;
  graph.current.exclusive = false;  // the derivative needs y
  graph.on_backward([=, &graph](const Value& gradient, bool wanted) {
    if (!wanted) return Value{};
    const Value dy = graph.converted(Pass::backward, gradient, y.desc);
    const Value dx = dy.exclusive ? dy : graph.make(dy.desc);
    graph.step(Pass::backward, {y, dy, dx}, [=, &graph] {
      kernels::relu_backward_f32(
          {graph.at(y), count}, {graph.at(dy), count}, slope, {graph.at(dx), count});
    });
    return dx;
  });
}

// By oneDNN, in the layout the values come in. `from_output`: the derivative takes y, not x.
void add_eltwise(Graph& graph, dnnl::algorithm algorithm, bool from_output) {
  const Value x = graph.current;
  const Value y = graph.make(x.desc);
  const auto forward = describe::forward(graph, algorithm, x.desc);
  graph.step<dnnl::eltwise_forward>(Pass::forward, forward, {{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, y}});
  // The derivative needs y as it is: what follows must not overwrite it.
  graph.current = y;
  if (from_output) graph.current.exclusive = false;
  graph.on_backward([=, &graph](const Value& gradient, bool wanted) {
    if (!wanted) return Value{};
    const Value dy = graph.converted(Pass::backward, gradient, x.desc);
    const Value dx = graph.make(x.desc);
    graph.step<dnnl::eltwise_backward>(
        Pass::backward,
        describe::backward(graph, algorithm, x.desc, forward),
        {{from_output ? DNNL_ARG_DST : DNNL_ARG_SRC, from_output ? y : x},
         {DNNL_ARG_DIFF_DST, dy},
         {DNNL_ARG_DIFF_SRC, dx}});
    return dx;
  });
}

}  // namespace

void add_layer(Graph& graph, const Relu&, const Place&) {
  add_relu(graph, 0.0F);
}
void add_layer(Graph& graph, const LeakyRelu& layer, const Place&) {
  add_relu(graph, static_cast<float>(layer.slope));
}
void add_layer(Graph& graph, const Gelu&, const Place&) {
  add_eltwise(graph, dnnl::algorithm::eltwise_gelu_erf, false);
}
void add_layer(Graph& graph, const Silu&, const Place&) {
  add_eltwise(graph, dnnl::algorithm::eltwise_swish, false);
}
void add_layer(Graph& graph, const Tanh&, const Place&) {
  add_eltwise(graph, dnnl::algorithm::eltwise_tanh_use_dst_for_bwd, true);
}
void add_layer(Graph& graph, const Sigmoid&, const Place&) {
  add_eltwise(graph, dnnl::algorithm::eltwise_logistic_use_dst_for_bwd, true);
}

void add_layer(Graph& graph, const Softmax&, const Place&) {
  const Value x = graph.rows(Pass::forward, graph.current);
  const Value y = graph.make(x.desc);
  const auto width = static_cast<std::size_t>(x.dims().back());
  const std::size_t rows = elements(x.dims()) / width;
  graph.step(Pass::forward, {x, y}, [=, &graph] {
    for (std::size_t i = 0; i < rows; ++i) {
      kernels::softmax_f32({graph.at(x) + i * width, width}, {graph.at(y) + i * width, width});
    }
  });
  graph.current = y;
  graph.current.exclusive = false;
  graph.on_backward([=, &graph](const Value& gradient, bool wanted) {
    if (!wanted) return Value{};
    const Value dy = graph.rows(Pass::backward, gradient);
    const Value dx = graph.make(x.desc);
    graph.step(Pass::backward, {y, dy, dx}, [=, &graph] {
      for (std::size_t i = 0; i < rows; ++i) {
        const std::size_t at = i * width;
        kernels::softmax_backward_f32(
            {graph.at(y) + at, width}, {graph.at(dy) + at, width}, {graph.at(dx) + at, width});
      }
    });
    return dx;
  });
}

void add_layer(Graph& graph, const Dropout& layer, const Place& place) {
  if (!graph.training() || layer.rate == 0.0) return;
  const Value x = graph.rows(Pass::forward, graph.current);
  const Value y = graph.make(x.desc);
  const Value mask = graph.make(x.desc);
  const std::size_t count = elements(x.dims());
  const auto scale = static_cast<float>(1.0 / (1.0 - layer.rate));
  const auto threshold = static_cast<std::uint32_t>(layer.rate * 0x1.0p32);
  const auto number = static_cast<std::uint32_t>(place.number);
  graph.step(Pass::forward, {x, y, mask}, [=, &graph] {
    const Running& now = graph.running();
    const std::array<std::uint32_t, 2> key = {static_cast<std::uint32_t>(now.key),
                                              static_cast<std::uint32_t>(now.key >> 32U)};
    const float* const in = graph.at(x);
    float* const out = graph.at(y);
    float* const kept = graph.at(mask);
    for (std::size_t i = 0; i < count; i += 4) {
      // A function of the value's place, the layer and the step: threads and order do not matter.
      const auto words = philox4x32({static_cast<std::uint32_t>(i / 4),
                                     number,
                                     static_cast<std::uint32_t>(now.step),
                                     static_cast<std::uint32_t>(now.step >> 32U)},
                                    key);
      for (std::size_t j = i; j < i + 4 && j < count; ++j) {
        kept[j] = words[j - i] >= threshold ? scale : 0.0F;
        out[j] = in[j] * kept[j];
      }
    }
  });
  graph.current = y;
  graph.on_backward([=, &graph](const Value& gradient, bool wanted) {
    if (!wanted) return Value{};
    const Value dy = graph.rows(Pass::backward, gradient);
    const Value dx = dy.exclusive ? dy : graph.make(dy.desc);
    graph.step(Pass::backward, {dy, dx, mask}, [=, &graph] {
      const float* const above = graph.at(dy);
      const float* const kept = graph.at(mask);
      float* const below = graph.at(dx);
      for (std::size_t i = 0; i < count; ++i) below[i] = above[i] * kept[i];
    });
    return dx;
  });
}

}  // namespace chorus::train
