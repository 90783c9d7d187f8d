#include "client/train/network.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>
#include <variant>

#include "common/base/assert.hpp"
#include "common/base/try.hpp"
#include "common/tensor/layer_names.hpp"

namespace chorus::train {
namespace {

// A task needs one or two (training, evaluation), with batch norm four; each holds a batch's
// activations, so forgotten sizes must not pile up.
constexpr std::size_t kTapesMax = 8;

std::size_t product(const std::vector<std::uint64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::uint64_t{1}, std::multiplies<>());
}

bool by_class(const ModelSpec& model) {
  return model.loss == Loss::softmax_cross_entropy;
}

}  // namespace

Network::Network(ModelSpec model, TensorLayout layout, unsigned threads)
    : model_(std::move(model)), layout_(std::move(layout)), threads_(threads) {}

Result<std::unique_ptr<Network>> Network::create(const ModelSpec& model, unsigned threads) {
  CHORUS_TRY(const auto shapes, shapes_of(model));
  CHORUS_TRY(TensorLayout layout, layout_of(model));
  const std::uint64_t count = layout.parameters;
  std::unique_ptr<Network> network(new Network(model, std::move(layout), std::max(threads, 1U)));
  network->trained_.assign(network->layout_.tensors.size(), true);
  network->inputs_ = product(model.input_shape);
  network->outputs_ = product(shapes.back());
  if (by_class(model) && shapes.back().size() == 2) {
    network->steps_of_output_ = shapes.back()[0];
  }
  const bool survival = model.loss == Loss::cox_partial_likelihood;
  network->targets_each_ = by_class(model) ? 0 : survival ? 2 : network->outputs_;
  network->has_batch_norm_ =
      std::any_of(model.layers.begin(), model.layers.end(), [](const Layer& layer) {
        return std::holds_alternative<BatchNorm>(layer);
      });
  CHORUS_TRY(network->parameters_, tensor::AlignedBuffer<float>::create(count));
  CHORUS_TRY(network->gradient_, tensor::AlignedBuffer<float>::create(count, tensor::Fill::zero));
  return network;
}

Result<Network*> Network::twin() {
  if (twin_ == nullptr) {
    CHORUS_TRY(twin_, create(model_, threads_));
  }
  return twin_.get();
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
  const std::size_t targets = data.target_count();
  if (model_.loss == Loss::cox_partial_likelihood && targets != 2) {
    return fail(errc::unsupported_feature,
                fmt::format("the examples here have {} targets each; cox_partial_likelihood "
                            "expects 2, a time and whether it ended (1) or was censored (0)",
                            targets));
  }
  if (model_.loss == Loss::cox_partial_likelihood) return {};
  if (steps_of_output_ > 1 && targets != steps_of_output_) {
    return fail(errc::unsupported_feature,
                fmt::format("the examples here have {} targets each; the model gives scores at {} "
                            "steps and expects a class for each",
                            targets,
                            steps_of_output_));
  }
  if (steps_of_output_ > 1) return {};
  // Without targets of their own, examples aim at their labels.
  if (data.classes() == 0 && (by_class(model_) || targets == 0)) {
    return fail(errc::unsupported_feature,
                "the examples here have no labels; the model's loss expects a class of each");
  }
  const std::size_t aims = targets == 0 ? 1 : targets;
  if (by_class(model_) || aims == outputs_) return {};
  return fail(
      errc::unsupported_feature,
      fmt::format(
          "the examples here have {} targets each; the model has {} outputs", aims, outputs_));
}

Result<BatchResult> Network::gradient_of(const client::Dataset& data,
                                         const Batch& batch,
                                         const FusedStep* fused) {
  const Tape* teacher = nullptr;
  if (teacher_ != nullptr) {
    CHORUS_TRY(teacher, teacher_->forward(data, batch, Tape::kNone));
  }
  const ThreadLimit limit(threads_);
  CHORUS_TRY(last_, tape_for(batch, Tape::Mode::train));
  CHORUS_OK(load(*last_, data, batch));
  last_->set_randomness(key_, step_);
  BatchResult result;
  CHORUS_OK(guarded([&] {
    last_->forward();
    const std::span<float> slopes = last_->output_gradient();
    const std::size_t used = batch.rows.size() * outputs_;
    result = measure(*last_, {0, batch.rows.size()}, slopes.first(used));
    if (teacher != nullptr) {
      distil(distillation_,
             last_->output().first(used),
             teacher->output().first(used),
             labels_,
             slopes.first(used));
    }
    std::fill(slopes.begin() + static_cast<std::ptrdiff_t>(used), slopes.end(), 0.0F);
    last_->backward(fused);
  }));
  return result;
}

void Network::set_trained(const std::vector<bool>& trained) {
  CHORUS_ASSERT(trained.size() == layout_.tensors.size());
  if (trained == trained_) return;
  trained_ = trained;
  tapes_.clear();
}

void Network::set_factors(Tape::Factors factors) {
  if (factors == factors_) return;
  factors_ = factors;
  tapes_.clear();
}

Result<Tape*> Network::forward(const client::Dataset& data,
                               const Batch& batch,
                               std::size_t observed) {
  const ThreadLimit limit(threads_);
  CHORUS_TRY(Tape* const tape, tape_for(batch, Tape::Mode::evaluate, observed));
  CHORUS_OK(load(*tape, data, batch));
  CHORUS_OK(guarded([&] { tape->forward(); }));
  return tape;
}

