// A trainer in C: what it is shown, what it reports, how it fails.
#include "client/src/c_api_trainer.hpp"

#include <array>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chorus/chorus.h"
#include "chorus/client/local_state.hpp"
#include "common/tensor/plan_features.hpp"

namespace chorus::capi {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ModelSpec two_layers() {
  ModelSpec model;
  model.input_shape = {1, 4};
  model.layers = {BatchNorm{"norm"}, Flatten{}, Dense{"out", 3}};
  return model;
}

/// Runs one callback on a task.
class CTrainer : public ::testing::Test {
 protected:
  using Body = std::function<chorus_status(const chorus_task*, std::span<float>, chorus_report*)>;

  CTrainer() { task_.state = &state_; }
  ~CTrainer() override { chorus_trainer_destroy(&trainer_); }

  Result<client::TaskReport> train(Body body) {
    prepare(std::move(body));
    return trainer_->trainer->train(task_, parameters_);
  }
  Result<client::TaskReport> evaluate(Body body) {
    prepare(std::move(body));
    return trainer_->trainer->evaluate({"job", 9, evaluation_, &model_, &layout_, &cancel_},
                                       parameters_);
  }

 private:
  void prepare(Body body) {
    body_ = std::move(body);
    chorus_trainer_callbacks callbacks{};
    callbacks.size = sizeof callbacks;
    callbacks.train = [](const chorus_task* task,
                         float* parameters,
                         std::uint64_t count,
                         chorus_report* report,
                         void* context) {
      return (*static_cast<Body*>(context))(task, {parameters, count}, report);
    };
    callbacks.evaluate = [](const chorus_task* task,
                            const float* parameters,
                            std::uint64_t count,
                            chorus_report* report,
                            void* context) {
      std::vector<float> copy(parameters, parameters + count);
      return (*static_cast<Body*>(context))(task, copy, report);
    };
    callbacks.context = &body_;
    chorus_trainer_destroy(&trainer_);
    ASSERT_EQ(chorus_trainer_create(&callbacks, &trainer_), CHORUS_OK) << chorus_last_error();
  }

 protected:
  ModelSpec model_ = two_layers();
  TensorLayout layout_ = layout_of(model_).value();
  std::vector<float> parameters_ = std::vector<float>(layout_.parameters, 1.0F);
  client::CancelToken cancel_;
  client::MemoryState state_;
  std::vector<float> anchor_ = std::vector<float>(layout_.parameters, 2.0F);
  std::vector<client::TaskVector> vectors_{{"anchor", anchor_}};
  EvaluatePlan evaluation_{17};
  client::TrainTask task_{"job", 3, {}, &model_, &layout_, &cancel_, vectors_};

