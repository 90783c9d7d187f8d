// Work: what of a model and a plan is malformed, and what is merely newer than this build.
#include <functional>
#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chorus/v1/wire.pb.h"
#include "common/base/limits.hpp"
#include "common/tensor/layer_fields.hpp"
#include "common/wire/messages.hpp"
#include "tests/support/messages.hpp"

namespace chorus::wire {
namespace {

namespace pb = chorus::v1;
using ::testing::HasSubstr;
using Change = std::function<void(pb::Work&)>;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

std::string changed_work(const Change& change) {
  const auto frame = encode(test::some_work()).value();
  pb::Work proto;
  EXPECT_TRUE(proto.ParseFromArray(frame.data() + kHeaderBytes,
                                   static_cast<int>(frame.size() - kHeaderBytes)));
  change(proto);
  return proto.SerializeAsString();
}

Result<Message> decode_text(const std::string& bytes) {
  return decode(FrameKind::work, std::as_bytes(std::span(bytes)));
}

void refuses(const std::string& words, const Change& change) {
  const auto message = decode_text(changed_work(change));
  ASSERT_FALSE(message) << "expected an error about " << words;
  EXPECT_EQ(message.error().code, errc::malformed_message) << message.error().detail;
  EXPECT_THAT(message.error().detail, HasSubstr(words));
}

void unsupported(const std::string& words, const Change& change) {
  const std::string bytes = changed_work(change);
  const auto message = decode_text(bytes);
  ASSERT_FALSE(message) << "expected an error about " << words;
  EXPECT_EQ(message.error().code, errc::unsupported_feature) << message.error().detail;
  EXPECT_THAT(message.error().detail, HasSubstr(words));
  // The device must be able to say which task it declines.
  const auto task = task_of_work(std::as_bytes(std::span(bytes)));
  ASSERT_TRUE(task);
  EXPECT_EQ(*task, test::some_task());
}

pb::TrainPlan& train(pb::Work& work) {
  return *work.mutable_train();
}

TEST(WorkMessage, EveryBudgetSurvivesTheWire) {
  for (const Budget budget : {Budget{Budget::Unit::epochs, 3.0},
                              Budget{Budget::Unit::steps, 9007199254740992.0},
                              Budget{Budget::Unit::examples, 1.0},
                              Budget{Budget::Unit::seconds, 0.125}}) {
    Work work = test::some_work();
    std::get<TrainPlan>(work.plan).budget = budget;
    const auto frame = encode(work).value();
    EXPECT_EQ(decode(FrameKind::work, std::span(frame).subspan(kHeaderBytes)).value(),
              Message(work));
  }
}

TEST(WorkMessage, EvaluateSurvivesTheWire) {
  Work work = test::some_work();
  work.task.kind = TaskKind::evaluate;
  for (const EvaluatePlan& plan : {EvaluatePlan{128}, EvaluatePlan{64, {{0.5, 2}, {-1, 0.25}}}}) {
    work.plan = plan;
    const auto frame = encode(work).value();
    EXPECT_EQ(decode(FrameKind::work, std::span(frame).subspan(kHeaderBytes)).value(),
              Message(work));
    pb::Work proto;
    ASSERT_TRUE(proto.ParseFromArray(frame.data() + kHeaderBytes,
                                     static_cast<int>(frame.size() - kHeaderBytes)));
    EXPECT_EQ(proto.evaluate().required_features_size(), plan.normalise.empty() ? 0 : 1);
  }
}

// 16 KiB of scales beside the largest other parts of a plan are within a message.
TEST(WorkMessage, TheMostScalesFit) {
  Work work = test::some_work();
  auto& plan = std::get<TrainPlan>(work.plan);
  plan.normalise.assign(limits::kPlanScalesMax, {1.0 / 3.0, 2.0 / 3.0});
  plan.trainable.only.assign(limits::kPatternsMax, std::string(limits::kTensorNameBytesMax, '*'));
  const auto frame = encode(work);
  ASSERT_TRUE(frame) << frame.error().detail;
  EXPECT_EQ(decode(FrameKind::work, std::span(*frame).subspan(kHeaderBytes)).value(),
            Message(work));
}

TEST(WorkMessage, LayersNeedNoName) {
  Work work = test::some_work();
  work.spec.layers.emplace_back(Dense{"", 10});
  const auto frame = encode(work).value();
  EXPECT_EQ(decode(FrameKind::work, std::span(frame).subspan(kHeaderBytes)).value(), Message(work));
}

TEST(WorkMessage, EveryKindOfLayerArrives) {
  Work work = test::some_work();
  tensor::for_each_kind(
      [&]<class L>(std::in_place_type_t<L>) { work.spec.layers.emplace_back(L{}); });
  work.spec.layers.emplace_back(Dense{"d", 3, false});
  work.spec.layers.emplace_back(Conv2d{"c", 3, 3, 1, 1, 2, 3, false});
  work.spec.layers.emplace_back(MaxPool2d{3, 2, 1});
  work.spec.layers.emplace_back(LeakyRelu{0.25});
  work.spec.layers.emplace_back(Lstm{"l", 3, 2, true, true});
  work.spec.layers.emplace_back(Reshape{{4, 5}});
  work.spec.layers.emplace_back(Concat{"mark"});
  work.spec.loss_options = {0.25, {1.0F, 2.0F}, 1.0};
  const auto frame = encode(work).value();
  const auto back = decode(FrameKind::work, std::span(frame).subspan(kHeaderBytes));
  ASSERT_TRUE(back) << back.error().detail;
  EXPECT_EQ(*back, Message(work));
  work.spec.loss = Loss::huber;
  work.spec.loss_options = {0.0, {}, 2.5};
  const auto huber = encode(work).value();
  EXPECT_EQ(decode(FrameKind::work, std::span(huber).subspan(kHeaderBytes)).value(), Message(work));
}

TEST(WorkMessage, RefusesBadOperations) {
  const auto operation = [](auto& w) {
    auto* to = w.mutable_spec()->add_layers()->mutable_operation();
    to->set_kind("leaky_relu");
    return to;
  };
  unsupported("kind 'swish'", [&](auto& w) { operation(w)->set_kind("swish"); });
  unsupported("option 'angle'", [&](auto& w) { operation(w)->add_attributes()->set_key("angle"); });
  refuses("'slope' of another type", [&](auto& w) {
    auto* attribute = operation(w)->add_attributes();
    attribute->set_key("slope");
    attribute->set_whole(1);
  });
  refuses("17 attributes", [&](auto& w) {
    auto* to = operation(w);
    for (int i = 0; i < 17; ++i) to->add_attributes();
  });
  refuses("spec.loss_options.class_weights: 4097", [](auto& w) {
    w.mutable_spec()->set_loss(pb::LOSS_SOFTMAX_CROSS_ENTROPY_WITH_OPTIONS);
    for (int i = 0; i < 4097; ++i) w.mutable_spec()->mutable_loss_options()->add_class_weights(1);
  });
}

TEST(WorkMessage, EveryInstructionArrives) {
  Work work = test::some_work();
  TrainPlan& plan = std::get<TrainPlan>(work.plan);
  plan.optimiser = {0.5, 0.0, 0.25, Optimiser::Kind::lamb, false, 0.5, 0.75, 1e-3};
  plan.schedule = {Schedule::Kind::cosine, 3, 7, 100, 0.5};
  plan.clip_norm = 2.0;
  plan.proximal = 0.125;
  plan.accumulate = 4;
  const auto frame = encode(work).value();
  const auto back = decode(FrameKind::work, std::span(frame).subspan(kHeaderBytes));
  ASSERT_TRUE(back) << back.error().detail;
  EXPECT_EQ(*back, Message(work));
  pb::Work proto;
  ASSERT_TRUE(proto.ParseFromArray(frame.data() + kHeaderBytes,
                                   static_cast<int>(frame.size() - kHeaderBytes)));
  EXPECT_EQ(proto.train().required_features_size(), 5) << "old devices must decline";
  EXPECT_FALSE(proto.train().has_sgd());
}

TEST(WorkMessage, EveryOptionArrives) {
  TrainPlan plan;
  plan.early_stop = {0.25, 3, 0.01, 0.5};
  plan.order = Order::curriculum;
  plan.curriculum = {Curriculum::Pace::root, 0.5, 0.75, true, true};
  plan.source = {GradientSource::Kind::zeroth_order, 7, 0.125};
  plan.control = ControlVariates::from_gradient;
  plan.meta = {Meta::Kind::reptile, 0.5, 9};
  plan.distil = {Distillation::Teacher::given, 0.25, 3.0, true};
  plan.trainable = {{"head.*", "*.bias"}, {"head.weight"}, true};
  plan.local = {"head.*"};
  plan.probe = {true, true, true, true, "head", true, 4, true};
  plan.candidates = 5;
  plan.precision = Precision::bf16;
  plan.normalise = {{0.5, 2}, {-1, 0.25}};
  plan.compression = Compression{
      .codec = {.kind = CodecKind::qsgd, .bits = 4, .bucket = 128, .norm = CodecNorm::l2},
      .tensors = {{"head.*", {.kind = CodecKind::top_k, .density = 0.125, .entropy = true}},
                  {"conv?.weight",
                   {.kind = CodecKind::rotated, .bits = 2, .bucket = 64, .least_error = true}},
                  {"dense.*", {.kind = CodecKind::low_rank, .rank = 3}}},
      .feedback = Feedback::error,
      .momentum = 0.9,
      .seed = 1ULL << 63U,
      .table = 9};
  Work work = test::some_work();
  work.plan = plan;
  const auto frame = encode(work).value();
  const auto back = decode(FrameKind::work, std::span(frame).subspan(kHeaderBytes));
  ASSERT_TRUE(back) << back.error().detail;
  EXPECT_EQ(*back, Message(work));
  pb::Work proto;
  ASSERT_TRUE(proto.ParseFromArray(frame.data() + kHeaderBytes,
                                   static_cast<int>(frame.size() - kHeaderBytes)));
  const auto& features = proto.train().required_features();
  EXPECT_THAT(std::vector<std::string>(features.begin(), features.end()),
              testing::ElementsAre("early_stop",
                                   "curriculum",
                                   "source.zeroth_order",
                                   "control",
                                   "meta",
                                   "distillation",
                                   "trainable",
                                   "mask",
                                   "local",
                                   "probe",
                                   "candidates",
                                   "normalise",
                                   "compression",
                                   "compression.momentum",
                                   "compression.low_rank"))
      << "old devices must decline";
}

TEST(WorkMessage, NamesTheBasisOfItsRound) {
  Work work = test::some_work();
  TrainPlan plan;
  plan.compression = Compression{.codec = {.kind = CodecKind::subspace, .rank = 3}};
  work.plan = plan;
  work.basis = ModelRef{work.model.sha256, limits::kBasisBytesMax};
  const auto frame = encode(work).value();
  const auto back = decode(FrameKind::work, std::span(frame).subspan(kHeaderBytes));
  ASSERT_TRUE(back) << back.error().detail;
  EXPECT_EQ(*back, Message(work));
  refuses("work.basis.bytes: 268435457", [](auto& w) {
    w.mutable_basis()->set_sha256(std::string(32, 'x'));
    w.mutable_basis()->set_bytes(limits::kBasisBytesMax + 1);
  });
  refuses("work.basis.bytes: 0",
          [](auto& w) { w.mutable_basis()->set_sha256(std::string(32, 'x')); });
  refuses("work.basis.sha256", [](auto& w) { w.mutable_basis()->set_bytes(8); });
}

TEST(WorkMessage, SaysSinceWhenDifferencesCount) {
  Work work = test::some_work();
  TrainPlan plan;
  plan.compression = Compression{
      .codec = {.kind = CodecKind::top_k}, .feedback = Feedback::difference, .since = 7};
  work.plan = plan;
  const auto frame = encode(work).value();
  const auto back = decode(FrameKind::work, std::span(frame).subspan(kHeaderBytes));
  ASSERT_TRUE(back) << back.error().detail;
  EXPECT_EQ(*back, Message(work));
}

TEST(WorkMessage, EverySourceIsAFeature) {
  for (const auto& [kind, feature] :
       {std::pair{GradientSource::Kind::whole, "source.whole"},
        std::pair{GradientSource::Kind::variance_reduced, "source.variance_reduced"}}) {
    Work work = test::some_work();
    std::get<TrainPlan>(work.plan).source.kind = kind;
    const auto frame = encode(work).value();
    EXPECT_EQ(decode(FrameKind::work, std::span(frame).subspan(kHeaderBytes)).value(),
              Message(work));
    pb::Work proto;
    ASSERT_TRUE(proto.ParseFromArray(frame.data() + kHeaderBytes,
                                     static_cast<int>(frame.size() - kHeaderBytes)));
    EXPECT_EQ(proto.train().required_features(0), feature);
  }
}

TEST(WorkMessage, RefusesBadOptions) {
  refuses("train.curriculum.kind: missing",
          [](auto& w) { w.mutable_train()->set_order(pb::ORDER_CURRICULUM); });
  refuses("train.source.kind: missing", [](auto& w) { train(w).mutable_source(); });
  refuses("train.control.kind: missing", [](auto& w) { train(w).mutable_control(); });
  refuses("train.meta.kind: missing", [](auto& w) { train(w).mutable_meta(); });
  unsupported("source: number 5",
              [](auto& w) { train(w).mutable_source()->set_kind(static_cast<pb::SourceKind>(5)); });
  unsupported("control: number 3", [](auto& w) {
    train(w).mutable_control()->set_kind(static_cast<pb::ControlVariates>(3));
  });
  refuses("train.distil.kind: missing", [](auto& w) { train(w).mutable_distil(); });
  unsupported("distil: number 3",
              [](auto& w) { train(w).mutable_distil()->set_teacher(static_cast<pb::Teacher>(3)); });
  unsupported("meta: number -1",
              [](auto& w) { train(w).mutable_meta()->set_kind(static_cast<pb::MetaKind>(-1)); });
  unsupported("order: number 4", [](auto& w) { train(w).set_order(static_cast<pb::Order>(4)); });
  refuses("train.source.directions",
          [](auto& w) { train(w).mutable_source()->set_kind(pb::SOURCE_ZEROTH_ORDER); });
  refuses("train.early_stop.loss", [](auto& w) { train(w).mutable_early_stop()->set_loss(kNan); });
  refuses("train.local: a b", [](auto& w) { train(w).add_local("a b"); });
  refuses("train.trainable.only", [](auto& w) { train(w).mutable_trainable()->add_only("\n"); });
  refuses("train.frozen", [](auto& w) {
    for (int i = 0; i < 65; ++i) train(w).mutable_trainable()->add_frozen("a");
  });
  refuses("train.probe.representation",
          [](auto& w) { train(w).mutable_probe()->set_representation("a b"); });
  refuses("train.candidates", [](auto& w) { train(w).set_candidates(65); });
  refuses("train.compression.codec.kind: missing", [](auto& w) { train(w).mutable_compression(); });
  const auto codec = [](auto& w, pb::CodecKind kind) {
    auto* const to = train(w).mutable_compression()->mutable_codec();
    to->set_kind(kind);
    return to;
  };
  unsupported("compression.codec.kind: number 13",
              [&](auto& w) { codec(w, static_cast<pb::CodecKind>(13)); });
  unsupported("compression.codec.norm: number 3",
              [&](auto& w) { codec(w, pb::CODEC_QSGD)->set_norm(static_cast<pb::CodecNorm>(3)); });
  refuses("compression.codec: a codec with bits = 0",
          [&](auto& w) { codec(w, pb::CODEC_UNIFORM); });
  refuses("compression.codec: a codec with density", [&](auto& w) { codec(w, pb::CODEC_TOP_K); });
  refuses("compression.tensors.codec.kind: missing", [&](auto& w) {
    codec(w, pb::CODEC_F32);
    train(w).mutable_compression()->add_tensors();
  });
  refuses("compression.tensors: 513 rules", [&](auto& w) {
    codec(w, pb::CODEC_F32);
    for (int i = 0; i < 513; ++i) train(w).mutable_compression()->add_tensors();
  });
  for (const double momentum : {-0.1, 1.0, kNan}) {
    refuses("train.compression.momentum", [&](auto& w) {
      codec(w, pb::CODEC_F32);
      train(w).mutable_compression()->set_momentum(momentum);
    });
  }
  for (const std::uint64_t since : {std::uint64_t{0}, limits::kRoundsMax + 1}) {
    refuses("train.compression.since", [&](auto& w) {
      codec(w, pb::CODEC_F32);
      train(w).mutable_compression()->set_feedback(pb::FEEDBACK_DIFFERENCE);
      train(w).mutable_compression()->set_since(since);
    });
  }
  unsupported("compression.feedback: number 3", [&](auto& w) {
    codec(w, pb::CODEC_F32);
    train(w).mutable_compression()->set_feedback(static_cast<pb::Feedback>(3));
  });
  refuses("train.normalise: 1 means and 0 deviations",
          [](auto& w) { train(w).mutable_normalise()->add_mean(1); });
  refuses("train.normalise.deviation", [](auto& w) {
    train(w).mutable_normalise()->add_mean(1);
    train(w).mutable_normalise()->add_deviation(0);
  });
}

TEST(WorkMessage, RefusesBadInstructions) {
  const auto optimiser = [](auto& w) {
    auto* to = w.mutable_train()->mutable_optimiser();
    to->set_kind(pb::OPTIMISER_ADAM);
    to->set_learning_rate(0.1);
    to->set_beta1(0.9);
    to->set_beta2(0.99);
    to->set_epsilon(1e-8);
    return to;
  };
  refuses("train.optimiser.kind: missing", [&](auto& w) { optimiser(w)->clear_kind(); });
  unsupported("optimiser: number 9",
              [&](auto& w) { optimiser(w)->set_kind(static_cast<pb::OptimiserKind>(9)); });
  refuses("train.beta1", [&](auto& w) { optimiser(w)->set_beta1(1.0); });
  refuses("train.epsilon", [&](auto& w) { optimiser(w)->set_epsilon(0.0); });
  refuses("train.learning_rate", [&](auto& w) { optimiser(w)->set_learning_rate(kNan); });
  refuses("train.momentum", [&](auto& w) { optimiser(w)->set_momentum(0.5); });
  refuses("train.schedule.kind: missing", [](auto& w) { w.mutable_train()->mutable_schedule(); });
  unsupported("schedule: number 9", [](auto& w) {
    w.mutable_train()->mutable_schedule()->set_kind(static_cast<pb::ScheduleKind>(9));
  });
  refuses("train.schedule.every_steps",
          [](auto& w) { w.mutable_train()->mutable_schedule()->set_kind(pb::SCHEDULE_STEP); });
  refuses("train.clip_norm", [](auto& w) { w.mutable_train()->set_clip_norm(-1); });
  refuses("train.proximal", [](auto& w) { w.mutable_train()->set_proximal(kInf); });
}

TEST(WorkMessage, RefusesBadModelReferences) {
  refuses("work.model.sha256: 0 bytes", [](auto& w) { w.clear_model(); });
  refuses("work.model.sha256: 31",
          [](auto& w) { w.mutable_model()->set_sha256(std::string(31, 's')); });
  refuses("work.model.bytes: 0", [](auto& w) { w.mutable_model()->set_bytes(0); });
  refuses("work.model.bytes",
          [](auto& w) { w.mutable_model()->set_bytes(limits::kModelBytesMax + 1); });
}

TEST(WorkMessage, RefusesBadModels) {
  refuses("0 dimensions", [](auto& w) { w.mutable_spec()->clear_input_shape(); });
  refuses("9 dimensions", [](auto& w) {
    auto* spec = w.mutable_spec();
    while (spec->input_shape_size() <= static_cast<int>(limits::kTensorRankMax)) {
      spec->add_input_shape(1);
    }
  });
  refuses("0 layers", [](auto& w) { w.mutable_spec()->clear_layers(); });
  refuses("1025 layers", [](auto& w) {
    auto* spec = w.mutable_spec();
    while (spec->layers_size() <= static_cast<int>(limits::kLayersMax)) {
      spec->add_layers()->mutable_relu();
    }
  });
  refuses("spec.layers.name: 257 bytes", [](auto& w) {
    w.mutable_spec()->mutable_layers(4)->mutable_dense()->set_name(
        std::string(limits::kTensorNameBytesMax + 1, 'n'));
  });
  refuses("spec.loss: missing", [](auto& w) { w.mutable_spec()->clear_loss(); });
}

TEST(WorkMessage, RefusesAPlanOfAnotherKind) {
  refuses("an evaluate plan", [](auto& w) { w.mutable_evaluate()->set_batch_size(4); });
  refuses("a train plan", [](auto& w) { w.mutable_task()->set_kind(pb::TaskRef::KIND_EVALUATE); });
  refuses("evaluate.batch_size: 0", [](auto& w) {
    w.mutable_task()->set_kind(pb::TaskRef::KIND_EVALUATE);
    w.mutable_evaluate()->set_batch_size(0);
  });
}

TEST(WorkMessage, RefusesBadBudgets) {
  refuses("budget: missing", [](auto& w) { train(w).clear_budget(); });
  for (const double bad : {0.0, -1.0, 1.5, kNan, kInf}) {
    refuses("budget.epochs", [&](auto& w) { train(w).mutable_budget()->set_epochs(bad); });
  }
  for (const double bad : {0.0, -0.1, kNan, kInf}) {
    refuses("budget.seconds", [&](auto& w) { train(w).mutable_budget()->set_seconds(bad); });
  }
  refuses("budget: 0", [](auto& w) { train(w).mutable_budget()->set_steps(0); });
  refuses("budget", [](auto& w) { train(w).mutable_budget()->set_steps((1ULL << 53U) + 1); });
  refuses("budget: 0", [](auto& w) { train(w).mutable_budget()->set_examples(0); });
}

TEST(WorkMessage, RefusesBadOptimisers) {
  refuses("train.batch_size: 0", [](auto& w) { train(w).set_batch_size(0); });
  refuses("train.sgd: missing", [](auto& w) { train(w).clear_sgd(); });
  for (const double bad : {0.0, -0.1, kNan, kInf}) {
    refuses("learning_rate", [&](auto& w) { train(w).mutable_sgd()->set_learning_rate(bad); });
  }
  for (const double bad : {1.0, -0.1, kNan, kInf}) {
    refuses("momentum", [&](auto& w) { train(w).mutable_sgd()->set_momentum(bad); });
  }
  for (const double bad : {-0.1, kNan, kInf}) {
    refuses("weight_decay", [&](auto& w) { train(w).mutable_sgd()->set_weight_decay(bad); });
  }
  refuses("train.order: missing", [](auto& w) { train(w).clear_order(); });
}

TEST(WorkMessage, WhatIsNewerIsUnsupportedNotMalformed) {
  unsupported("layer 5", [](auto& w) { w.mutable_spec()->add_layers(); });
  unsupported("work.spec.loss: number 9",
              [](auto& w) { w.mutable_spec()->set_loss(static_cast<pb::Loss>(9)); });
  unsupported("work.train.order: number 9",
              [](auto& w) { train(w).set_order(static_cast<pb::Order>(9)); });
  unsupported("'distil'", [](auto& w) { train(w).add_required_features("distil"); });
  unsupported("budget", [](auto& w) { train(w).mutable_budget()->Clear(); });
  unsupported("no plan of a kind", [](auto& w) { w.clear_train(); });
}

TEST(WorkMessage, ARequiredFeatureIsNamedBeforeOddFieldsAreJudged) {
  unsupported("'adaptive'", [](auto& w) {
    train(w).clear_budget();
    train(w).clear_sgd();
    train(w).add_required_features("adaptive");
  });
}

TEST(WorkMessage, TheTaskOfGarbageIsAnError) {
  const std::string garbage = "\xff\xff";
  EXPECT_FALSE(task_of_work(std::as_bytes(std::span(garbage))));
  EXPECT_FALSE(task_of_work({}));
}

// ---- steps ----

using test::two_steps;

wire::Work work_with(const codec::VersionSteps& steps) {
  wire::Work work = test::some_work();
  work.steps = steps;
  return work;
}

Result<Message> decoded(const wire::Work& work) {
  const auto frame = encode(work).value();
  return decode(FrameKind::work, std::span(frame).subspan(kHeaderBytes));
}

TEST(WorkSteps, ComeBackAsTheyWere) {
  EXPECT_EQ(decoded(work_with(two_steps())).value(), Message(work_with(two_steps())));
  codec::VersionSteps whole = two_steps();
  whole.steps = {{std::nullopt, test::sha256_of_byte(3), 90, 8}};
  EXPECT_EQ(decoded(work_with(whole)).value(), Message(work_with(whole)));
}

TEST(WorkSteps, ACodecFromTheFutureTakesTheStepsAwayNotTheTask) {
  const auto frame = encode(work_with(two_steps())).value();
  pb::Work proto;
  ASSERT_TRUE(proto.ParseFromArray(frame.data() + kHeaderBytes,
                                   static_cast<int>(frame.size() - kHeaderBytes)));
  proto.mutable_steps()->mutable_compression()->mutable_codec()->set_kind(
      static_cast<pb::CodecKind>(77));
  const auto work = decode_text(proto.SerializeAsString());
  ASSERT_TRUE(work) << work.error().detail;
  EXPECT_EQ(*work, Message(test::some_work()));
}

TEST(WorkSteps, AreOneWayToTheVersion) {
  const auto says = [](const codec::VersionSteps& steps, const std::string& words) {
    const auto message = decoded(work_with(steps));
    ASSERT_FALSE(message) << "expected an error about " << words;
    EXPECT_EQ(message.error().code, errc::malformed_message);
    EXPECT_THAT(message.error().detail, HasSubstr(words));
  };
  auto steps = two_steps();
  steps.steps.pop_back();
  says(steps, "work.steps.sha256: another version; expected model.sha256");
  steps.steps.clear();
  says(steps, "work.steps.steps: 0 steps; expected 1 to 8");
  steps = two_steps();
  steps.steps[1].base = test::sha256_of_byte(9);
  says(steps, "work.steps.base_sha256");
  steps = two_steps();
  steps.steps[0].bytes = 0;
  says(steps, "work.steps.bytes: 0; expected 1 to");
  steps = two_steps();
  steps.steps.assign(limits::kVersionStepsMax + 1, {{}, test::sha256_of_byte(3), 9, 1});
  for (auto& step : steps.steps) step.base = step.sha256;
  says(steps, "work.steps.steps: 9 steps");
  steps.steps.pop_back();
  EXPECT_TRUE(decoded(work_with(steps)));
  steps = two_steps();
  steps.local = {"a b"};
  says(steps, "work.steps.local");
}

TEST(FetchOfSteps, AsksForNoMoreThanThereCanBe) {
  const auto steps_max = static_cast<std::uint32_t>(limits::kVersionStepsMax);
  const auto back = [](std::uint32_t steps) {
    const auto frame = encode(Fetch{test::sha256_of_byte(3), 5, steps}).value();
    return decode(FrameKind::fetch, std::span(frame).subspan(kHeaderBytes));
  };
  EXPECT_EQ(back(steps_max).value(), Message(Fetch{test::sha256_of_byte(3), 5, steps_max}));
  EXPECT_THAT(back(steps_max + 1).error().detail, HasSubstr("fetch.steps: 9; expected at most 8"));
}

}  // namespace
}  // namespace chorus::wire
