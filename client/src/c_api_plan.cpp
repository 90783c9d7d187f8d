// The plan and the tensors of a task, as the C interface shows them.
#include <string>
#include <vector>

#include "client/src/c_api_trainer.hpp"
#include "common/tensor/tensor_selection.hpp"

namespace chorus::capi {
namespace {

chorus_patterns patterns_of(const std::vector<std::string>& from, std::vector<const char*>& into) {
  into.clear();
  for (const std::string& pattern : from) into.push_back(pattern.c_str());
  return {into.data(), into.size()};
}

void show_steps(const TrainPlan& from, chorus_plan& plan) {
  plan.budget_unit = static_cast<chorus_budget>(from.budget.unit);
  plan.budget = from.budget.amount;
  plan.batch_size = from.batch_size;
  plan.order = static_cast<chorus_order>(from.order);
  plan.seed = from.seed;
  plan.optimiser = static_cast<chorus_optimiser>(from.optimiser.kind);
  plan.learning_rate = from.optimiser.learning_rate;
  plan.momentum = from.optimiser.momentum;
  plan.weight_decay = from.optimiser.weight_decay;
  plan.nesterov = from.optimiser.nesterov;
  plan.beta1 = from.optimiser.beta1;
  plan.beta2 = from.optimiser.beta2;
  plan.epsilon = from.optimiser.epsilon;
  plan.schedule = static_cast<chorus_schedule>(from.schedule.kind);
  plan.warmup_steps = from.schedule.warmup_steps;
  plan.every_steps = from.schedule.every_steps;
  plan.total_steps = from.schedule.total_steps;
  plan.schedule_factor = from.schedule.factor;
  plan.clip_norm = from.clip_norm;
  plan.proximal = from.proximal;
  plan.accumulate = from.accumulate;
  plan.early_stop_loss = from.early_stop.loss;
  plan.early_stop_patience = from.early_stop.patience;
  plan.early_stop_improvement = from.early_stop.improvement;
  plan.early_stop_gradient_norm = from.early_stop.gradient_norm;
  plan.curriculum_pace = static_cast<chorus_curriculum_pace>(from.curriculum.pace);
  plan.curriculum_start = from.curriculum.start;
  plan.curriculum_full = from.curriculum.full;
  plan.curriculum_hardest_first = from.curriculum.hardest_first;
  plan.curriculum_given_scores = from.curriculum.given_scores;
}

void show_sources(const TrainPlan& from, chorus_plan& plan) {
  plan.source = static_cast<chorus_gradient_source>(from.source.kind);
  plan.source_directions = from.source.directions;
  plan.source_distance = from.source.distance;
  plan.control = static_cast<chorus_control>(from.control);
  plan.meta = static_cast<chorus_meta>(from.meta.kind);
  plan.meta_rate = from.meta.rate;
  plan.meta_inner_steps = from.meta.inner_steps;
  plan.distil = static_cast<chorus_teacher>(from.distil.teacher);
  plan.distil_weight = from.distil.weight;
  plan.distil_temperature = from.distil.temperature;
  plan.distil_not_true = from.distil.not_true;
  plan.precision = static_cast<chorus_precision>(from.precision);
}

void show_parts(const TrainPlan& from, chorus_task& view) {
  chorus_plan& plan = view.plan;
  plan.trainable = patterns_of(from.trainable.only, view.patterns[0]);
  plan.frozen = patterns_of(from.trainable.frozen, view.patterns[1]);
  plan.trainable_mask = from.trainable.mask;
  plan.local = patterns_of(from.local, view.patterns[2]);
  plan.candidates = from.candidates;
  plan.probe_gradient_norms = from.probe.gradient_norms;
  plan.probe_losses = from.probe.losses;
  plan.probe_labels = from.probe.labels;
  plan.probe_statistics = from.probe.statistics;
  plan.probe_representation = from.probe.representation.c_str();
  plan.probe_by_class = from.probe.by_class;
  plan.probe_batches = from.probe.batches;
  plan.probe_only = from.probe.only;
}

std::vector<chorus_scale> scales_of(const std::vector<FeatureScale>& from) {
  std::vector<chorus_scale> scales;
  scales.reserve(from.size());
  for (const FeatureScale& one : from) scales.push_back({one.offset, one.scale});
  return scales;
}

}  // namespace

std::vector<chorus_tensor> tensors_of(const TensorLayout& layout) {
  std::vector<chorus_tensor> tensors;
  tensors.reserve(layout.tensors.size());
  for (const TensorSpec& tensor : layout.tensors) {
    tensors.push_back({tensor.name.c_str(),
                       tensor.shape.data(),
                       tensor.shape.size(),
                       tensor.offset,
                       tensor.count,
                       tensor.buffer,
                       false});
  }
  return tensors;
}

Result<const chorus_tensor*> tensor_at(const std::vector<chorus_tensor>& tensors,
                                       std::size_t index) {
  if (index < tensors.size()) return &tensors[index];
  return fail(errc::invalid_argument,
              "index is " + std::to_string(index) + "; the model has " +
                  std::to_string(tensors.size()) + " tensors");
}

Result<void> show(const client::TrainTask& task, chorus_task& view) {
  view.train = &task;
  view.cancel = task.cancel;
  view.spec = task.model;
  show_steps(task.plan, view.plan);
  show_sources(task.plan, view.plan);
  show_parts(task.plan, view);
  view.normalise = scales_of(task.plan.normalise);
  view.tensors = tensors_of(*task.layout);
  CHORUS_TRY(const auto trainable, tensor::trainable_of(task.plan, *task.layout));
  for (std::size_t i = 0; i < trainable.size(); ++i) view.tensors[i].trainable = trainable[i];
  return {};
}

Result<void> show(const client::EvaluateTask& task, chorus_task& view) {
  view.evaluate = &task;
  view.normalise = scales_of(task.plan.normalise);
  view.cancel = task.cancel;
  view.spec = task.model;
  view.tensors = tensors_of(*task.layout);
  return {};
}

}  // namespace chorus::capi
