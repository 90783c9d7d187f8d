// What is trained, what stays on the device, in which order, when it ends, what is measured.
#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/train/plan/order.hpp"
#include "tests/unit/client/train/examples.hpp"
#include "tests/unit/client/train/plan/quadratic.hpp"

namespace chorus::train {
namespace {

using client::Dataset;
using client::TaskReport;
using test::part_of;
using test::Quadratic;
using test::sgd_plan;
using testing::HasSubstr;
using Floats = std::vector<float>;

// A model with every kind of tensor that matters here: layers in front, buffers, a head.
class Parts : public testing::Test {
 protected:
  void SetUp() override {
    auto made = Network::create(model_);
    ASSERT_TRUE(made) << made.error().to_string();
    network_ = std::move(made).value();
    start_ = test::start_of(model_);
  }
  Result<TaskReport> run(const TrainPlan& plan) {
    std::copy(start_.begin(), start_.end(), network_->parameters().begin());
    TrainInputs inputs;
    inputs.vectors = vectors_;
    inputs.state = &state_;
    inputs.enough = &enough_;
    return run_plan(*network_, data_, plan, inputs);
  }
  Floats trained(const TrainPlan& plan) {
    const auto report = run(plan);
    EXPECT_TRUE(report) << report.error().to_string();
    return now();
  }
  Floats now() const {
    const auto all = network_->parameters();
    return {all.begin(), all.end()};
  }
  // Names of the tensors that are no longer what they were.
  std::vector<std::string> changed() const {
    std::vector<std::string> names;
    for (const TensorSpec& tensor : network_->layout().tensors) {
      const auto begin = static_cast<std::ptrdiff_t>(tensor.offset);
      const auto end = begin + static_cast<std::ptrdiff_t>(tensor.count);
      const Floats here = now();
      if (!std::equal(here.begin() + begin, here.begin() + end, start_.begin() + begin)) {
        names.push_back(tensor.name);
      }
    }
    return names;
  }
  const TensorSpec& tensor(const std::string& name) const {
    const auto& all = network_->layout().tensors;
    return *std::find_if(
        all.begin(), all.end(), [&](const TensorSpec& one) { return one.name == name; });
  }
  static TrainPlan epochs(double amount) {
    TrainPlan plan;
    plan.budget = {Budget::Unit::epochs, amount};
    plan.batch_size = 8;
    plan.optimiser = {0.05, 0.9, 0.01};
    return plan;
  }

