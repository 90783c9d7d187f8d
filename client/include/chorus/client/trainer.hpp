// The interface between the SDK and whatever trains: the built-in oneDNN trainer, or your own.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "chorus/client/local_state.hpp"
#include "chorus/export.hpp"
#include "chorus/model.hpp"
#include "chorus/plan.hpp"
#include "chorus/report.hpp"
#include "chorus/result.hpp"

namespace chorus::client {

/// Set by the SDK when a task is no longer wanted; poll it between batches.
class CancelToken {
 public:
  bool cancelled() const noexcept { return flag_.load(std::memory_order_relaxed); }
  void cancel() noexcept { flag_.store(true, std::memory_order_relaxed); }

 private:
  std::atomic<bool> flag_{false};
};

/// A vector that came with a task: what its plan refers to by name ("anchor", "control", "mask",
/// "candidate1"; docs/plan.md). f32[layout.parameters]
struct TaskVector {
  std::string name;
  std::span<const float> numbers;
};

/// What the server asks for.
struct TrainTask {
  std::string job;
  std::uint64_t round = 0;
  TrainPlan plan;
  const ModelSpec* model = nullptr;      ///< never null while the call lasts
  const TensorLayout* layout = nullptr;  ///< of `model`
  const CancelToken* cancel = nullptr;   ///< never null while the call lasts
  std::span<const TaskVector> vectors{};
  LocalState* state = nullptr;  ///< null: nothing is kept between tasks
};

struct EvaluateTask {
  std::string job;
  std::uint64_t round = 0;
  EvaluatePlan plan;
  const ModelSpec* model = nullptr;
  const TensorLayout* layout = nullptr;
  const CancelToken* cancel = nullptr;
};

/// A vector of a report.
struct ReportPart {
  ReportKind kind = ReportKind::gradient;
  std::vector<float> numbers;  ///< finite
  bool operator==(const ReportPart&) const = default;
};

/// What the device reports. `examples` weighs the update and must be what was really used.
struct TaskReport {
  std::uint64_t examples = 0;     ///< distinct training (or hold-out) examples used
  std::uint64_t steps = 0;        ///< optimiser steps made
  std::vector<Metric> metrics{};  ///< e.g. loss, accuracy; at most limits::kMetricsMax
  double epochs = 0.0;            ///< visits of examples, divided by their number
  Ending ending = Ending::budget;
  bool delta = true;  ///< y − x is part of the report, before all others
  /// Only what the plan asked for; at most limits::kReportPartsMax.
  std::vector<ReportPart> parts{};
  /// How many accepted tasks the local state had behind it that this one began with; 0: none (also
  /// when it was lost). Absent: the plan keeps nothing.
  std::optional<std::uint64_t> state_epoch{};
};

/// Trains and evaluates models on data that stays here. Called from one thread at a time, never
/// from the network thread; may block for as long as it likes.
class CHORUS_EXPORT Trainer {
 public:
  Trainer() = default;
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;
  virtual ~Trainer() = default;

  /// Local training.
  /// @param task        instructions
  /// @param parameters  f32[layout.parameters]  in: the received model x; out: the trained y.
  ///                    The SDK uploads y - x, unless the report says otherwise.
  /// @errors  cancelled when task.cancel fired; unsupported_feature if the plan or model cannot be
  ///          executed here; anything else counts as a failed task
  virtual Result<TaskReport> train(const TrainTask& task, std::span<float> parameters) = 0;

  /// Measures a model on the local hold-out data; reports at least "loss", and "accuracy" for
  /// classifiers. @param parameters f32[layout.parameters]
  virtual Result<TaskReport> evaluate(const EvaluateTask& task,
                                      std::span<const float> parameters) = 0;
};

}  // namespace chorus::client
