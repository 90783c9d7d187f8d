// Real data: the digits of examples/, and Fashion-MNIST where it is at hand.
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chorus/client/builtin_trainer.hpp"
#include "chorus/client/dataset.hpp"
#include "chorus/client/partition.hpp"
#include "tests/unit/client/train/examples.hpp"

namespace chorus::client {
namespace {

using testing::ElementsAre;

std::filesystem::path data_folder() {
  const char* const given = std::getenv("CHORUS_DATA_DIR");
  if (given != nullptr && *given != '\0') return given;
  return std::filesystem::path(CHORUS_ROOT_DIR) / ".." / "shared" / "data";
}

Dataset digits() {
  CsvOptions options;
  options.path = std::filesystem::path(CHORUS_ROOT_DIR) / "examples" / "digits" / "digits.csv.gz";
  options.divide_by = 16;
  options.feature_shape = {1, 8, 8};
  auto data = load_csv(options);
  EXPECT_TRUE(data) << data.error().to_string();
  return std::move(data).value().dataset;
}

ModelSpec small_cnn() {
  return {{1, 8, 8},
          {Conv2d{"", 16, 3, 1, 1},
           Relu{},
           MaxPool2d{2, 2},
           Flatten{},
           Dense{"", 32},
           Relu{},
           Dense{"", 10}}};
}

TEST(Digits, LoadWhole) {
  const Dataset data = digits();
  EXPECT_EQ(data.size(), 1797U);
  EXPECT_EQ(data.classes(), 10U);
  const auto first = data.example(0).value().features;
  EXPECT_EQ(first[2], 5.0F / 16);
  EXPECT_EQ(data.example(0).value().label, 0U);
  EXPECT_EQ(data.example(1796).value().label, 8U);
}

TEST(Digits, SmallConvolutionalNetworkLearnsThem) {
  const Dataset data = digits();
  const auto split = split_holdout(data.size(), 0.2, 7);
  ASSERT_TRUE(split);
  const auto trainer = make_builtin_trainer(
      {data.subset(split->train).value(), data.subset(split->holdout).value(), 1});
  const ModelSpec model = small_cnn();
  auto parameters = test::start_of(model);
  const CancelToken never{};
  TrainTask task;
  task.model = &model;
  task.cancel = &never;
  task.plan.budget.amount = 8;
  task.plan.optimiser = {0.05, 0.9, 0.0};
  const auto trained = trainer->train(task, parameters);
  ASSERT_TRUE(trained) << trained.error().to_string();
  EvaluateTask measure;
  measure.model = &model;
  measure.cancel = &never;
  const auto report = trainer->evaluate(measure, parameters);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->examples, 359U);
  EXPECT_GE(report->metrics[1].value, 0.93);
}

TEST(Digits, TrainersInDifferentThreadsDoNotDisturbEachOther) {
  const Dataset data = digits();
  const auto partition = partition_dirichlet(data.labels().value(), {3, 0.5, 10, 1});
  ASSERT_TRUE(partition) << partition.error().to_string();
  const ModelSpec model = small_cnn();
  const auto train = [&](std::size_t client) {
    const auto trainer = make_builtin_trainer({data.subset((*partition)[client]).value(), {}, 1});
    auto parameters = test::start_of(model);
    const CancelToken never{};
    TrainTask task;
    task.model = &model;
    task.cancel = &never;
    EXPECT_TRUE(trainer->train(task, parameters));
    return parameters;
  };
  std::vector<std::vector<float>> together(3);
  std::vector<std::thread> threads;
  for (std::size_t c = 0; c < 3; ++c) threads.emplace_back([&, c] { together[c] = train(c); });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t c = 0; c < 3; ++c) EXPECT_EQ(together[c], train(c));
}

TEST(FashionMnist, LoadsWhole) {
  const auto folder = data_folder() / "fashion-mnist";
  if (!std::filesystem::exists(folder)) {
    GTEST_SKIP() << "no Fashion-MNIST in " << folder << "; set CHORUS_DATA_DIR to its parent";
  }
  const auto data = load_idx({.images = folder / "t10k-images-idx3-ubyte.gz",
                              .labels = folder / "t10k-labels-idx1-ubyte.gz"});
  ASSERT_TRUE(data) << data.error().to_string();
  EXPECT_EQ(data->size(), 10'000U);
  EXPECT_THAT(data->feature_shape(), ElementsAre(1, 28, 28));
  EXPECT_EQ(data->classes(), 10U);
  std::vector<int> counts(10);
  const auto labels = data->labels().value();
  for (const std::uint32_t label : labels) ++counts[label];
  EXPECT_THAT(counts, testing::Each(1000));
  double sum = 0.0;
  for (std::size_t i = 0; i < data->size(); ++i) {
    const Example image = data->example(i).value();
    for (const float pixel : image.features) sum += pixel;
  }
  EXPECT_NEAR(sum / 7'840'000, 0.2868, 0.0001);
}

}  // namespace
}  // namespace chorus::client
