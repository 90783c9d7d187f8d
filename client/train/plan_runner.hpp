// Executes a TrainPlan or an EvaluatePlan on a network and a dataset.
#pragma once

#include <functional>
#include <span>

#include "chorus/client/dataset.hpp"
#include "chorus/client/trainer.hpp"
#include "chorus/plan.hpp"
#include "chorus/result.hpp"
#include "client/train/network.hpp"

namespace chorus::train {

/// Checks a plan: values in their documented ranges, only instructions known here.
/// @errors invalid_argument; unsupported_feature
Result<void> check_plan(const TrainPlan& plan);
Result<void> check_plan(const EvaluatePlan& plan);

/// What a task brings along and what the device has, beside data.
struct TrainInputs {
  const client::CancelToken* cancel = nullptr;  ///< null: nobody cancels
  std::span<const client::TaskVector> vectors{};
  client::LocalState* state = nullptr;            ///< null: nothing is kept between tasks
  std::span<const float> scores{};                ///< of a curriculum; empty: none
  const std::function<bool()>* enough = nullptr;  ///< asked before each step; true ends training
  client::Augmentation augmentation{};
};

/// Trains network.parameters(). The order of examples in epoch e (from 0) is a Fisher-Yates shuffle
/// with the stream ("shuffle", e) of plan.seed.
/// @errors as check_plan; cancelled; not_finite; unsupported_feature: no examples, or none that the
///         model takes, or a vector or state that the plan needs is not there; shape_mismatch: a
///         vector of another size; invalid_argument: patterns that do not fit the model; as Network
Result<client::TaskReport> run_plan(Network& network,
                                    const client::Dataset& data,
                                    const TrainPlan& plan,
                                    const TrainInputs& inputs);

/// Measures network.parameters(). Errors as above.
Result<client::TaskReport> run_plan(Network& network,
                                    const client::Dataset& data,
                                    const EvaluatePlan& plan,
                                    const client::CancelToken& cancel);

}  // namespace chorus::train
