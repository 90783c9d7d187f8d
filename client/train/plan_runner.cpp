#include "client/train/plan_runner.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "chorus/client/normalisation.hpp"
#include "client/train/plan/budget.hpp"
#include "client/train/plan/training.hpp"
#include "common/base/try.hpp"
#include "common/tensor/plan_rules.hpp"

namespace chorus::train {
namespace {

using client::CancelToken;
using client::Dataset;
using client::TaskReport;

Failure out_of_range(std::string_view what, double value, std::string_view expected) {
  return fail(errc::invalid_argument,
              fmt::format("the plan's {} is {}; expected {}", what, value, expected));
}

// Enumerators are numbers from 1 (what may be absent: 0) to the last one known here.
template <class Kind>
Result<void> check_kind(std::string_view what, Kind kind, Kind first, Kind last) {
  if (kind >= first && kind <= last) return {};
  return fail(errc::unsupported_feature,
              fmt::format("the plan's {} {} is unknown here", what, static_cast<unsigned>(kind)));
}

Result<void> check_kinds(const TrainPlan& plan) {
  CHORUS_OK(check_kind("order", plan.order, Order::natural, Order::curriculum));
  CHORUS_OK(
      check_kind("optimiser", plan.optimiser.kind, Optimiser::Kind::sgd, Optimiser::Kind::lamb));
  CHORUS_OK(
      check_kind("schedule", plan.schedule.kind, Schedule::Kind::constant, Schedule::Kind::cosine));
  using Pace = Curriculum::Pace;
  CHORUS_OK(check_kind("curriculum.pace", plan.curriculum.pace, Pace::linear, Pace::logarithmic));
  using Source = GradientSource::Kind;
  CHORUS_OK(check_kind("source", plan.source.kind, Source::batch, Source::zeroth_order));
  CHORUS_OK(
      check_kind("control", plan.control, ControlVariates::none, ControlVariates::from_gradient));
  return check_kind("meta", plan.meta.kind, Meta::Kind::none, Meta::Kind::first_order_maml);
}

Result<void> check_data(const Network& network, const Dataset& data, std::string_view what) {
  if (data.empty()) {
    return fail(errc::unsupported_feature, fmt::format("this device has no {} examples", what));
  }
  return network.accepts(data);
}

// Examples as the plan wants them. @pre check_data() succeeded
Result<Dataset> normalised_by(const std::vector<FeatureScale>& scales,
                              const Network& network,
                              const Dataset& data) {
  if (auto fits = tensor::check_normalise(scales, network.model()); !fits) {
    return std::move(fits).error().during("the plan");
  }
  return client::renormalised(data, scales);
}

}  // namespace

Result<void> check_plan(const TrainPlan& plan) {
  CHORUS_OK(check_budget(plan.budget));
  if (plan.batch_size == 0) return out_of_range("batch_size", 0, "at least 1");
  CHORUS_OK(check_kinds(plan));
  if (const auto wrong = tensor::problem_of(plan)) {
    return out_of_range(wrong->field, wrong->value, wrong->expected);
  }
  if (const auto conflict = tensor::conflict_of(plan)) {
    return fail(errc::invalid_argument, "the plan's " + tensor::describe(*conflict));
  }
  return {};
}

Result<void> check_plan(const EvaluatePlan& plan) {
  if (plan.batch_size == 0) return out_of_range("batch_size", 0, "at least 1");
  if (const auto wrong = tensor::problem_of(plan)) {
    return out_of_range(wrong->field, wrong->value, wrong->expected);
  }
  return {};
}

Result<TaskReport> run_plan(Network& network,
                            const Dataset& data,
                            const TrainPlan& plan,
                            const TrainInputs& inputs) {
  CHORUS_OK(check_plan(plan));
  CHORUS_OK(check_data(network, data, "training"));
  CHORUS_OK(check_augmentation(inputs.augmentation, data.feature_shape()));
  CHORUS_TRY(const Dataset examples, normalised_by(plan.normalise, network, data));
  return Training(network, examples, plan, inputs).run();
}

Result<TaskReport> run_plan(Network& network,
                            const Dataset& data,
                            const EvaluatePlan& plan,
                            const CancelToken& cancel) {
  CHORUS_OK(check_plan(plan));
  CHORUS_OK(check_data(network, data, "hold-out"));
  CHORUS_TRY(const Dataset examples, normalised_by(plan.normalise, network, data));
  const std::vector<std::uint32_t> rows = first_rows(examples.size());
  Totals totals(network.model().loss);
  Evaluation whole(network.model(), network.scores());
  const std::size_t capacity = std::min<std::size_t>(plan.batch_size, rows.size());
  for (std::size_t first = 0; first < rows.size(); first += plan.batch_size) {
    if (cancel.cancelled()) {
      return fail(errc::cancelled, fmt::format("evaluation was cancelled at example {}", first));
    }
    const auto batch = std::span<const std::uint32_t>(rows).subspan(
        first, std::min<std::size_t>(plan.batch_size, rows.size() - first));
    CHORUS_TRY(const BatchResult result, network.loss_of(examples, {batch, capacity}, &whole));
    if (!std::isfinite(result.loss)) {
      return fail(errc::not_finite,
                  fmt::format("the model's loss is not finite on the hold-out examples {} to {}",
                              first,
                              first + batch.size() - 1));
    }
    totals.add(result, batch.size());
  }
  TaskReport report{totals.examples(), 0, totals.metrics()};
  for (Metric& metric : whole.metrics()) report.metrics.push_back(std::move(metric));
  return report;
}

}  // namespace chorus::train