  const ModelSpec model_{{2, 6},
                         {Conv1d{"front", 4, 3, 1, 1},
                          BatchNorm{"norm"},
                          Relu{},
                          Flatten{},
                          Dense{"middle", 5},
                          Mark{"seen"},
                          Relu{},
                          Dense{"again", 5},
                          Add{"seen"},
                          Dense{"head", 3}}};
  const Dataset data_ = test::make_examples({2, 6}, 21, 3);
  std::unique_ptr<Network> network_;
  Floats start_;
  client::MemoryState state_;
  std::vector<client::TaskVector> vectors_;
  std::function<bool()> enough_;
};

TEST_F(Parts, FrozenTensorsKeepTheirBits) {
  const auto all = trained(epochs(2));
  EXPECT_EQ(changed().size(), network_->layout().tensors.size());
  for (const auto kind : {Optimiser::Kind::sgd, Optimiser::Kind::adamw, Optimiser::Kind::lamb}) {
    TrainPlan plan = epochs(2);
    plan.optimiser.kind = kind;
    if (kind != Optimiser::Kind::sgd) plan.optimiser.momentum = 0.0;
    plan.trainable.only = {"head.*", "norm.bias"};
    plan.trainable.frozen = {"head.bias"};
    trained(plan);
    EXPECT_THAT(changed(), testing::ElementsAre("norm.bias", "head.weight"));
  }
}

// Without batch norm in between, whose statistics are of the batch, freezing the layers in front
// gives the last layers the same gradients as training everything would.
TEST_F(Parts, TheFirstStepOfWhatIsTrainedIsThatOfTrainingEverything) {
  TrainPlan plan = epochs(1);
  plan.budget = {Budget::Unit::steps, 1};
  plan.optimiser = {0.05, 0.0, 0.0};
  const Floats all = trained(plan);
  plan.trainable.frozen = {"front.*", "norm.*", "middle.*", "again.*"};
  const Floats part = trained(plan);
  EXPECT_THAT(changed(), testing::ElementsAre("head.weight", "head.bias"));
  const std::size_t head = tensor("head.weight").offset;
  for (std::size_t i = head; i < all.size(); ++i) EXPECT_NEAR(part[i], all[i], 1e-6) << i;
  plan.trainable = {};  // and back: the gradients of everything are there again
  EXPECT_EQ(trained(plan), all);
}

// An adapter's gradients do not need its weight's.
TEST(Adapters, AreTrainedBesideFrozenWeights) {
  const ModelSpec model{
      {2, 6, 6},
      {Conv2d{"conv", 4, 3, 1, 1, 1, 1, true, 2}, Flatten{}, Dense{"d", 3, true, 2, 4.0}}};
  const auto network = std::move(Network::create(model)).value();
  Floats start = test::start_of(model);
  for (std::size_t i = 0; i < start.size(); ++i) start[i] += 0.01F * static_cast<float>(i % 5);
  const Dataset data = test::make_examples({2, 6, 6}, 12, 3);
  TrainPlan plan = sgd_plan(1, 0.1, 12);
  plan.order = Order::natural;
  const auto stepped = [&] {
    std::copy(start.begin(), start.end(), network->parameters().begin());
    EXPECT_TRUE(run_plan(*network, data, plan, {}));
    const auto all = network->parameters();
    return Floats(all.begin(), all.end());
  };
  plan.clip_norm = 1e9;  // the same path to the step as below
  const Floats all = stepped();
  plan.trainable.only = {"*lora_?"};
  const Floats adapters = stepped();
  for (const TensorSpec& tensor : network->layout().tensors) {
    const Floats& expected = is_adapter_name(tensor.name) ? all : start;
    for (std::size_t i = tensor.offset; i < tensor.offset + tensor.count; ++i) {
      ASSERT_EQ(adapters[i], expected[i]) << tensor.name;
    }
    ASSERT_NE(all[tensor.offset], start[tensor.offset]) << tensor.name;
  }
}

TEST_F(Parts, MaskedElementsKeepTheirBits) {
  Floats mask(start_.size());
  for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = i % 3 == 0 ? 1.0F : 0.0F;
  vectors_ = {{"mask", mask}};
  for (const auto kind : {Optimiser::Kind::sgd, Optimiser::Kind::adamw, Optimiser::Kind::lamb}) {
    TrainPlan plan = epochs(2);
    plan.optimiser.kind = kind;
    if (kind != Optimiser::Kind::sgd) plan.optimiser.momentum = 0.0;
    plan.trainable.mask = true;
    const Floats after = trained(plan);
    for (const TensorSpec& tensor : network_->layout().tensors) {
      if (tensor.buffer) continue;
      std::size_t moved = 0;
      for (std::size_t i = tensor.offset; i < tensor.offset + tensor.count; ++i) {
        if (mask[i] == 0.0F) {
          EXPECT_EQ(after[i], start_[i]) << tensor.name;
        }
        moved += mask[i] != 0.0F && after[i] != start_[i] ? 1 : 0;
      }
      EXPECT_GT(moved, 0U) << tensor.name;
    }
  }
}

TEST_F(Parts, LocalTensorsStayAndGoOn) {
  TrainPlan plan = epochs(1);
  plan.local = {"head.*", "norm.running_mean"};
  const auto first = run(plan);
  ASSERT_TRUE(first) << first.error().to_string();
  EXPECT_EQ(first->state_epoch, 0U);
  EXPECT_THAT(changed(), testing::Not(testing::Contains(HasSubstr("head"))));
  EXPECT_THAT(changed(), testing::Not(testing::Contains("norm.running_mean")));
  const Floats shared = now();
  state_.accept();
  const auto kept = state_.load("local").value().value();
  // As if the task had trained the head, too: what it would have become is what is kept.
  TrainPlan all = plan;
  all.local.clear();
  const Floats whole = trained(all);
  const TensorSpec& head = tensor("head.weight");
  EXPECT_TRUE(std::equal(whole.begin() + static_cast<std::ptrdiff_t>(head.offset),
                         whole.end(),
                         kept.end() - static_cast<std::ptrdiff_t>(whole.size() - head.offset)));
  const auto second = run(plan);
  EXPECT_EQ(second->state_epoch, 1U);
  EXPECT_NE(now(), shared) << "the second task began with the head of the first";
  // Other tensors than those that are kept: begun anew, and said so.
  plan.local = {"middle.*"};
  EXPECT_EQ(run(plan)->state_epoch, 0U);
}

TEST_F(Parts, StateThatNobodyKeepsIsAnError) {
  TrainPlan plan = epochs(1);
  plan.local = {"head.*"};
  const auto report = run_plan(*network_, data_, plan, {});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, errc::unsupported_feature);
  EXPECT_THAT(report.error().detail, HasSubstr("keeps none"));
}

TEST_F(Parts, PatternsThatNameNothingAreErrors) {
  TrainPlan plan = epochs(1);
  plan.trainable.only = {"tail.*"};
  EXPECT_THAT(run(plan).error().detail, HasSubstr("'tail.*' names no tensor"));
  plan = epochs(1);
  plan.local = {"tail"};
  EXPECT_THAT(run(plan).error().detail, HasSubstr("'tail' names no tensor"));
}

// N = 500, T = 100, a = 0.8, b = 0.2.
TEST(Curriculum, PacesAsPublished) {
  using Pace = Curriculum::Pace;
  const std::uint64_t steps[] = {0, 10, 20, 40, 60, 79, 80, 100};
  struct Row {
    Pace pace;
    std::vector<std::uint64_t> expected;
  };
  const Row rows[] = {{Pace::linear, {100, 150, 200, 300, 400, 495, 500, 500}},
                      {Pace::quadratic, {100, 106, 125, 200, 325, 490, 500, 500}},
                      {Pace::root, {100, 241, 300, 382, 446, 497, 500, 500}},
                      {Pace::step, {100, 100, 100, 100, 100, 100, 500, 500}},
                      {Pace::exponential, {100, 100, 100, 102, 132, 452, 500, 500}},
                      {Pace::logarithmic, {100, 416, 444, 472, 488, 499, 500, 500}}};
  for (const Row& row : rows) {
    Curriculum curriculum;
    curriculum.pace = row.pace;
    for (std::size_t i = 0; i < std::size(steps); ++i) {
      EXPECT_EQ(examples_in_use(curriculum, steps[i], 100, 500), row.expected[i])
          << static_cast<int>(row.pace) << " " << steps[i];
    }
  }
}

// Of parabolas with minimum 0, those of small a are easy at w = 1; only they are in use.
TEST(Curriculum, BeginsWithTheEasyOnesOrTheHardOnes) {
  const std::vector<test::Parabola> examples = {{5.0, 0.0}, {1.0, 0.0}, {3.0, 0.0}, {2.0, 0.0}};
  TrainPlan plan = sgd_plan(1, 0.1, 2);
  plan.order = Order::curriculum;
  plan.curriculum.start = 0.5;
  EXPECT_NEAR(Quadratic(examples).trained(plan, 1.0), 1.0 - 0.1 * (1.0 + 2.0) / 2.0, 1e-6);
  plan.curriculum.hardest_first = true;
  EXPECT_NEAR(Quadratic(examples).trained(plan, 1.0), 1.0 - 0.1 * (5.0 + 3.0) / 2.0, 1e-6);
  plan.curriculum.given_scores = true;  // hardest by the device's own scores: 1 and 2
  Quadratic device(examples);
  device.scores = {1.0F, 9.0F, 2.0F, 8.0F};
  const auto report = device.run(plan, 1.0);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->examples, 2U) << "only what was met";
  EXPECT_NEAR(device.weight(), 1.0 - 0.1 * (1.0 + 2.0) / 2.0, 1e-6);
  device.scores.pop_back();
  EXPECT_THAT(device.run(plan, 1.0).error().detail, HasSubstr("3 for 4 examples"));
}

