// A model ready to compute: flat parameters, flat gradient, and one tape per batch size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "chorus/client/dataset.hpp"
#include "chorus/model.hpp"
#include "chorus/plan.hpp"
#include "chorus/result.hpp"
#include "client/train/augment.hpp"
#include "client/train/loss.hpp"
#include "client/train/metrics.hpp"
#include "client/train/tape/tape.hpp"
#include "common/tensor/aligned_buffer.hpp"

namespace chorus::train {

/// Which examples, and how large a batch the tape is made for: at least rows.size(), 0: that many.
/// A smaller batch runs on the tape of the larger one, its other rows without weight, unless the
/// model has batch norm, whose statistics they would disturb.
struct Batch {
  std::span<const std::uint32_t> rows;
  std::size_t capacity = 0;
  Augmenter* augmenter = nullptr;  ///< null: the examples as they are
};

/// Not copyable, not movable: tapes point into its buffers. Used by one thread at a time.
class Network {
 public:
  /// @param threads  of oneDNN while a method runs, >= 1
  /// @errors as layout_of; busy: no memory
  static Result<std::unique_ptr<Network>> create(const ModelSpec& model, unsigned threads = 1);
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  const ModelSpec& model() const noexcept { return model_; }
  const TensorLayout& layout() const noexcept { return layout_; }
  std::size_t inputs() const noexcept { return inputs_; }
  /// Of one step; with softmax_cross_entropy the classes.
  std::size_t scores() const noexcept { return outputs_ / steps_of_output_; }
  /// Of one example, of all its steps.
  std::size_t outputs() const noexcept { return outputs_; }

  /// f32[layout().parameters], PyTorch layout. Uninitialised at first.
  std::span<float> parameters() noexcept { return parameters_.span(); }
  /// f32[layout().parameters]: of the last gradient_of(); 0 for buffers.
  std::span<float> gradient() noexcept { return gradient_.span(); }

  /// Whether the model takes examples like these: their shape, and that there are labels or as many
  /// targets as it wants. Their values are checked when they are read.
  /// @errors unsupported_feature
  Result<void> accepts(const client::Dataset& data) const;

  /// Tensors (by place in the layout) whose gradients gradient_of() must give; all at first. The
  /// gradients of others are not specified.
  void set_trained(const std::vector<bool>& trained);

  /// What gradient_of() multiplies; Factors::f32 at first.
  void set_factors(Tape::Factors factors);

  /// gradient_of() learns from this model's scores, too (Distillation); null: from none.
  /// @pre of the same layers, classes by softmax_cross_entropy; it outlives its use here
  void set_teacher(Network* teacher, const Distillation& how) noexcept {
    teacher_ = teacher;
    distillation_ = how;
  }

  /// A second network of this model, made when it is first asked for and kept as long as this one:
  /// its primitives are compiled.
  /// @errors as create()
  Result<Network*> twin();

  /// Dropout's masks are a function of these.
  void set_randomness(std::uint64_t key, std::uint64_t step) noexcept {
    key_ = key;
    step_ = step;
  }

  /// Forward and backward in training: gradient() = ∂(mean loss)/∂parameters(); batch norm moves
  /// its running values.
  /// @param fused  not null: tensors for which stepped() is true are stepped instead
  /// @pre accepts(data), rows not empty and within data
  /// @errors busy: no memory; unsupported_feature: a label, target or index of an embedding that
  /// the
  ///         model does not take; unsupported_feature, internal: oneDNN; those of the dataset
  Result<BatchResult> gradient_of(const client::Dataset& data,
                                  const Batch& batch,
                                  const FusedStep* fused = nullptr);
  /// Of the last gradient_of() with a fused step.
  bool stepped(std::size_t tensor) const noexcept { return last_->fused(tensor); }
  /// Forward only, as in evaluation.
  /// @param whole  not null: learns of outputs and targets, too
  Result<BatchResult> loss_of(const client::Dataset& data,
                              const Batch& batch,
                              Evaluation* whole = nullptr);

  /// As loss_of(), example by example. @pre losses.size() == batch.rows.size()
  Result<void> losses_of(const client::Dataset& data, const Batch& batch, std::span<double> losses);
  /// What the layer with this number gives for each example, as in evaluation.
  /// @returns f32[rows × outputs of the layer], until the next call
  Result<std::span<const float>> outputs_of(const client::Dataset& data,
                                            const Batch& batch,
                                            std::size_t layer);
  /// Rows of scores of one example, each for a label: 1, or the steps of a sequence.
  std::size_t score_rows() const noexcept { return steps_of_output_; }
  /// Labels of the last batch, score_rows() of each example.
  std::span<const std::uint32_t> labels() const noexcept { return labels_; }

  unsigned threads() const noexcept { return threads_; }
  /// The largest arena of the tapes made so far.
  std::size_t arena_bytes() const noexcept;

 private:
  struct Shape {
    std::size_t batch;
    Tape::Mode mode;
    std::size_t observed = Tape::kNone;
    auto operator<=>(const Shape&) const = default;
  };

  Network(ModelSpec model, TensorLayout layout, unsigned threads);

  Result<Tape*> tape_for(const Batch& batch, Tape::Mode mode, std::size_t observed = Tape::kNone);
  Result<Tape*> forward(const client::Dataset& data, const Batch& batch, std::size_t observed);
  Result<void> load(Tape& tape, const client::Dataset& data, const Batch& batch);
  /// Of some examples of the batch that a tape has gone through.
  struct Part {
    std::size_t first = 0;
    std::size_t count = 0;
  };
  Targets targets_of(const Part& part) const;
  BatchResult measure(const Tape& tape, const Part& part, std::span<float> gradient) const;
  Result<void> check_values(std::span<const float> input,
                            std::span<const std::uint32_t> rows) const;

  ModelSpec model_;
  TensorLayout layout_;
  unsigned threads_;
  std::size_t inputs_ = 0;
  std::size_t outputs_ = 0;
  std::size_t steps_of_output_ = 1;  // rows of scores of one example
  std::size_t targets_each_ = 0;     // numbers an example aims at; 0: at classes
  bool has_batch_norm_ = false;
  tensor::AlignedBuffer<float> parameters_;
  tensor::AlignedBuffer<float> gradient_;
  std::vector<std::uint32_t> labels_;  // of the batch, one per row of scores
  std::vector<float> targets_;         // of the batch
  std::vector<bool> trained_;          // by tensor
  std::map<Shape, std::unique_ptr<Tape>> tapes_;
  Tape* last_ = nullptr;
  Tape::Factors factors_ = Tape::Factors::f32;
  std::unique_ptr<Network> twin_;
  Network* teacher_ = nullptr;
  Distillation distillation_;
  std::uint64_t key_ = 0;
  std::uint64_t step_ = 0;
};

}  // namespace chorus::train