 private:
  Body body_;
  chorus_trainer* trainer_ = nullptr;
};

TEST_F(CTrainer, SeesTheTask) {
  task_.plan.trainable.frozen = {"norm.*"};
  const auto report = train([&](const chorus_task* task, std::span<float> w, chorus_report* to) {
    EXPECT_STREQ(chorus_task_job(task), "job");
    EXPECT_EQ(chorus_task_round(task), 3U);
    EXPECT_EQ(chorus_task_batch_size(task), 32U);
    EXPECT_FALSE(chorus_task_cancelled(task));
    cancel_.cancel();
    EXPECT_TRUE(chorus_task_cancelled(task));
    EXPECT_THAT(chorus_task_model(task), HasSubstr("\"kind\":\"dense\""));
    EXPECT_EQ(chorus_task_vector(task, "anchor"), anchor_.data());
    EXPECT_EQ(chorus_task_vector(task, "mask"), nullptr);
    EXPECT_EQ(chorus_task_tensor_count(task), 6U);

    const chorus_tensor* weight = chorus_task_find_tensor(task, "out.weight");
    EXPECT_EQ(weight, chorus_task_tensor(task, 4));
    EXPECT_STREQ(weight->name, "out.weight");
    EXPECT_THAT(std::vector(weight->shape, weight->shape + weight->rank), ElementsAre(3, 4));
    EXPECT_EQ(weight->offset, layout_.tensors[4].offset);
    EXPECT_EQ(weight->count, 12U);
    EXPECT_FALSE(weight->buffer);
    EXPECT_TRUE(weight->trainable);
    const chorus_tensor* mean = chorus_task_find_tensor(task, "norm.running_mean");
    EXPECT_TRUE(mean->buffer);
    EXPECT_FALSE(mean->trainable) << "frozen";

    for (float& x : w) x *= 3.0F;
    EXPECT_EQ(chorus_report_steps(to, 5), CHORUS_OK);
    EXPECT_EQ(chorus_report_epochs(to, 1.5), CHORUS_OK);
    EXPECT_EQ(chorus_report_ending(to, CHORUS_ENDING_EARLY_STOP), CHORUS_OK);
    EXPECT_EQ(chorus_report_metric(to, "loss", 0.25), CHORUS_OK);
    EXPECT_EQ(chorus_report_state_epoch(to, 4), CHORUS_OK);
    return chorus_report_examples(to, 12);
  });
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(parameters_[0], 3.0F);
  EXPECT_EQ(report->examples, 12U);
  EXPECT_EQ(report->steps, 5U);
  EXPECT_EQ(report->epochs, 1.5);
  EXPECT_EQ(report->ending, Ending::early_stop);
  EXPECT_EQ(report->metrics, (std::vector<Metric>{{"loss", 0.25}}));
  EXPECT_EQ(report->state_epoch, 4U);
  EXPECT_TRUE(report->delta);
}

TEST_F(CTrainer, SeesAnEvaluation) {
  const auto report = evaluate([](const chorus_task* task, std::span<float> w, chorus_report* to) {
    EXPECT_EQ(chorus_task_plan(task), nullptr);
    EXPECT_EQ(chorus_task_batch_size(task), 17U);
    EXPECT_EQ(chorus_task_round(task), 9U);
    EXPECT_EQ(chorus_task_learning_rate(task, 0), 0.0);
    EXPECT_EQ(chorus_task_check_plan(task, nullptr, 0), CHORUS_OK);
    std::size_t count = 7;
    EXPECT_EQ(chorus_task_normalise(task, &count), nullptr);
    EXPECT_EQ(count, 0U);
    EXPECT_FALSE(chorus_task_tensor(task, 0)->trainable);
    std::uint64_t epoch = 0;
    EXPECT_EQ(chorus_task_state_epoch(task, &epoch), CHORUS_WRONG_STATE);
    EXPECT_EQ(chorus_task_vector(task, "anchor"), nullptr);
    chorus_report_metric(to, "first", static_cast<double>(w[0]));
    return chorus_report_examples(to, 2);
  });
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->metrics.at(0).value, 1.0);
}