TEST(Curriculum, EndsWithEverything) {
  std::vector<test::Parabola> examples(10, {1.0, 0.0});
  TrainPlan plan = sgd_plan(1, 0.01, 1);
  plan.budget = {Budget::Unit::epochs, 6};
  plan.order = Order::curriculum;
  const auto report = Quadratic(examples).run(plan, 1.0);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->steps, 60U);
  EXPECT_EQ(report->examples, 10U);
  EXPECT_EQ(report->epochs, 6.0);
}

// ½w², w ← 0.9·w each epoch: losses 0.5, 0.405, 0.328, 0.266, 0.215 …
TEST(EarlyStop, EndsAtItsLoss) {
  TrainPlan plan = sgd_plan(100, 0.1);
  plan.early_stop.loss = 0.3;
  const auto report = Quadratic({{1.0, 0.0}}).run(plan, 1.0);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->steps, 4U);
  EXPECT_EQ(report->epochs, 4.0);
  EXPECT_EQ(report->ending, Ending::early_stop);
}

TEST(EarlyStop, WaitsForItsPatience) {
  // Differences of those losses: 0.095, 0.077, 0.062, 0.051: two in a row below 0.07.
  TrainPlan plan = sgd_plan(100, 0.1);
  plan.early_stop = {0.0, 2, 0.07, 0.0};
  auto report = Quadratic({{1.0, 0.0}}).run(plan, 1.0);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->steps, 5U);
  plan.early_stop = {0.0, 1, 0.07, 0.0};
  report = Quadratic({{1.0, 0.0}}).run(plan, 1.0);
  EXPECT_EQ(report->steps, 4U);
}

