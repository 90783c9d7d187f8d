// Work: models and plans between protobuf and values.
#include <cmath>
#include <string>
#include <utility>
#include <variant>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/wire/convert.hpp"

namespace chorus::wire {
namespace {

// Whole numbers of this size and below are exact in a double.
constexpr std::uint64_t kWholeMax = 1ULL << 53U;

Failure unsupported(std::string_view what) {
  return fail(errc::unsupported_feature,
              std::string(what) + "; a newer version of this software may know it");
}

// An empty name stands for the one that layout_of() makes up.
Result<std::string> layer_name_from(const std::string& name) {
  if (name.size() > limits::kTensorNameBytesMax) {
    return malformed({"work", "spec.layers.name"},
                     std::to_string(name.size()) + " bytes",
                     "at most " + std::to_string(limits::kTensorNameBytesMax));
  }
  return name;
}

Result<Layer> layer_from(const pb::Layer& proto, int index) {
  switch (proto.kind_case()) {
    case pb::Layer::kDense: {
      CHORUS_TRY(auto name, layer_name_from(proto.dense().name()));
      return Layer(Dense{std::move(name), proto.dense().units()});
    }
    case pb::Layer::kConv2D: {
      const auto& conv = proto.conv2d();
      CHORUS_TRY(auto name, layer_name_from(conv.name()));
      return Layer(
          Conv2d{std::move(name), conv.channels(), conv.kernel(), conv.stride(), conv.padding()});
    }
    case pb::Layer::kMaxPool2D:
      return Layer(MaxPool2d{proto.max_pool2d().kernel(), proto.max_pool2d().stride()});
    case pb::Layer::kRelu:
      return Layer(Relu{});
    case pb::Layer::kFlatten:
      return Layer(Flatten{});
    case pb::Layer::KIND_NOT_SET:
      break;
  }
  return unsupported("work.spec: layer " + std::to_string(index) +
                     " is of a kind that is not known here");
}

Result<ModelSpec> spec_from(const pb::ModelSpec& proto) {
  const auto rank = static_cast<std::size_t>(proto.input_shape_size());
  if (rank == 0 || rank > limits::kTensorRankMax) {
    return malformed({"work", "spec.input_shape"},
                     std::to_string(rank) + " dimensions",
                     "1 to " + std::to_string(limits::kTensorRankMax));
  }
  const auto layers = static_cast<std::size_t>(proto.layers_size());
  if (layers == 0 || layers > limits::kLayersMax) {
    return malformed({"work", "spec.layers"},
                     std::to_string(layers) + " layers",
                     "1 to " + std::to_string(limits::kLayersMax));
  }
  ModelSpec spec;
  spec.input_shape.assign(proto.input_shape().begin(), proto.input_shape().end());
  spec.layers.reserve(layers);
  for (int i = 0; i < proto.layers_size(); ++i) {
    CHORUS_TRY(auto layer, layer_from(proto.layers(i), i));
    spec.layers.push_back(std::move(layer));
  }
  switch (proto.loss()) {
    case pb::LOSS_SOFTMAX_CROSS_ENTROPY:
      spec.loss = Loss::softmax_cross_entropy;
      return spec;
    case pb::LOSS_UNSPECIFIED:
      return malformed({"work", "spec.loss"}, "missing", "a loss");
    default:
      return unsupported("work.spec.loss: number " + std::to_string(proto.loss()) +
                         " is not known here");
  }
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

Result<Sgd> sgd_from(const pb::Sgd& proto) {
  const auto wrong = [](std::string_view name, double value, std::string_view expected) {
    return malformed({"work", name}, std::to_string(value), expected);
  };
  const Sgd sgd{proto.learning_rate(), proto.momentum(), proto.weight_decay()};
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
  if (proto.required_features_size() != 0) {
    return unsupported("work.train: needs the feature '" +
                       text_to(proto.required_features(0), limits::kNameBytesMax) +
                       "', which is not known here");
  }
  TrainPlan plan;
  if (!proto.has_budget()) return malformed({"work", "train.budget"}, "missing", "a budget");
  CHORUS_TRY(plan.budget, budget_from(proto.budget()));
  if (proto.batch_size() == 0) {
    return malformed({"work", "train.batch_size"}, "0", "1 or greater");
  }
  plan.batch_size = proto.batch_size();
  if (!proto.has_sgd()) return malformed({"work", "train.sgd"}, "missing", "an optimiser");
  CHORUS_TRY(plan.optimiser, sgd_from(proto.sgd()));
  CHORUS_TRY(plan.order, order_from(proto.order()));
  plan.seed = proto.seed();
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

struct LayerTo {
  pb::Layer* proto;

  void operator()(const Dense& dense) const {
    proto->mutable_dense()->set_name(dense.name);
    proto->mutable_dense()->set_units(dense.units);
  }
  void operator()(const Conv2d& conv) const {
    auto* to = proto->mutable_conv2d();
    to->set_name(conv.name);
    to->set_channels(conv.channels);
    to->set_kernel(conv.kernel);
    to->set_stride(conv.stride);
    to->set_padding(conv.padding);
  }
  void operator()(const MaxPool2d& pool) const {
    proto->mutable_max_pool2d()->set_kernel(pool.kernel);
    proto->mutable_max_pool2d()->set_stride(pool.stride);
  }
  void operator()(const Relu& /*relu*/) const { proto->mutable_relu(); }
  void operator()(const Flatten& /*flatten*/) const { proto->mutable_flatten(); }
};

void spec_to(const ModelSpec& spec, pb::ModelSpec* proto) {
  for (const auto extent : spec.input_shape) proto->add_input_shape(extent);
  for (const auto& layer : spec.layers) std::visit(LayerTo{proto->add_layers()}, layer);
  proto->set_loss(pb::LOSS_SOFTMAX_CROSS_ENTROPY);
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

void train_plan_to(const TrainPlan& plan, pb::TrainPlan* proto) {
  budget_to(plan.budget, proto->mutable_budget());
  proto->set_batch_size(plan.batch_size);
  proto->mutable_sgd()->set_learning_rate(plan.optimiser.learning_rate);
  proto->mutable_sgd()->set_momentum(plan.optimiser.momentum);
  proto->mutable_sgd()->set_weight_decay(plan.optimiser.weight_decay);
  proto->set_order(plan.order == Order::natural ? pb::ORDER_NATURAL : pb::ORDER_SHUFFLED);
  proto->set_seed(plan.seed);
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
