// TrainPlan between protobuf and values.
#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/tensor/plan_features.hpp"
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

// Enumerators known here are 1 to `last`.
template <class Kind>
Result<void> check_kind(const std::string& name, Kind kind, Kind last) {
  if (kind == 0) return malformed({"work", "train." + name + ".kind"}, "missing", "a kind");
  if (kind > 0 && kind <= last) return {};
  return unsupported("work.train." + name + ": number " + std::to_string(kind) +
                     " is not known here");
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
  CHORUS_OK(check_kind("optimiser", from.kind(), pb::OPTIMISER_LAMB));
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
  CHORUS_OK(check_kind("schedule", from.kind(), pb::SCHEDULE_COSINE));
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
    case pb::ORDER_CURRICULUM:
      return Order::curriculum;
    case pb::ORDER_UNSPECIFIED:
      return malformed({"work", "train.order"}, "missing", "1 to 3");
    default:
      return unsupported("work.train.order: number " + std::to_string(order) +
                         " is not known here");
  }
}

// How steps are made, beyond the first version.
Result<void> steps_from(const pb::TrainPlan& proto, TrainPlan& plan) {
  if (proto.has_early_stop()) {
    const auto& from = proto.early_stop();
    plan.early_stop = {from.loss(), from.patience(), from.improvement(), from.gradient_norm()};
  }
  if (plan.order == Order::curriculum) {
    const auto& from = proto.curriculum();
    CHORUS_OK(check_kind("curriculum", from.pace(), pb::PACE_LOGARITHMIC));
    plan.curriculum = {static_cast<Curriculum::Pace>(from.pace()),
                       from.start(),
                       from.full(),
                       from.hardest_first(),
                       from.given_scores()};
  }
  if (proto.has_source()) {
    const auto& from = proto.source();
    CHORUS_OK(check_kind("source", from.kind(), pb::SOURCE_ZEROTH_ORDER));
    plan.source.kind = static_cast<GradientSource::Kind>(from.kind());
    if (plan.source.kind == GradientSource::Kind::zeroth_order) {
      plan.source.directions = from.directions();
      plan.source.distance = from.distance();
    }
  }
  if (proto.has_control()) {
    CHORUS_OK(check_kind("control", proto.control().kind(), pb::CONTROL_FROM_GRADIENT));
    plan.control = static_cast<ControlVariates>(proto.control().kind());
  }
  if (proto.has_meta()) {
    const auto& from = proto.meta();
    CHORUS_OK(check_kind("meta", from.kind(), pb::META_FIRST_ORDER_MAML));
    plan.meta = {static_cast<Meta::Kind>(from.kind()), from.rate(), from.inner_steps()};
  }
  if (proto.has_distil()) {
    const auto& from = proto.distil();
    CHORUS_OK(check_kind("distil", from.teacher(), pb::TEACHER_GIVEN));
    plan.distil = {static_cast<Distillation::Teacher>(from.teacher()),
                   from.weight(),
                   from.temperature(),
                   from.not_true()};
  }
  return {};
}