// Every field at a value of its own: one that is passed on wrongly shows.
TEST_F(CTrainer, SeesEveryFieldOfThePlan) {
  TrainPlan& plan = task_.plan;
  plan.budget = {Budget::Unit::steps, 11};
  plan.batch_size = 5;
  plan.optimiser = {0.5, 0.25, 0.125, Optimiser::Kind::adamw, true, 0.75, 0.875, 0.0625};
  plan.order = Order::curriculum;
  plan.seed = 99;
  plan.schedule = {Schedule::Kind::cosine, 2, 3, 40, 0.3};
  plan.clip_norm = 6.0;
  plan.proximal = 7.0;
  plan.accumulate = 8;
  plan.early_stop = {0.1, 12, 0.2, 0.4};
  plan.curriculum = {Curriculum::Pace::root, 0.6, 0.7, true, true};
  plan.source = {GradientSource::Kind::zeroth_order, 13, 0.01};
  plan.control = ControlVariates::from_gradient;
  plan.meta = {Meta::Kind::reptile, 0.9, 14};
  plan.distil = {Distillation::Teacher::given, 0.125, 4.0, true};
  plan.precision = Precision::bf16;
  plan.trainable = {{"out.*", "norm.weight"}, {"*.bias"}, true};
  plan.local = {"norm.running_*"};
  plan.probe = {true, true, true, true, "out", true, 15, true};
  plan.candidates = 16;
  plan.normalise = {{0.5, 2.0}, {-1.0, 0.25}};
  static_cast<void>(train([&](const chorus_task* task, std::span<float>, chorus_report*) {
    const chorus_plan& p = *chorus_task_plan(task);
    EXPECT_EQ(p.budget_unit, CHORUS_BUDGET_STEPS);
    EXPECT_EQ(p.budget, 11.0);
    EXPECT_EQ(p.batch_size, 5U);
    EXPECT_EQ(p.order, CHORUS_ORDER_CURRICULUM);
    EXPECT_EQ(p.seed, 99U);
    EXPECT_EQ(p.optimiser, CHORUS_ADAMW);
    EXPECT_THAT(
        (std::array{p.learning_rate, p.momentum, p.weight_decay, p.beta1, p.beta2, p.epsilon}),
        ElementsAre(0.5, 0.25, 0.125, 0.75, 0.875, 0.0625));
    EXPECT_TRUE(p.nesterov);
    EXPECT_EQ(p.schedule, CHORUS_SCHEDULE_COSINE);
    EXPECT_THAT((std::array{p.warmup_steps, p.every_steps, p.total_steps}), ElementsAre(2, 3, 40));
    EXPECT_EQ(p.schedule_factor, 0.3);
    EXPECT_EQ(chorus_task_learning_rate(task, 0), 0.25) << "the first of two steps of warm-up";
    EXPECT_EQ(p.clip_norm, 6.0);
    EXPECT_EQ(p.proximal, 7.0);
    EXPECT_EQ(p.accumulate, 8U);
    EXPECT_EQ(p.early_stop_loss, 0.1);
    EXPECT_EQ(p.early_stop_patience, 12U);
    EXPECT_EQ(p.early_stop_improvement, 0.2);
    EXPECT_EQ(p.early_stop_gradient_norm, 0.4);
    EXPECT_EQ(p.curriculum_pace, CHORUS_PACE_ROOT);
    EXPECT_EQ(p.curriculum_start, 0.6);
    EXPECT_EQ(p.curriculum_full, 0.7);
    EXPECT_TRUE(p.curriculum_hardest_first && p.curriculum_given_scores);
    EXPECT_EQ(p.source, CHORUS_SOURCE_ZEROTH_ORDER);
    EXPECT_EQ(p.source_directions, 13U);
    EXPECT_EQ(p.source_distance, 0.01);
    EXPECT_EQ(p.control, CHORUS_CONTROL_FROM_GRADIENT);
    EXPECT_EQ(p.meta, CHORUS_META_REPTILE);
    EXPECT_EQ(p.meta_rate, 0.9);
    EXPECT_EQ(p.meta_inner_steps, 14U);
    EXPECT_EQ(p.distil, CHORUS_TEACHER_GIVEN);
    EXPECT_EQ(p.distil_weight, 0.125);
    EXPECT_EQ(p.distil_temperature, 4.0);
    EXPECT_TRUE(p.distil_not_true);
    EXPECT_EQ(p.precision, CHORUS_BF16);
    EXPECT_EQ(p.trainable.count, 2U);
    EXPECT_STREQ(p.trainable.items[1], "norm.weight");
    EXPECT_EQ(p.frozen.count, 1U);
    EXPECT_STREQ(p.frozen.items[0], "*.bias");
    EXPECT_TRUE(p.trainable_mask);
    EXPECT_EQ(p.local.count, 1U);
    EXPECT_STREQ(p.local.items[0], "norm.running_*");
    EXPECT_EQ(p.candidates, 16U);
    EXPECT_TRUE(p.probe_gradient_norms && p.probe_losses && p.probe_labels && p.probe_statistics);
    EXPECT_STREQ(p.probe_representation, "out");
    EXPECT_TRUE(p.probe_by_class && p.probe_only);
    EXPECT_EQ(p.probe_batches, 15U);
    std::size_t count = 0;
    const chorus_scale* const scales = chorus_task_normalise(task, &count);
    EXPECT_EQ(count, 2U);
    EXPECT_EQ(scales[0].offset, 0.5);
    EXPECT_EQ(scales[1].scale, 0.25);
    return CHORUS_OK;
  }));
}

TEST_F(CTrainer, SeesWhatAnEvaluationIsNormalisedBy) {
  evaluation_.normalise = {{3.0, 4.0}};
  const auto report = evaluate([](const chorus_task* task, std::span<float>, chorus_report* to) {
    EXPECT_EQ(chorus_task_normalise(task, nullptr)->scale, 4.0);
    EXPECT_EQ(chorus_task_check_plan(task, nullptr, 0), CHORUS_UNSUPPORTED_FEATURE);
    const char* const known[] = {"normalise"};
    EXPECT_EQ(chorus_task_check_plan(task, known, 1), CHORUS_OK);
    return chorus_report_examples(to, 2);
  });
  EXPECT_TRUE(report) << report.error().to_string();
}

