// Work: plans between protobuf and values.
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/tensor/plan_rules.hpp"
#include "common/wire/convert.hpp"

namespace chorus::wire {
namespace {

// Whole numbers of this size and below are exact in a double.
constexpr std::uint64_t kWholeMax = 1ULL << 53U;

Failure unsupported(std::string_view what) {
  return fail(errc::unsupported_feature,
              std::string(what) + "; a newer version of this software may know it");
}

Result<Budget> whole_budget(Budget::Unit unit, std::uint64_t amount) {
  if (amount == 0 || amount > kWholeMax) {
    return malformed(
        {"work", "train.budget"}, std::to_string(amount), "a whole number from 1 to 2^53");
  }
  return Budget{unit, static_cast<double>(amount)};
}

Result<Budget> budget_from(const pb::Budget& proto) {
  switch (proto.amount_case()) {
    case pb::Budget::kEpochs:
      if (!(proto.epochs() > 0.0) || !std::isfinite(proto.epochs()) ||
          std::floor(proto.epochs()) != proto.epochs()) {
        return malformed({"work", "train.budget.epochs"},
                         std::to_string(proto.epochs()),
                         "a whole number greater than 0");
      }
      return Budget{Budget::Unit::epochs, proto.epochs()};
    case pb::Budget::kSteps:
      return whole_budget(Budget::Unit::steps, proto.steps());
    case pb::Budget::kExamples:
      return whole_budget(Budget::Unit::examples, proto.examples());
    case pb::Budget::kSeconds:
      if (!(proto.seconds() > 0.0) || !std::isfinite(proto.seconds())) {
        return malformed({"work", "train.budget.seconds"},
                         std::to_string(proto.seconds()),
                         "a finite number greater than 0");
      }
      return Budget{Budget::Unit::seconds, proto.seconds()};
    case pb::Budget::AMOUNT_NOT_SET:
      break;
  }
  return unsupported("work.train.budget: in a unit that is not known here");
}

// Vocabulary beyond the first version that is known here.
constexpr std::array<std::string_view, 5> kPlanFeatures = {
    "optimiser", "schedule", "clip_norm", "proximal", "accumulate"};

Result<void> check_features(const pb::TrainPlan& proto) {
  for (const auto& feature : proto.required_features()) {
    if (std::find(kPlanFeatures.begin(), kPlanFeatures.end(), feature) != kPlanFeatures.end()) {
      continue;
    }
    return unsupported("work.train: needs the feature '" + text_to(feature, limits::kNameBytesMax) +
                       "', which is not known here");
  }
  return {};
}

Result<Optimiser> sgd_from(const pb::Sgd& proto) {
  const auto wrong = [](std::string_view name, double value, std::string_view expected) {
    return malformed({"work", name}, std::to_string(value), expected);
  };
  const Optimiser sgd{proto.learning_rate(), proto.momentum(), proto.weight_decay()};
  if (!(sgd.learning_rate > 0.0) || !std::isfinite(sgd.learning_rate)) {
    return wrong("train.sgd.learning_rate", sgd.learning_rate, "a finite number greater than 0");
  }
  if (!(sgd.momentum >= 0.0 && sgd.momentum < 1.0)) {
    return wrong("train.sgd.momentum", sgd.momentum, "a number from 0 to below 1");
  }
  if (!(sgd.weight_decay >= 0.0) || !std::isfinite(sgd.weight_decay)) {
    return wrong("train.sgd.weight_decay", sgd.weight_decay, "a finite number, 0 or greater");
  }
  return sgd;
}

Result<Optimiser> optimiser_from(const pb::TrainPlan& proto) {
  if (!proto.has_optimiser()) {
    if (!proto.has_sgd()) return malformed({"work", "train.sgd"}, "missing", "an optimiser");
    return sgd_from(proto.sgd());
  }
  const auto& from = proto.optimiser();
  if (from.kind() == pb::OPTIMISER_UNSPECIFIED) {
    return malformed({"work", "train.optimiser.kind"}, "missing", "a kind");
  }
  if (from.kind() < pb::OPTIMISER_SGD || from.kind() > pb::OPTIMISER_LAMB) {
    return unsupported("work.train.optimiser: number " + std::to_string(from.kind()) +
                       " is not known here");
  }
  return Optimiser{from.learning_rate(),
                   from.momentum(),
                   from.weight_decay(),
                   static_cast<Optimiser::Kind>(from.kind()),
                   from.nesterov(),
                   from.beta1(),
                   from.beta2(),
                   from.epsilon()};
}

Result<Schedule> schedule_from(const pb::TrainPlan& proto) {
  if (!proto.has_schedule()) return Schedule{};
  const auto& from = proto.schedule();
  if (from.kind() == pb::SCHEDULE_UNSPECIFIED) {
    return malformed({"work", "train.schedule.kind"}, "missing", "a kind");
  }
  if (from.kind() < pb::SCHEDULE_CONSTANT || from.kind() > pb::SCHEDULE_COSINE) {
    return unsupported("work.train.schedule: number " + std::to_string(from.kind()) +
                       " is not known here");
  }
  return Schedule{static_cast<Schedule::Kind>(from.kind()),
                  from.warmup_steps(),
                  from.every_steps(),
                  from.total_steps(),
                  from.factor()};
}

Result<Order> order_from(pb::Order order) {
  switch (order) {
    case pb::ORDER_NATURAL:
      return Order::natural;
    case pb::ORDER_SHUFFLED:
      return Order::shuffled;
    case pb::ORDER_UNSPECIFIED:
      return malformed({"work", "train.order"}, "missing", "natural (1) or shuffled (2)");
    default:
      return unsupported("work.train.order: number " + std::to_string(order) +
                         " is not known here");
  }
}

Result<TrainPlan> train_plan_from(const pb::TrainPlan& proto) {
  // Asked first: a plan with new vocabulary may well look odd to the checks below.
  CHORUS_OK(check_features(proto));
  TrainPlan plan;
  if (!proto.has_budget()) return malformed({"work", "train.budget"}, "missing", "a budget");
  CHORUS_TRY(plan.budget, budget_from(proto.budget()));
  if (proto.batch_size() == 0) {
    return malformed({"work", "train.batch_size"}, "0", "1 or greater");
  }
  plan.batch_size = proto.batch_size();
  CHORUS_TRY(plan.optimiser, optimiser_from(proto));
  CHORUS_TRY(plan.order, order_from(proto.order()));
  plan.seed = proto.seed();
  CHORUS_TRY(plan.schedule, schedule_from(proto));
  plan.clip_norm = proto.clip_norm();
  plan.proximal = proto.proximal();
  plan.accumulate = proto.accumulate() == 0 ? 1 : proto.accumulate();
  if (const auto wrong = tensor::problem_of(plan)) {
    return malformed({"work", "train." + std::string(wrong->field)},
                     std::to_string(wrong->value),
                     wrong->expected);
  }
  return plan;
}

Result<EvaluatePlan> evaluate_plan_from(const pb::EvaluatePlan& proto) {
  if (proto.batch_size() == 0) {
    return malformed({"work", "evaluate.batch_size"}, "0", "1 or greater");
  }
  return EvaluatePlan{proto.batch_size()};
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

Result<ModelRef> model_from(const pb::ModelRef& proto) {
  ModelRef model;
  CHORUS_TRY(model.sha256, sha256_from({"work", "model.sha256"}, proto.sha256()));
  if (proto.bytes() == 0 || proto.bytes() > limits::kModelBytesMax) {
    return malformed({"work", "model.bytes"},
                     std::to_string(proto.bytes()),
                     "1 to " + std::to_string(limits::kModelBytesMax));
  }
  model.bytes = proto.bytes();
  return model;
}

void budget_to(const Budget& budget, pb::Budget* proto) {
  switch (budget.unit) {
    case Budget::Unit::epochs:
      proto->set_epochs(budget.amount);
      break;
    case Budget::Unit::steps:
      proto->set_steps(static_cast<std::uint64_t>(budget.amount));
      break;
    case Budget::Unit::examples:
      proto->set_examples(static_cast<std::uint64_t>(budget.amount));
      break;
    case Budget::Unit::seconds:
      proto->set_seconds(budget.amount);
      break;
  }
}

// Devices of the first version know SGD with momentum.
void optimiser_to(const Optimiser& optimiser, pb::TrainPlan* proto) {
  if (optimiser == Optimiser{optimiser.learning_rate, optimiser.momentum, optimiser.weight_decay}) {
    proto->mutable_sgd()->set_learning_rate(optimiser.learning_rate);
    proto->mutable_sgd()->set_momentum(optimiser.momentum);
    proto->mutable_sgd()->set_weight_decay(optimiser.weight_decay);
    return;
  }
  proto->add_required_features("optimiser");
  auto* to = proto->mutable_optimiser();
  to->set_kind(static_cast<pb::OptimiserKind>(optimiser.kind));
  to->set_learning_rate(optimiser.learning_rate);
  to->set_momentum(optimiser.momentum);
  to->set_weight_decay(optimiser.weight_decay);
  to->set_nesterov(optimiser.nesterov);
  to->set_beta1(optimiser.beta1);
  to->set_beta2(optimiser.beta2);
  to->set_epsilon(optimiser.epsilon);
}

void train_plan_to(const TrainPlan& plan, pb::TrainPlan* proto) {
  budget_to(plan.budget, proto->mutable_budget());
  proto->set_batch_size(plan.batch_size);
  optimiser_to(plan.optimiser, proto);
  proto->set_order(plan.order == Order::natural ? pb::ORDER_NATURAL : pb::ORDER_SHUFFLED);
  proto->set_seed(plan.seed);
  if (plan.schedule != Schedule{}) {
    proto->add_required_features("schedule");
    auto* to = proto->mutable_schedule();
    to->set_kind(static_cast<pb::ScheduleKind>(plan.schedule.kind));
    to->set_warmup_steps(plan.schedule.warmup_steps);
    to->set_every_steps(plan.schedule.every_steps);
    to->set_total_steps(plan.schedule.total_steps);
    to->set_factor(plan.schedule.factor);
  }
  if (plan.clip_norm != 0.0) proto->add_required_features("clip_norm");
  proto->set_clip_norm(plan.clip_norm);
  if (plan.proximal != 0.0) proto->add_required_features("proximal");
  proto->set_proximal(plan.proximal);
  if (plan.accumulate != 1) {
    proto->add_required_features("accumulate");
    proto->set_accumulate(plan.accumulate);
  }
}

}  // namespace

Result<Message> work_from(const pb::Work& proto) {
  Work work;
  CHORUS_TRY(work.task, task_from("work", proto.has_task(), proto.task()));
  CHORUS_TRY(work.plan, plan_from(proto, work.task.kind));
  CHORUS_TRY(work.model, model_from(proto.model()));
  CHORUS_TRY(work.spec, spec_from(proto.spec()));
  CHORUS_TRY(work.deadline, duration_from({"work", "deadline_ms"}, proto.deadline_ms()));
  return Message(std::move(work));
}

pb::Work to_proto(const Work& work) {
  pb::Work proto;
  task_to(work.task, proto.mutable_task());
  proto.mutable_model()->set_sha256(bytes_to(work.model.sha256.bytes));
  proto.mutable_model()->set_bytes(work.model.bytes);
  spec_to(work.spec, proto.mutable_spec());
  if (const auto* train = std::get_if<TrainPlan>(&work.plan)) {
    train_plan_to(*train, proto.mutable_train());
  } else {
    proto.mutable_evaluate()->set_batch_size(std::get<EvaluatePlan>(work.plan).batch_size);
  }
  proto.set_deadline_ms(duration_to(work.deadline));
  return proto;
}

}  // namespace chorus::wire
