// The trainer that comes with Chorus: layers over oneDNN, SGD, on the CPU.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "chorus/client/augmentation.hpp"
#include "chorus/client/dataset.hpp"
#include "chorus/client/trainer.hpp"
#include "chorus/export.hpp"
#include "chorus/model.hpp"
#include "chorus/result.hpp"

namespace chorus::client {

struct BuiltinTrainerOptions {
  Dataset train;
  Dataset holdout;       ///< what evaluate() measures on; may be empty
  unsigned threads = 1;  ///< of oneDNN, during calls; more than one makes results depend on it
  /// Asked before each step: true ends training there, and the report says what was done (before
  /// the first step: the task fails as cancelled). Empty: never.
  std::function<bool()> enough{};
  std::vector<float> scores{};  ///< difficulty of each example of `train`, for curricula that ask
  Augmentation augmentation{};  ///< of `train`
};

/// A Trainer over the given examples.
///
/// Trains in float32. With one thread two runs of the same task from the same parameters give the
/// same bits on one machine, whatever its number of cores; another instruction set gives other
/// rounding. With more threads set OMP_WAIT_POLICY=passive in the environment of the process.
///
/// A model takes the examples if its input_shape is their feature_shape, or if the sizes agree and
/// one of the two is flat. Reported metrics: "loss" (mean) and "accuracy", over the examples
/// trained on as they were met, or over the hold-out examples. With `Budget::seconds` at least one
/// step is made.
///
/// Beside the errors of Trainer: unsupported_feature (also: no examples for the task, a model that
/// does not take them, a label the model has no output for), invalid_argument (a plan out of
/// range), shape_mismatch (parameters and model differ), not_finite (training diverged), busy (no
/// memory). A task that fails leaves `parameters` as they were.
CHORUS_EXPORT std::unique_ptr<Trainer> make_builtin_trainer(BuiltinTrainerOptions options);

/// Mean loss and accuracy of a model on a dataset, with one thread.
/// @param parameters  f32[layout_of(model).parameters]
/// @param batch_size  examples at a time, >= 1; changes speed, and the last bits of the result
CHORUS_EXPORT Result<TaskReport> evaluate_model(const ModelSpec& model,
                                                std::span<const float> parameters,
                                                const Dataset& dataset,
                                                std::uint32_t batch_size = 256);

}  // namespace chorus::client