// Which parts of the model, beyond the first version.
Result<void> parts_from(const pb::TrainPlan& proto, TrainPlan& plan) {
  CHORUS_TRY(plan.trainable.only, patterns_from("train.trainable.only", proto.trainable().only()));
  CHORUS_TRY(plan.trainable.frozen,
             patterns_from("train.trainable.frozen", proto.trainable().frozen()));
  plan.trainable.mask = proto.trainable().mask();
  CHORUS_TRY(plan.local, patterns_from("train.local", proto.local()));
  const auto& from = proto.probe();
  CHORUS_TRY(const std::string representation,
             optional_name_from({"work", "train.probe.representation"}, from.representation()));
  plan.probe = {from.gradient_norms(),
                from.losses(),
                from.labels(),
                from.statistics(),
                from.representation(),
                from.by_class(),
                from.batches(),
                from.only()};
  plan.candidates = proto.candidates() == 0 ? 1 : proto.candidates();
  CHORUS_TRY(plan.normalise, normalise_from({"work", "train.normalise"}, proto.normalise()));
  if (proto.has_compression()) {
    CHORUS_TRY(plan.compression, compression_from("train.compression", proto.compression()));
  }
  return {};
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

void steps_to(const TrainPlan& plan, pb::TrainPlan* proto) {
  if (const EarlyStop& stop = plan.early_stop; stop != EarlyStop{}) {
    auto* to = proto->mutable_early_stop();
    to->set_loss(stop.loss);
    to->set_patience(stop.patience);
    to->set_improvement(stop.improvement);
    to->set_gradient_norm(stop.gradient_norm);
  }
  if (plan.order == Order::curriculum) {
    auto* to = proto->mutable_curriculum();
    to->set_pace(static_cast<pb::CurriculumPace>(plan.curriculum.pace));
    to->set_start(plan.curriculum.start);
    to->set_full(plan.curriculum.full);
    to->set_hardest_first(plan.curriculum.hardest_first);
    to->set_given_scores(plan.curriculum.given_scores);
  }
  if (plan.source.kind != GradientSource::Kind::batch) {
    auto* to = proto->mutable_source();
    to->set_kind(static_cast<pb::SourceKind>(plan.source.kind));
    to->set_directions(plan.source.directions);
    to->set_distance(plan.source.distance);
  }
  if (plan.control != ControlVariates::none) {
    proto->mutable_control()->set_kind(static_cast<pb::ControlVariates>(plan.control));
  }
  if (plan.meta.kind != Meta::Kind::none) {
    auto* to = proto->mutable_meta();
    to->set_kind(static_cast<pb::MetaKind>(plan.meta.kind));
    to->set_rate(plan.meta.rate);
    to->set_inner_steps(plan.meta.inner_steps);
  }
  if (const Distillation& distil = plan.distil; distil.teacher != Distillation::Teacher::none) {
    auto* to = proto->mutable_distil();
    to->set_teacher(static_cast<pb::Teacher>(distil.teacher));
    to->set_weight(distil.weight);
    to->set_temperature(distil.temperature);
    to->set_not_true(distil.not_true);
  }
}

void parts_to(const TrainPlan& plan, pb::TrainPlan* proto) {
  if (plan.trainable != Trainable{}) {
    auto* to = proto->mutable_trainable();
    for (const std::string& pattern : plan.trainable.only) to->add_only(pattern);
    for (const std::string& pattern : plan.trainable.frozen) to->add_frozen(pattern);
    to->set_mask(plan.trainable.mask);
  }
  for (const std::string& pattern : plan.local) proto->add_local(pattern);
  if (const Probe& probe = plan.probe; probe != Probe{}) {
    auto* to = proto->mutable_probe();
    to->set_gradient_norms(probe.gradient_norms);
    to->set_losses(probe.losses);
    to->set_labels(probe.labels);
    to->set_statistics(probe.statistics);
    to->set_representation(probe.representation);
    to->set_by_class(probe.by_class);
    to->set_batches(probe.batches);
    to->set_only(probe.only);
  }
  if (plan.candidates > 1) proto->set_candidates(plan.candidates);
  if (!plan.normalise.empty()) normalise_to(plan.normalise, proto->mutable_normalise());
  if (plan.compression) compression_to(*plan.compression, proto->mutable_compression());
}

}  // namespace

Result<std::vector<std::string>> patterns_from(
    std::string_view where, const google::protobuf::RepeatedPtrField<std::string>& patterns) {
  std::vector<std::string> all;
  for (const std::string& pattern : patterns) {
    const bool plain =
        std::all_of(pattern.begin(), pattern.end(), [](char c) { return c > ' ' && c < '\x7f'; });
    if (!plain) {
      return malformed({"work", where},
                       text_to(pattern, limits::kNameBytesMax),
                       "printable ASCII without spaces");
    }
    all.push_back(pattern);
  }
  return all;
}

Result<TrainPlan> train_plan_from(const pb::TrainPlan& proto) {
  // Asked first: a plan with new vocabulary may well look odd to the checks below.
  CHORUS_OK(check_features({"work", "train"}, proto.required_features()));
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
  // A permission, of which the device takes what it knows.
  if (proto.precision() == pb::PRECISION_BF16) plan.precision = Precision::bf16;
  CHORUS_OK(steps_from(proto, plan));
  CHORUS_OK(parts_from(proto, plan));
  if (const auto wrong = tensor::problem_of(plan)) {
    return malformed({"work", "train." + std::string(wrong->field)},
                     std::to_string(wrong->value),
                     wrong->expected);
  }
  return plan;
}

void train_plan_to(const TrainPlan& plan, pb::TrainPlan* proto) {
  for (const auto feature : tensor::features_of(plan)) {
    proto->add_required_features(std::string(feature));
  }
  budget_to(plan.budget, proto->mutable_budget());
  proto->set_batch_size(plan.batch_size);
  optimiser_to(plan.optimiser, proto);
  proto->set_order(static_cast<pb::Order>(plan.order));
  proto->set_seed(plan.seed);
  if (plan.schedule != Schedule{}) {
    auto* to = proto->mutable_schedule();
    to->set_kind(static_cast<pb::ScheduleKind>(plan.schedule.kind));
    to->set_warmup_steps(plan.schedule.warmup_steps);
    to->set_every_steps(plan.schedule.every_steps);
    to->set_total_steps(plan.schedule.total_steps);
    to->set_factor(plan.schedule.factor);
  }
  proto->set_clip_norm(plan.clip_norm);
  proto->set_proximal(plan.proximal);
  if (plan.accumulate != 1) proto->set_accumulate(plan.accumulate);
  if (plan.precision == Precision::bf16) proto->set_precision(pb::PRECISION_BF16);
  steps_to(plan, proto);
  parts_to(plan, proto);
}

}  // namespace chorus::wire
