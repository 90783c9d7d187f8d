#include "chorus/client/builtin_trainer.hpp"

#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/client/train/examples.hpp"

// GCC tells of the thread sanitizer by a macro, clang by a feature.
#if defined(__SANITIZE_THREAD__)
#define CHORUS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CHORUS_TSAN 1
#endif
#endif

namespace chorus::client {
namespace {

using test::make_examples;
using test::start_of;

const CancelToken& never() {
  static const CancelToken token{};
  return token;
}

TrainTask train_task(const ModelSpec& model) {
  TrainTask task;
  task.model = &model;
  task.cancel = &never();
  task.plan.optimiser.learning_rate = 0.1;
  return task;
}

EvaluateTask evaluate_task(const ModelSpec& model) {
  EvaluateTask task;
  task.model = &model;
  task.cancel = &never();
  return task;
}

const ModelSpec& small() {
  static const ModelSpec model{{5}, {Dense{"", 4}, Relu{}, Dense{"", 3}}};
  return model;
}

TEST(BuiltinTrainer, TrainsAndEvaluatesOnDifferentData) {
  const auto trainer =
      make_builtin_trainer({make_examples({5}, 64, 3), make_examples({5}, 10, 3, 2), 1});
  auto parameters = start_of(small());
  const auto before = parameters;
  const auto report = trainer->train(train_task(small()), parameters);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->examples, 64U);
  EXPECT_NE(parameters, before);
  const auto measured = trainer->evaluate(evaluate_task(small()), parameters);
  ASSERT_TRUE(measured) << measured.error().to_string();
  EXPECT_EQ(measured->examples, 10U);
  EXPECT_EQ(measured->steps, 0U);
}

TEST(BuiltinTrainer, StartsEveryTaskFromTheReceivedParameters) {
  const auto trainer = make_builtin_trainer({make_examples({5}, 40, 3), {}, 1});
  auto first = start_of(small());
  ASSERT_TRUE(trainer->train(train_task(small()), first));
  auto second = start_of(small());
  ASSERT_TRUE(trainer->train(train_task(small()), second));
  EXPECT_EQ(first, second);
}

TEST(BuiltinTrainer, ServesDifferentModelsInTurn) {
  const auto trainer =
      make_builtin_trainer({make_examples({1, 4, 4}, 40, 3), make_examples({1, 4, 4}, 9, 3), 1});
  const ModelSpec flat{{16}, {Dense{"", 3}}};
  const ModelSpec deep{{1, 4, 4}, {Conv2d{"", 3, 3, 1, 1}, Relu{}, Flatten{}, Dense{"", 3}}};
  auto first = start_of(flat);
  ASSERT_TRUE(trainer->train(train_task(flat), first));
  auto other = start_of(deep);
  ASSERT_TRUE(trainer->train(train_task(deep), other));
  ASSERT_TRUE(trainer->evaluate(evaluate_task(flat), first));
  auto again = start_of(flat);
  ASSERT_TRUE(trainer->train(train_task(flat), again));
  EXPECT_EQ(first, again);
}

TEST(BuiltinTrainer, LeavesTheParametersAloneWhenATaskFails) {
  const auto trainer = make_builtin_trainer({make_examples({5}, 40, 3), {}, 1});
  auto parameters = start_of(small());
  const auto before = parameters;
  TrainTask task = train_task(small());
  task.plan.optimiser.learning_rate = 1e30;
  task.plan.budget.amount = 20;
  EXPECT_EQ(trainer->train(task, parameters).error().code, errc::not_finite);
  EXPECT_EQ(parameters, before);
}

TEST(BuiltinTrainer, RefusesWhatItCannotDo) {
  const auto trainer = make_builtin_trainer({make_examples({5}, 40, 3), {}, 1});
  std::vector<float> parameters(3);
  EXPECT_EQ(trainer->train(train_task(small()), parameters).error().code, errc::shape_mismatch);
  EXPECT_EQ(trainer->evaluate(evaluate_task(small()), start_of(small())).error().code,
            errc::unsupported_feature);
  const ModelSpec other{{6}, {Dense{"", 3}}};
  auto start = start_of(other);
  EXPECT_EQ(trainer->train(train_task(other), start).error().code, errc::unsupported_feature);
  const ModelSpec narrow{{5}, {Dense{"", 2}}};
  start = start_of(narrow);
  EXPECT_EQ(trainer->train(train_task(narrow), start).error().code, errc::unsupported_feature);
  const ModelSpec broken{{5}, {MaxPool2d{2, 2}, Dense{"", 3}}};
  EXPECT_EQ(trainer->train(train_task(broken), start).error().code, errc::invalid_argument);
}

TEST(BuiltinTrainer, ComputesTheSameWithMoreThreads) {
#ifdef CHORUS_TSAN
  GTEST_SKIP() << "libgomp waits with futexes that the thread sanitizer cannot see";
#endif
  const auto data = make_examples({1, 8, 8}, 50, 3);
  const ModelSpec model{{1, 8, 8},
                        {Conv2d{"", 8, 3, 1, 1}, Relu{}, MaxPool2d{2, 2}, Flatten{}, Dense{"", 3}}};
  auto one = start_of(model);
  ASSERT_TRUE(make_builtin_trainer({data, {}, 1})->train(train_task(model), one));
  auto two = start_of(model);
  ASSERT_TRUE(make_builtin_trainer({data, {}, 2})->train(train_task(model), two));
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(one[i], two[i], 1e-4);
}

TEST(EvaluateModel, ReportsLossAndAccuracy) {
  const auto data = make_examples({4}, 30, 3);
  const ModelSpec model{{4}, {Dense{"", 3}}};
  const std::vector<float> zeros(4 * 3 + 3);
  const auto report = evaluate_model(model, zeros, data, 7);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->examples, 30U);
  EXPECT_NEAR(report->metrics[0].value, 1.0986122886681098, 1e-12);
  std::size_t zero_labels = 0;
  const auto labels = data.labels().value();
  for (const auto label : labels) zero_labels += label == 0 ? 1 : 0;
  EXPECT_NEAR(report->metrics[1].value, static_cast<double>(zero_labels) / 30, 1e-12);
  EXPECT_EQ(evaluate_model(model, std::vector<float>(3), data).error().code, errc::shape_mismatch);
}

}  // namespace
}  // namespace chorus::client