Result<BatchResult> Network::loss_of(const client::Dataset& data,
                                     const Batch& batch,
                                     Evaluation* whole) {
  CHORUS_TRY(Tape* const tape, forward(data, batch, Tape::kNone));
  const Part all{0, batch.rows.size()};
  if (whole != nullptr) whole->add(tape->output().first(all.count * outputs_), targets_of(all));
  return measure(*tape, all, {});
}

Result<void> Network::losses_of(const client::Dataset& data,
                                const Batch& batch,
                                std::span<double> losses) {
  if (model_.loss == Loss::cox_partial_likelihood) {
    return fail(errc::unsupported_feature,
                "the plan asks for the loss of each example, by a curriculum or a probe; "
                "cox_partial_likelihood has one of a batch only");
  }
  CHORUS_TRY(Tape* const tape, forward(data, batch, Tape::kNone));
  for (std::size_t i = 0; i < losses.size(); ++i) losses[i] = measure(*tape, {i, 1}, {}).loss;
  return {};
}

Result<std::span<const float>> Network::outputs_of(const client::Dataset& data,
                                                   const Batch& batch,
                                                   std::size_t layer) {
  CHORUS_TRY(Tape* const tape, forward(data, batch, layer));
  const std::span<const float> all = tape->observed();
  const std::size_t made_for = std::max(batch.rows.size(), batch.capacity);
  return all.first(all.size() / made_for * batch.rows.size());
}

Targets Network::targets_of(const Part& part) const {
  if (targets_each_ > 0) {
    return {{},
            std::span(targets_).subspan(part.first * targets_each_, part.count * targets_each_)};
  }
  const std::size_t rows = steps_of_output_;
  return {std::span(labels_).subspan(part.first * rows, part.count * rows), {}};
}

BatchResult Network::measure(const Tape& tape, const Part& part, std::span<float> gradient) const {
  BatchResult result =
      train::loss_of(model_.loss,
                     model_.loss_options,
                     tape.output().subspan(part.first * outputs_, part.count * outputs_),
                     outputs_ / steps_of_output_,
                     targets_of(part),
                     gradient);
  const auto steps = static_cast<double>(steps_of_output_);
  result.loss /= steps;
  result.correct /= steps;
  return result;
}

Result<Tape*> Network::tape_for(const Batch& batch, Tape::Mode mode, std::size_t observed) {
  CHORUS_ASSERT(!batch.rows.empty());
  // In evaluation batch norm has fixed statistics: rows do not disturb each other.
  const bool exact = has_batch_norm_ && mode == Tape::Mode::train;
  const std::size_t rows = batch.rows.size();
  const Shape shape{exact ? rows : std::max(rows, batch.capacity), mode, observed};
  if (const auto found = tapes_.find(shape); found != tapes_.end()) return found->second.get();
  if (tapes_.size() >= kTapesMax) tapes_.clear();
  std::unique_ptr<Tape> tape;
  CHORUS_OK(guarded([&] {
    const bool training = mode == Tape::Mode::train;
    tape = std::make_unique<Tape>(Tape::Options{&model_,
                                                &layout_,
                                                parameters_.data(),
                                                training ? gradient_.data() : nullptr,
                                                shape.batch,
                                                mode,
                                                &trained_,
                                                training ? factors_ : Tape::Factors::f32,
                                                observed});
  }));
  return tapes_.emplace(shape, std::move(tape)).first->second.get();
}

Result<void> Network::load(Tape& tape, const client::Dataset& data, const Batch& batch) {
  const std::span<const std::uint32_t> rows = batch.rows;
  const std::span<float> input = tape.input();
  const std::size_t used = rows.size() * data.feature_count();
  CHORUS_ASSERT(input.size() >= used);
  const std::size_t steps = steps_of_output_;
  const bool aims_at_targets = data.target_count() > 0 && (steps > 1 || targets_each_ > 0);
  labels_.resize(rows.size() * steps);
  targets_.resize(rows.size() * (steps > 1 ? steps : targets_each_));
  CHORUS_OK(
      data.read(rows,
                {input.first(used),
                 aims_at_targets ? std::span<std::uint32_t>() : std::span<std::uint32_t>(labels_),
                 aims_at_targets ? std::span<float>(targets_) : std::span<float>()}));
  if (batch.augmenter != nullptr) batch.augmenter->apply(rows, input.first(used));
  if (!aims_at_targets) std::copy_n(labels_.begin(), targets_.size(), targets_.begin());
  CHORUS_OK(check_values(input.first(used), rows));
  if (steps > 1) std::copy(targets_.begin(), targets_.end(), labels_.begin());
  // The rest of the tape's batch: finite numbers that carry no weight.
  std::fill(input.begin() + static_cast<std::ptrdiff_t>(used), input.end(), 0.0F);
  return {};
}

std::size_t Network::arena_bytes() const noexcept {
  std::size_t most = 0;
  for (const auto& [shape, tape] : tapes_) most = std::max(most, tape->arena_bytes());
  return most;
}

}  // namespace chorus::train