TEST(EarlyStop, EndsWithAShortGradient) {
  // Gradients 1, 0.9, 0.81, 0.729; the step along the short one is made.
  TrainPlan plan = sgd_plan(100, 0.1);
  plan.early_stop.gradient_norm = 0.75;
  Quadratic device({{1.0, 0.0}});
  const auto report = device.run(plan, 1.0);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->steps, 4U);
  EXPECT_NEAR(device.weight(), std::pow(0.9, 4), 1e-6);
}

TEST(EarlyStop, DoesNotEndWhatIsNotThere) {
  TrainPlan plan = sgd_plan(7, 0.1);
  plan.early_stop = {0.01, 3, 0.0, 0.01};
  const auto report = Quadratic({{1.0, 0.0}}).run(plan, 1.0);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->steps, 7U);
  EXPECT_EQ(report->ending, Ending::budget);
}

TEST_F(Parts, TheDeviceMayHaveHadEnough) {
  int asked = 0;
  enough_ = [&asked] { return ++asked > 4; };
  const auto report = run(epochs(100));
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->steps, 4U);
  EXPECT_EQ(report->ending, Ending::device);
  EXPECT_EQ(report->examples, 21U);
  EXPECT_NEAR(report->epochs, (21.0 + 8.0) / 21.0, 1e-12);
  enough_ = [] { return true; };
  EXPECT_EQ(run(epochs(1)).error().code, errc::cancelled) << "nothing to report";
}

TEST_F(Parts, ProbesMeasureTheReceivedModelAndLeaveIt) {
  TrainPlan plan = epochs(1);
  plan.optimiser = {};
  plan.probe = {true, true, true, true, "seen", true, 0, true};
  const auto report = run(plan);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_FALSE(report->delta);
  EXPECT_EQ(report->steps, 0U);
  EXPECT_EQ(report->examples, 21U);
  EXPECT_EQ(now(), start_);
  EXPECT_EQ(part_of(*report, ReportKind::gradient_norms).size(), 10U);
  EXPECT_EQ(part_of(*report, ReportKind::losses).size(), 7U);
  EXPECT_EQ(part_of(*report, ReportKind::labels).size(), 3U);
  EXPECT_EQ(part_of(*report, ReportKind::statistics).size(), 8U);
  EXPECT_EQ(part_of(*report, ReportKind::representations).size(), 15U);
  // With training the same numbers come along, and training is what it is without them.
  TrainPlan both = epochs(1);
  const Floats without = trained(both);
  both.probe = plan.probe;
  both.probe.only = false;
  const auto more = run(both);
  ASSERT_TRUE(more);
  EXPECT_TRUE(more->delta);
  EXPECT_EQ(more->parts, report->parts);
  EXPECT_EQ(now(), without);
}

TEST(Probes, GradientNormsAndTheNormTest) {
  // Gradients at 0: −1, 2, −3, −2.
  Quadratic device({{1.0, 1.0}, {2.0, -1.0}, {1.0, 3.0}, {4.0, 0.5}});
  TrainPlan plan = sgd_plan(1, 0.1, 1);
  plan.probe.gradient_norms = true;
  const auto report = device.run(plan, 0.0);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_NEAR(part_of(*report, ReportKind::gradient_norms)[0], 1.0, 1e-5);  // (−1)²
  const auto metric = [&](const char* name) {
    for (const Metric& one : report->metrics) {
      if (one.name == name) return one.value;
    }
    return std::nan("");
  };
  EXPECT_NEAR(metric("norm_test_mean"), (1.0 + 4.0 + 9.0 + 4.0) / 4.0, 1e-4);
  EXPECT_NEAR(metric("norm_test_square"), 1.0, 1e-5);
}

