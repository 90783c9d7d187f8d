#include "chorus/client/example_source.hpp"

#include <atomic>
#include <limits>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chorus/client/builtin_trainer.hpp"
#include "chorus/client/dataset.hpp"
#include "chorus/client/partition.hpp"
#include "common/base/try.hpp"
#include "tests/unit/client/train/examples.hpp"

namespace chorus::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Example i has the features {i, −i} and the label i mod 3.
class Counting : public ExampleSource {
 public:
  explicit Counting(std::size_t size) : size_(size) {}

  ExampleFormat format() const override { return {{2}, 3, 0, "counter"}; }
  std::size_t size() const override { return size_; }
  Result<void> read(std::span<const std::uint32_t> examples,
                    const ExampleRows& into) const override {
    for (std::size_t i = 0; i < examples.size(); ++i) {
      const auto value = static_cast<float>(examples[i]);
      if (!into.features.empty()) {
        ++features_read;
        into.features[2 * i] = value / 100;
        into.features[2 * i + 1] = -value / 100;
      }
      if (!into.labels.empty()) into.labels[i] = examples[i] % 3;
    }
    return {};
  }

  mutable std::size_t features_read = 0;

 private:
  std::size_t size_;
};

Dataset dataset_of(std::shared_ptr<const ExampleSource> source) {
  auto data = Dataset::of(std::move(source));
  EXPECT_TRUE(data) << data.error().detail;
  return std::move(data).value();
}

TEST(ExampleSource, IsReadInTheOrderAskedFor) {
  const auto data = dataset_of(std::make_shared<Counting>(600));
  EXPECT_EQ(data.size(), 600U);
  EXPECT_EQ(data.feature_count(), 2U);
  EXPECT_EQ(data.classes(), 3U);
  EXPECT_EQ(data.name(), "counter");
  const std::vector<std::uint32_t> some = {599, 0, 599};
  std::vector<float> features(6);
  std::vector<std::uint32_t> labels(3);
  ASSERT_TRUE(data.read(some, {features, labels, {}}));
  EXPECT_THAT(features, ElementsAre(5.99F, -5.99F, 0, 0, 5.99F, -5.99F));
  EXPECT_THAT(labels, ElementsAre(2, 0, 2));
}

// More rows than are looked up at a time.
TEST(ExampleSource, SubsetsComposeOverIt) {
  const auto data = dataset_of(std::make_shared<Counting>(1000));
  std::vector<std::uint32_t> odd;
  for (std::uint32_t i = 1; i < 1000; i += 2) odd.push_back(i);
  const auto half = data.subset(odd);
  ASSERT_TRUE(half);
  const auto last = half->subset(std::vector<std::uint32_t>{499, 1});
  ASSERT_TRUE(last);
  EXPECT_THAT(last->example(0).value().features, ElementsAre(9.99F, -9.99F));
  EXPECT_THAT(last->example(1).value().features, ElementsAre(0.03F, -0.03F));
  const auto labels = half->labels();
  ASSERT_TRUE(labels);
  for (std::size_t i = 0; i < 500; ++i) EXPECT_EQ((*labels)[i], (2 * i + 1) % 3);
}

TEST(ExampleSource, LabelsAreReadWithoutFeatures) {
  const auto source = std::make_shared<Counting>(300);
  const auto labels = dataset_of(source).labels();
  ASSERT_TRUE(labels);
  EXPECT_TRUE(partition_shards(*labels, {3, 1, 1}));
  EXPECT_EQ(source->features_read, 0U);
}

TEST(ExampleSource, TrainsToTheSameBitsAsItsExamplesInMemory) {
  const auto streamed = dataset_of(std::make_shared<Counting>(90));
  Dataset::Parts parts{{}, {2}, streamed.labels().value(), 3, {}, 0};
  for (std::size_t i = 0; i < 90; ++i) {
    const Example example = streamed.example(i).value();
    parts.features.insert(parts.features.end(), example.features.begin(), example.features.end());
  }
  const ModelSpec model{{2}, {Dense{"", 8}, Relu{}, Dense{"", 3}}};
  const auto layout = layout_of(model);
  ASSERT_TRUE(layout);
  const CancelToken never{};
  const auto trained = [&](Dataset data) {
    const auto holdout = data.subset(std::vector<std::uint32_t>{5, 6, 7});
    BuiltinTrainerOptions options{std::move(data), *holdout};
    const auto trainer = make_builtin_trainer(std::move(options));
    auto parameters = test::start_of(model);
    TrainTask task;
    task.plan.budget = {Budget::Unit::epochs, 3};
    task.plan.batch_size = 7;
    task.plan.seed = 5;
    task.model = &model;
    task.layout = &*layout;
    task.cancel = &never;
    const auto report = trainer->train(task, parameters);
    EXPECT_TRUE(report) << report.error().detail;
    EvaluateTask evaluation;
    evaluation.model = &model;
    evaluation.layout = &*layout;
    evaluation.cancel = &never;
    EXPECT_EQ(trainer->evaluate(evaluation, parameters)->examples, 3U);
    return parameters;
  };
  EXPECT_EQ(trained(streamed), trained(Dataset::create(std::move(parts)).value()));
}