TEST_F(CTrainer, RefusesPlansThatItDoesNotKnow) {
  task_.plan.clip_norm = 1.0;
  task_.plan.proximal = 1.0;
  const auto report = train([](const chorus_task* task, std::span<float>, chorus_report*) {
    const char* const both[] = {"proximal", "clip_norm"};
    EXPECT_EQ(chorus_task_check_plan(task, both, 2), CHORUS_OK);
    const char* const wrong[] = {"clip"};
    EXPECT_EQ(chorus_task_check_plan(task, wrong, 1), CHORUS_INVALID_ARGUMENT);
    EXPECT_THAT(chorus_last_error(), HasSubstr("known[0]: 'clip' is no feature of plans"));
    const char* const hole[] = {nullptr};
    EXPECT_EQ(chorus_task_check_plan(task, hole, 1), CHORUS_INVALID_ARGUMENT);
    EXPECT_EQ(chorus_task_check_plan(task, nullptr, 1), CHORUS_INVALID_ARGUMENT);
    return chorus_task_check_plan(task, both, 1);
  });
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, errc::unsupported_feature);
  EXPECT_THAT(report.error().detail, HasSubstr("the plan needs 'clip_norm'"));
}

TEST_F(CTrainer, KeepsVectorsBetweenTasks) {
  const auto first = train([](const chorus_task* task, std::span<float>, chorus_report* to) {
    std::uint64_t epoch = 7;
    EXPECT_EQ(chorus_task_state_epoch(task, &epoch), CHORUS_OK);
    EXPECT_EQ(epoch, 0U);
    float room[3] = {};
    EXPECT_EQ(chorus_task_state_load(task, "head", room, 3, nullptr), CHORUS_NOT_FOUND);
    const float numbers[] = {1, 2, 3};
    EXPECT_EQ(chorus_task_state_store(task, "head", numbers, 3), CHORUS_OK);
    EXPECT_EQ(chorus_task_state_store(task, "head", nullptr, 3), CHORUS_INVALID_ARGUMENT);
    return chorus_report_examples(to, 1);
  });
  ASSERT_TRUE(first) << first.error().to_string();
  state_.accept();
  const auto second = train([](const chorus_task* task, std::span<float>, chorus_report* to) {
    std::uint64_t count = 0;
    EXPECT_EQ(chorus_task_state_load(task, "head", nullptr, 0, &count), CHORUS_OK);
    EXPECT_EQ(count, 3U);
    float room[3] = {};
    EXPECT_EQ(chorus_task_state_load(task, "head", room, 2, nullptr), CHORUS_SHAPE_MISMATCH);
    EXPECT_EQ(room[0], 0.0F);
    EXPECT_EQ(chorus_task_state_load(task, "head", room, 3, nullptr), CHORUS_OK);
    EXPECT_EQ(room[2], 3.0F);
    return chorus_report_examples(to, 1);
  });
  ASSERT_TRUE(second) << second.error().to_string();
  task_.state = nullptr;
  static_cast<void>(train([](const chorus_task* task, std::span<float>, chorus_report*) {
    std::uint64_t epoch = 0;
    EXPECT_EQ(chorus_task_state_epoch(task, &epoch), CHORUS_WRONG_STATE);
    return CHORUS_OK;
  }));
}

TEST_F(CTrainer, WrongReportsAreRefusedAtOnce) {
  const auto report = train([](const chorus_task*, std::span<float>, chorus_report* to) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const float numbers[] = {1, 2};
    EXPECT_EQ(chorus_report_examples(to, 0), CHORUS_WEIGHT_OUT_OF_RANGE);
    EXPECT_EQ(chorus_report_epochs(to, -1), CHORUS_INVALID_ARGUMENT);
    EXPECT_EQ(chorus_report_epochs(to, nan), CHORUS_INVALID_ARGUMENT);
    EXPECT_EQ(chorus_report_ending(to, static_cast<chorus_ending>(0)), CHORUS_INVALID_ARGUMENT);
    EXPECT_EQ(chorus_report_ending(to, static_cast<chorus_ending>(4)), CHORUS_INVALID_ARGUMENT);
    EXPECT_EQ(chorus_report_metric(to, "Loss!", 1), CHORUS_INVALID_ARGUMENT);
    EXPECT_EQ(chorus_report_metric(to, nullptr, 1), CHORUS_INVALID_ARGUMENT);
    EXPECT_EQ(chorus_report_metric(to, "loss", nan), CHORUS_NOT_FINITE);
    EXPECT_EQ(chorus_report_part(to, CHORUS_PART_DELTA, numbers, 2), CHORUS_INVALID_ARGUMENT);
    EXPECT_EQ(chorus_report_part(to, static_cast<chorus_part>(10), numbers, 2),
              CHORUS_INVALID_ARGUMENT);
    EXPECT_EQ(chorus_report_part(to, CHORUS_PART_LOSSES, nullptr, 2), CHORUS_INVALID_ARGUMENT);
    EXPECT_EQ(chorus_report_part(to, CHORUS_PART_LOSSES, numbers, 0), CHORUS_INVALID_ARGUMENT);
    for (int i = 0; i < 32; ++i) {
      EXPECT_EQ(chorus_report_metric(to, ("m" + std::to_string(i)).c_str(), i), CHORUS_OK);
    }
    EXPECT_EQ(chorus_report_metric(to, "one-more", 1), CHORUS_INVALID_ARGUMENT);
    EXPECT_EQ(chorus_report_no_delta(to), CHORUS_OK);
    for (int i = 0; i < 16; ++i) {
      EXPECT_EQ(chorus_report_part(to, CHORUS_PART_SCALARS, numbers, 2), CHORUS_OK);
    }
    EXPECT_EQ(chorus_report_part(to, CHORUS_PART_SCALARS, numbers, 2), CHORUS_INVALID_ARGUMENT);
    return CHORUS_OK;
  });
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_FALSE(report->delta);
  EXPECT_EQ(report->examples, 0U);
  ASSERT_EQ(report->parts.size(), 16U);
  EXPECT_EQ(report->parts[3], (client::ReportPart{ReportKind::scalars, {1, 2}}));
}