TEST(Probes, LossesAreSummarised) {
  // Losses at 0: ½·b² = 0.5, 2, 4.5, 8, 12.5.
  Quadratic device({{1.0, 4.0}, {1.0, 1.0}, {1.0, 3.0}, {1.0, 5.0}, {1.0, 2.0}});
  TrainPlan plan = sgd_plan(1, 0.1, 2);
  plan.probe.losses = true;
  const auto report = device.run(plan, 0.0);
  ASSERT_TRUE(report);
  const auto& found = part_of(*report, ReportKind::losses);
  const double expected[] = {5.5, 4.3243497, 0.5, 2.0, 4.5, 8.0, 12.5};  // numpy
  for (std::size_t i = 0; i < 7; ++i) EXPECT_NEAR(found[i], expected[i], 1e-5) << i;
  plan.probe.batches = 1;
  const auto first = device.run(plan, 0.0);
  EXPECT_NEAR(part_of(*first, ReportKind::losses)[0], (8.0 + 0.5) / 2.0, 1e-5);
}

// One feature through batch norm: its mean and (unbiased) variance over a batch are the data's.
TEST(Probes, StatisticsAreThoseOfTheDataAlone) {
  const ModelSpec model{{1, 2}, {BatchNorm{"norm"}, Flatten{}, Dense{"out", 2}}};
  auto network = Network::create(model);
  ASSERT_TRUE(network);
  const auto start = test::start_of(model);
  std::copy(start.begin(), start.end(), (*network)->parameters().begin());
  Dataset::Parts parts;
  parts.features = {1.0F, 3.0F, 5.0F, 7.0F};
  parts.feature_shape = {1, 2};
  parts.labels = {0, 1};
  const auto data = Dataset::create(std::move(parts)).value();
  TrainPlan plan;
  plan.probe.statistics = true;
  plan.probe.labels = true;
  plan.probe.representation = "out";
  plan.probe.by_class = true;
  plan.probe.only = true;
  const auto report = run_plan(**network, data, plan, {});
  ASSERT_TRUE(report) << report.error().to_string();
  const auto& found = part_of(*report, ReportKind::statistics);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_NEAR(found[0], 4.0, 1e-5);
  EXPECT_NEAR(found[1], 20.0 / 3.0, 1e-4);
  EXPECT_EQ(part_of(*report, ReportKind::labels), (Floats{1.0F, 1.0F}));
  // Running values at the start are 0 and 1: the norm passes its input on.
  const auto& outputs = part_of(*report, ReportKind::representations);
  ASSERT_EQ(outputs.size(), 4U);
  const auto w = (*network)->parameters().subspan((*network)->layout().tensors[4].offset, 4);
  EXPECT_NEAR(outputs[0], w[0] * 1.0F + w[1] * 3.0F, 1e-3);
  EXPECT_NEAR(outputs[3], w[2] * 5.0F + w[3] * 7.0F, 1e-3);
}

// A class at every step: an example's loss is the mean over its steps.
TEST(Probes, OfSequences) {
  const ModelSpec model{{2, 3}, {Dense{"out", 2}}};
  auto network = Network::create(model);
  ASSERT_TRUE(network) << network.error().to_string();
  const auto start = test::start_of(model);
  std::copy(start.begin(), start.end(), (*network)->parameters().begin());
  Dataset::Parts parts;
  parts.features = {1.0F, -2.0F, 0.5F, 3.0F, 1.0F, -1.0F, 0.0F, 1.0F, 2.0F, -1.0F, 0.5F, 0.25F};
  parts.feature_shape = {2, 3};
  parts.targets = {0.0F, 1.0F, 1.0F, 1.0F};
  parts.target_count = 2;
  const auto data = Dataset::create(std::move(parts)).value();
  TrainPlan plan;
  plan.probe.losses = plan.probe.labels = plan.probe.only = true;
  const auto report = run_plan(**network, data, plan, {});
  ASSERT_TRUE(report) << report.error().to_string();
  const auto whole = run_plan(**network, data, EvaluatePlan{}, client::CancelToken{});
  ASSERT_TRUE(whole);
  EXPECT_NEAR(part_of(*report, ReportKind::losses)[0], whole->metrics[0].value, 1e-6);
  EXPECT_EQ(part_of(*report, ReportKind::labels), (Floats{1.0F, 3.0F}));
  plan.probe.representation = "out";
  plan.probe.by_class = true;
  EXPECT_THAT(run_plan(**network, data, plan, {}).error().detail, HasSubstr("at every step"));
}

TEST_F(Parts, ProbesOfWhatIsNotThereAreErrors) {
  TrainPlan plan = epochs(1);
  plan.probe.representation = "nowhere";
  EXPECT_THAT(run(plan).error().detail, HasSubstr("'nowhere' is no layer"));
  TrainPlan labels = sgd_plan(1, 0.1);
  labels.probe.labels = true;
  EXPECT_EQ(Quadratic({{1.0, 1.0}}).run(labels, 0.0).error().code, errc::unsupported_feature);
}

}  // namespace
}  // namespace chorus::train
