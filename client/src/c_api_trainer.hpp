// What the trainer's handles of the C interface are.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "chorus/c/trainer.h"
#include "chorus/client/trainer.hpp"
#include "client/src/c_api.hpp"

/// A trainer; a run shares it.
struct chorus_trainer {
  static constexpr auto kKind = chorus::capi::Handle::trainer;
  chorus::capi::Handle kind = kKind;
  std::shared_ptr<chorus::client::Trainer> trainer;
};

/// A task while its callback lasts. One of `train` and `evaluate` is null.
struct chorus_task {
  static constexpr auto kKind = chorus::capi::Handle::task;
  chorus_task() = default;
  chorus_task(const chorus_task&) = delete;  // its parts point at each other
  chorus_task& operator=(const chorus_task&) = delete;

  chorus::capi::Handle kind = kKind;
  const chorus::client::TrainTask* train = nullptr;
  const chorus::client::EvaluateTask* evaluate = nullptr;
  const chorus::client::CancelToken* cancel = nullptr;
  const chorus::ModelSpec* spec = nullptr;
  chorus_plan plan{};
  std::vector<const char*> patterns[3];  // trainable, frozen, local: what `plan` points at
  std::vector<chorus_scale> normalise;
  std::vector<chorus_tensor> tensors;
  std::string model;  // JSON
};

struct chorus_report {
  static constexpr auto kKind = chorus::capi::Handle::report;
  chorus::capi::Handle kind = kKind;
  chorus::client::TaskReport report;
};

namespace chorus::capi {

/// Views of a layout's tensors, none of them trainable.
std::vector<chorus_tensor> tensors_of(const TensorLayout& layout);
/// @errors invalid_argument: no such index
Result<const chorus_tensor*> tensor_at(const std::vector<chorus_tensor>& tensors,
                                       std::size_t index);

/// Makes the view of a task. @errors invalid_argument: patterns that name no tensor
Result<void> show(const client::TrainTask& task, chorus_task& view);
Result<void> show(const client::EvaluateTask& task, chorus_task& view);

}  // namespace chorus::capi