TEST_F(CTrainer, SaysWhatIsNotThere) {
  static_cast<void>(train([](const chorus_task* task, std::span<float>, chorus_report*) {
    EXPECT_EQ(chorus_task_find_tensor(task, "in.weight"), nullptr);
    EXPECT_THAT(chorus_last_error(),
                HasSubstr("the model has no tensor 'in.weight'; it has: norm.weight, norm.bias"));
    EXPECT_EQ(chorus_task_find_tensor(task, nullptr), nullptr);
    EXPECT_EQ(chorus_task_tensor(task, 6), nullptr);
    EXPECT_THAT(chorus_last_error(), HasSubstr("index is 6; the model has 6 tensors"));
    return CHORUS_OK;
  }));
}

TEST_F(CTrainer, ItsFailureIsTheTasks) {
  const auto says = train([](const chorus_task*, std::span<float>, chorus_report*) {
    return chorus_fail(CHORUS_UNSUPPORTED_FEATURE, "no convolutions here");
  });
  ASSERT_FALSE(says);
  EXPECT_EQ(says.error().code, errc::unsupported_feature);
  EXPECT_EQ(says.error().detail, "no convolutions here");

  chorus_fail(CHORUS_BUSY, "an old story");
  const auto silent = evaluate(
      [](const chorus_task*, std::span<float>, chorus_report*) { return CHORUS_CANCELLED; });
  ASSERT_FALSE(silent);
  EXPECT_EQ(silent.error().code, errc::cancelled);
  EXPECT_THAT(silent.error().detail, HasSubstr("evaluate() failed and did not say why"));

  const auto nonsense = train([](const chorus_task*, std::span<float>, chorus_report*) {
    return static_cast<chorus_status>(12345);
  });
  ASSERT_FALSE(nonsense);
  EXPECT_THAT(nonsense.error().detail, HasSubstr("returned 12345, which is no chorus_status"));
}

TEST_F(CTrainer, APatternThatNamesNothingFailsTheTask) {
  task_.plan.trainable.only = {"head.*"};
  bool called = false;
  const auto report = train([&](const chorus_task*, std::span<float>, chorus_report*) {
    called = true;
    return CHORUS_OK;
  });
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, errc::invalid_argument);
  EXPECT_FALSE(called);
}

TEST(CTrainerCreate, BothFunctionsAreNeeded) {
  chorus_trainer_callbacks callbacks{};
  callbacks.size = sizeof callbacks;
  chorus_trainer* trainer = nullptr;
  EXPECT_EQ(chorus_trainer_create(&callbacks, &trainer), CHORUS_INVALID_ARGUMENT);
  EXPECT_THAT(chorus_last_error(), HasSubstr("'chorus_trainer_callbacks.train' is null"));
  callbacks.train = [](const chorus_task*, float*, std::uint64_t, chorus_report*, void*) {
    return CHORUS_OK;
  };
  EXPECT_EQ(chorus_trainer_create(&callbacks, &trainer), CHORUS_INVALID_ARGUMENT);
  EXPECT_THAT(chorus_last_error(), HasSubstr("'chorus_trainer_callbacks.evaluate' is null"));
  EXPECT_EQ(trainer, nullptr);
}

}  // namespace
}  // namespace chorus::capi
