// Work between protobuf and values; its TrainPlan in train_plan_messages.cpp.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/tensor/plan_features.hpp"
#include "common/tensor/plan_rules.hpp"
#include "common/wire/convert.hpp"

namespace chorus::wire {
namespace {

Failure unsupported(std::string_view what) {
  return fail(errc::unsupported_feature,
              std::string(what) + "; a newer version of this software may know it");
}

Result<EvaluatePlan> evaluate_plan_from(const pb::EvaluatePlan& proto) {
  CHORUS_OK(check_features({"work", "evaluate"}, proto.required_features()));
  if (proto.batch_size() == 0) {
    return malformed({"work", "evaluate.batch_size"}, "0", "1 or greater");
  }
  EvaluatePlan plan{proto.batch_size()};
  CHORUS_TRY(plan.normalise, normalise_from({"work", "evaluate.normalise"}, proto.normalise()));
  if (const auto wrong = tensor::problem_of(plan)) {
    return malformed({"work", "evaluate." + std::string(wrong->field)},
                     std::to_string(wrong->value),
                     wrong->expected);
  }
  return plan;
}

void evaluate_plan_to(const EvaluatePlan& plan, pb::EvaluatePlan* proto) {
  for (const auto feature : tensor::features_of(plan)) {
    proto->add_required_features(std::string(feature));
  }
  proto->set_batch_size(plan.batch_size);
  if (!plan.normalise.empty()) normalise_to(plan.normalise, proto->mutable_normalise());
}

Result<std::variant<TrainPlan, EvaluatePlan>> plan_from(const pb::Work& proto, TaskKind kind) {
  if (proto.plan_case() == pb::Work::PLAN_NOT_SET) {
    return unsupported("work: carries no plan of a kind that is known here");
  }
  const auto wanted = kind == TaskKind::train ? pb::Work::kTrain : pb::Work::kEvaluate;
  if (proto.plan_case() != wanted) {
    return malformed({"work", "plan"},
                     kind == TaskKind::train ? "an evaluate plan" : "a train plan",
                     "the plan of task.kind");
  }
  if (kind == TaskKind::train) {
    CHORUS_TRY(auto plan, train_plan_from(proto.train()));
    return std::variant<TrainPlan, EvaluatePlan>(plan);
  }
  CHORUS_TRY(auto plan, evaluate_plan_from(proto.evaluate()));
  return std::variant<TrainPlan, EvaluatePlan>(plan);
}

Result<ModelRef> model_from(const std::string& field,
                            const pb::ModelRef& proto,
                            std::uint64_t bytes_max) {
  ModelRef model;
  CHORUS_TRY(model.sha256, sha256_from({"work", field + ".sha256"}, proto.sha256()));
  if (proto.bytes() == 0 || proto.bytes() > bytes_max) {
    return malformed({"work", field + ".bytes"},
                     std::to_string(proto.bytes()),
                     "1 to " + std::to_string(bytes_max));
  }
  model.bytes = proto.bytes();
  return model;
}

void model_to(const ModelRef& model, pb::ModelRef* proto) {
  proto->set_sha256(bytes_to(model.sha256.bytes));
  proto->set_bytes(model.bytes);
}

// A codec that is not known here takes a way away, not the task.
Result<std::optional<codec::VersionSteps>> known_steps_from(const pb::Work& proto) {
  if (!proto.has_steps()) return std::optional<codec::VersionSteps>();
  auto steps = version_steps_from(proto.steps());
  if (steps) return std::optional(std::move(*steps));
  if (steps.error().code == errc::unsupported_feature) return std::optional<codec::VersionSteps>();
  return std::move(steps).error();
}

}  // namespace

Result<void> check_features(const Field& field,
                            const google::protobuf::RepeatedPtrField<std::string>& names) {
  const auto known = tensor::plan_features();
  for (const std::string& name : names) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    return unsupported(std::string(field.message) + "." + std::string(field.name) +
                       ": needs the feature '" + text_to(name, limits::kNameBytesMax) +
                       "', which is not known here");
  }
  return {};
}

Result<std::vector<FeatureScale>> normalise_from(const Field& field, const pb::Normalise& proto) {
  if (proto.mean_size() != proto.deviation_size()) {
    return malformed(field,
                     std::to_string(proto.mean_size()) + " means and " +
                         std::to_string(proto.deviation_size()) + " deviations",
                     "as many of both");
  }
  std::vector<FeatureScale> scales;
  scales.reserve(static_cast<std::size_t>(proto.mean_size()));
  for (int i = 0; i < proto.mean_size(); ++i) scales.push_back({proto.mean(i), proto.deviation(i)});
  return scales;
}

void normalise_to(const std::vector<FeatureScale>& scales, pb::Normalise* proto) {
  for (const FeatureScale& one : scales) {
    proto->add_mean(one.offset);
    proto->add_deviation(one.scale);
  }
}

Result<Message> work_from(const pb::Work& proto) {
  Work work;
  CHORUS_TRY(work.task, task_from("work", proto.has_task(), proto.task()));
  CHORUS_TRY(work.plan, plan_from(proto, work.task.kind));
  CHORUS_TRY(work.model, model_from("model", proto.model(), limits::kModelBytesMax));
  CHORUS_TRY(work.spec, spec_from(proto.spec()));
  CHORUS_TRY(work.deadline, duration_from({"work", "deadline_ms"}, proto.deadline_ms()));
  CHORUS_TRY(work.steps, known_steps_from(proto));
  if (work.steps && work.steps->steps.back().sha256 != work.model.sha256) {
    return malformed({"work", "steps.sha256"}, "another version", "model.sha256 of the last step");
  }
  if (proto.has_basis()) {
    CHORUS_TRY(work.basis, model_from("basis", proto.basis(), limits::kBasisBytesMax));
  }
  return Message(std::move(work));
}

pb::Work to_proto(const Work& work) {
  pb::Work proto;
  task_to(work.task, proto.mutable_task());
  model_to(work.model, proto.mutable_model());
  spec_to(work.spec, proto.mutable_spec());
  if (const auto* train = std::get_if<TrainPlan>(&work.plan)) {
    train_plan_to(*train, proto.mutable_train());
  } else {
    evaluate_plan_to(std::get<EvaluatePlan>(work.plan), proto.mutable_evaluate());
  }
  proto.set_deadline_ms(duration_to(work.deadline));
  if (work.steps) version_steps_to(*work.steps, proto.mutable_steps());
  if (work.basis) model_to(*work.basis, proto.mutable_basis());
  return proto;
}

}  // namespace chorus::wire
