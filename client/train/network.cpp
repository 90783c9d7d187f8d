#include "client/train/network.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>
#include <variant>

#include "common/base/assert.hpp"
#include "common/base/try.hpp"
#include "common/tensor/layer_names.hpp"

namespace chorus::train {
namespace {

// A task needs two (whole and last batch), or four with evaluation in between; each holds a
// batch's activations, so forgotten sizes must not pile up.
constexpr std::size_t kTapesMax = 8;

std::size_t product(const std::vector<std::uint64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::uint64_t{1}, std::multiplies<>());
}

std::int64_t dim(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}

}  // namespace

Network::Network(ModelSpec model, TensorLayout layout, unsigned threads)
    : model_(std::move(model)), layout_(std::move(layout)), threads_(threads) {}

Result<std::unique_ptr<Network>> Network::create(const ModelSpec& model, unsigned threads) {
  CHORUS_TRY(const auto shapes, shapes_of(model));
  CHORUS_TRY(TensorLayout layout, layout_of(model));
  const std::uint64_t count = layout.parameters;
  std::unique_ptr<Network> network(new Network(model, std::move(layout), std::max(threads, 1U)));
  network->inputs_ = product(model.input_shape);
  network->outputs_ = shapes.back()[0];
  CHORUS_TRY(network->parameters_, tensor::AlignedBuffer<float>::create(count));
  CHORUS_TRY(network->gradient_, tensor::AlignedBuffer<float>::create(count, tensor::Fill::zero));
  return network;
}

Result<void> Network::accepts(const client::Dataset& data) const {
  const auto& have = data.feature_shape();
  const auto& want = model_.input_shape;
  const bool flat = have.size() == 1 || want.size() == 1;
  if (have != want && !(flat && data.feature_count() == inputs_)) {
    return fail(errc::unsupported_feature,
                fmt::format("the examples here are {}; the model expects {}",
                            tensor::describe_shape(have),
                            tensor::describe_shape(want)));
  }
  for (std::size_t i = 0; i < data.size(); ++i) {
    if (data.label(i) >= outputs_) {
      return fail(errc::unsupported_feature,
                  fmt::format("example {} here has label {}; the model's {} outputs stand for the "
                              "labels 0 to {}",
                              i,
                              data.label(i),
                              outputs_,
                              outputs_ - 1));
    }
  }
  return {};
}

Result<BatchResult> Network::gradient_of(const client::Dataset& data,
                                         std::span<const std::uint32_t> rows) {
  const ThreadLimit limit(threads_);
  CHORUS_TRY(Tape* const tape, tape_for({rows.size(), Tape::Mode::forward_and_backward}));
  load(*tape, data, rows);
  BatchResult result;
  CHORUS_OK(guarded([&] {
    tape->forward();
    result = softmax_cross_entropy(tape->output(), labels_, outputs_, tape->output_gradient());
    tape->backward();
  }));
  return result;
}

Result<BatchResult> Network::loss_of(const client::Dataset& data,
                                     std::span<const std::uint32_t> rows) {
  const ThreadLimit limit(threads_);
  CHORUS_TRY(Tape* const tape, tape_for({rows.size(), Tape::Mode::forward_only}));
  load(*tape, data, rows);
  BatchResult result;
  CHORUS_OK(guarded([&] {
    tape->forward();
    result = softmax_cross_entropy(tape->output(), labels_, outputs_, {});
  }));
  return result;
}

Result<Tape*> Network::tape_for(const Shape& shape) {
  CHORUS_ASSERT(shape.batch > 0);
  if (const auto found = tapes_.find(shape); found != tapes_.end()) return found->second.get();
  if (tapes_.size() >= kTapesMax) tapes_.clear();
  std::unique_ptr<Tape> tape;
  CHORUS_OK(guarded([&] {
    std::vector<std::int64_t> input{dim(shape.batch)};
    for (const std::uint64_t side : model_.input_shape) input.push_back(dim(side));
    tape = std::make_unique<Tape>(shape.mode, input);
    std::size_t next = 0;
    for (const Layer& layer : model_.layers) {
      const bool has_tensors =
          std::holds_alternative<Dense>(layer) || std::holds_alternative<Conv2d>(layer);
      add_layer(*tape, layer, has_tensors ? take_tensors(next, shape.mode) : LayerTensors{});
    }
    tape->finish();
  }));
  return tapes_.emplace(shape, std::move(tape)).first->second.get();
}

// Weight and bias of one layer are neighbours in the layout.
LayerTensors Network::take_tensors(std::size_t& next, Tape::Mode mode) {
  const std::uint64_t weight = layout_.tensors[next].offset;
  const std::uint64_t bias = layout_.tensors[next + 1].offset;
  next += 2;
  LayerTensors tensors{parameters_.data() + weight, parameters_.data() + bias, nullptr, nullptr};
  if (mode == Tape::Mode::forward_and_backward) {
    tensors.weight_gradient = gradient_.data() + weight;
    tensors.bias_gradient = gradient_.data() + bias;
  }
  return tensors;
}

void Network::add_layer(Tape& tape, const Layer& layer, const LayerTensors& tensors) {
  if (const auto* dense = std::get_if<Dense>(&layer)) {
    tape.dense(dim(dense->units), tensors);
  } else if (const auto* conv = std::get_if<Conv2d>(&layer)) {
    tape.convolution(
        dim(conv->channels), {dim(conv->kernel), dim(conv->stride), dim(conv->padding)}, tensors);
  } else if (const auto* pool = std::get_if<MaxPool2d>(&layer)) {
    tape.max_pool({dim(pool->kernel), dim(pool->stride), 0});
  } else if (std::holds_alternative<Relu>(layer)) {
    tape.relu();
  } else {
    tape.flatten();
  }
}

void Network::load(Tape& tape, const client::Dataset& data, std::span<const std::uint32_t> rows) {
  const std::span<float> input = tape.input();
  CHORUS_ASSERT(input.size() == rows.size() * data.feature_count());
  labels_.resize(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto features = data.features(rows[i]);
    std::copy(features.begin(), features.end(), input.subspan(i * features.size()).begin());
    labels_[i] = data.label(rows[i]);
  }
}

}  // namespace chorus::train