TEST(ExampleSource, IsReadFromSeveralThreads) {
  const auto data = dataset_of(std::make_shared<Counting>(512));
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      const auto labels = data.labels();
      if (labels && (*labels)[511] == 511 % 3) ++right;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 4);
}

// ---- what a source may do wrong ----

struct Wrong : Counting {
  Wrong() : Counting(10) {}
  Result<void> read(std::span<const std::uint32_t> examples,
                    const ExampleRows& into) const override {
    if (throws) throw std::runtime_error("the disk is gone");
    if (fails) return fail(errc::io_failed, "'/data/7': no such disk");
    CHORUS_OK(Counting::read(examples, into));
    for (std::size_t i = 0; i < examples.size(); ++i) {
      if (examples[i] != 7) continue;
      if (!into.features.empty()) into.features[2 * i + 1] = feature;
      if (!into.labels.empty()) into.labels[i] = label;
    }
    return {};
  }
  bool throws = false;
  bool fails = false;
  float feature = 0.0F;
  std::uint32_t label = 0;
};

// What training says that meets the wrong example.
Failure met(const Wrong& wrong) {
  const ModelSpec model{{2}, {Dense{"", 3}}};
  const auto report =
      evaluate_model(model, std::vector<float>(9), dataset_of(std::make_shared<Wrong>(wrong)), 4);
  EXPECT_FALSE(report);
  return report ? fail(errc::internal, "") : report.error();
}

TEST(ExampleSource, NumbersThatAreNotFiniteEndTheTask) {
  Wrong wrong;
  wrong.feature = std::numeric_limits<float>::quiet_NaN();
  const Failure failure = met(wrong);
  EXPECT_EQ(failure.code, errc::not_finite);
  EXPECT_THAT(failure.detail, HasSubstr("counter: feature 1 of example 7 is nan"));
  wrong.feature = std::numeric_limits<float>::infinity();
  EXPECT_EQ(met(wrong).code, errc::not_finite);
}

TEST(ExampleSource, ALabelBeyondTheClassesEndsTheTask) {
  Wrong wrong;
  wrong.label = 3;
  const Failure failure = met(wrong);
  EXPECT_EQ(failure.code, errc::malformed_file);
  EXPECT_THAT(failure.detail, HasSubstr("counter: example 7 has label 3; expected 0 to 2"));
}

TEST(ExampleSource, ItsOwnFailuresAreHandedOn) {
  Wrong wrong;
  wrong.fails = true;
  EXPECT_EQ(met(wrong).code, errc::io_failed);
  EXPECT_THAT(met(wrong).detail, HasSubstr("'/data/7': no such disk"));
  wrong.throws = true;
  EXPECT_EQ(met(wrong).code, errc::internal);
  EXPECT_THAT(met(wrong).detail, HasSubstr("counter: reading threw: the disk is gone"));
}

TEST(ExampleSource, ReadsThatDoNotFitAreRefused) {
  const auto data = dataset_of(std::make_shared<Counting>(4));
  std::vector<float> features(2);
  const std::vector<std::uint32_t> beyond = {4};
  EXPECT_EQ(data.read(beyond, {features, {}, {}}).error().code, errc::invalid_argument);
  const std::vector<std::uint32_t> two = {0, 1};
  EXPECT_THAT(data.read(two, {features, {}, {}}).error().detail,
              HasSubstr("has room for 2 features; expected 4 or none"));
  EXPECT_THAT(data.read(two, {{}, {}, features}).error().detail,
              HasSubstr("has room for 2 targets; expected 0 or none"));
  EXPECT_TRUE(data.read({}, {}));
}

struct Shaped : Counting {
  Shaped(std::vector<std::uint64_t> shape_in, std::uint64_t targets_in, std::size_t size)
      : Counting(size), shape(std::move(shape_in)), targets(targets_in) {}
  ExampleFormat format() const override { return {shape, 3, targets, ""}; }
  std::vector<std::uint64_t> shape;
  std::uint64_t targets;
};

TEST(ExampleSource, ImpossibleFormatsAreRefused) {
  const auto why = [](std::vector<std::uint64_t> shape, std::uint64_t targets, std::size_t size) {
    const auto made = Dataset::of(std::make_shared<Shaped>(std::move(shape), targets, size));
    return made ? errc::internal : made.error().code;
  };
  EXPECT_EQ(why({}, 0, 1), errc::invalid_argument);
  EXPECT_EQ(why({2, 0}, 0, 1), errc::invalid_argument);
  EXPECT_EQ(why({1U << 20U, 1U << 20U}, 0, 1), errc::invalid_argument);
  EXPECT_EQ(why({2}, (1ULL << 28U) + 1, 1), errc::invalid_argument);
  EXPECT_EQ(why({2}, 0, 1ULL << 32U), errc::invalid_argument);
  EXPECT_EQ(Dataset::of(nullptr).error().code, errc::invalid_argument);
}

TEST(ExampleSource, WithoutLabelsTheyAreZeroAndNobodyAsks) {
  const auto data = Dataset::create({{1, 2}, {1}, {}, 0, {3, 4}, 1});
  ASSERT_TRUE(data);
  EXPECT_EQ(data->classes(), 0U);
  EXPECT_THAT(data->labels().value(), ElementsAre(0, 0));
  EXPECT_THAT(data->example(1).value().targets, ElementsAre(4));
}

}  // namespace
}  // namespace chorus::client
