// Devices whose loss is a sum of parabolas: every step of a plan is known in closed form.
#pragma once

#include <cmath>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "chorus/client/dataset.hpp"
#include "chorus/client/local_state.hpp"
#include "client/train/network.hpp"
#include "client/train/plan_runner.hpp"

namespace chorus::test {

/// ½·a·(w − b)²
struct Parabola {
  double a = 1.0;
  double b = 0.0;
};

/// One weight w; the loss of example i is the i-th parabola.
class Quadratic {
 public:
  explicit Quadratic(const std::vector<Parabola>& examples) {
    auto made = train::Network::create({{1}, {Dense{"", 1, false}}, Loss::mean_squared_error, {}});
    EXPECT_TRUE(made);
    network_ = std::move(made).value();
    client::Dataset::Parts parts;
    parts.feature_shape = {1};
    parts.target_count = 1;
    for (const Parabola& one : examples) {  // (x·w − t)² with x² = a / 2, t = x·b
      const double x = std::sqrt(one.a / 2.0);
      parts.features.push_back(static_cast<float>(x));
      parts.targets.push_back(static_cast<float>(x * one.b));
    }
    auto data = client::Dataset::create(std::move(parts));
    EXPECT_TRUE(data) << data.error().to_string();
    data_ = std::move(data).value();
  }

  Result<client::TaskReport> run(const TrainPlan& plan, double start) {
    network_->parameters()[0] = static_cast<float>(start);
    train::TrainInputs inputs;
    inputs.cancel = &never_;
    inputs.vectors = vectors_;
    inputs.state = &state;
    inputs.scores = scores;
    return train::run_plan(*network_, data_, plan, inputs);
  }
  /// The weight that a plan makes of `start`.
  double trained(const TrainPlan& plan, double start) {
    const auto report = run(plan, start);
    EXPECT_TRUE(report) << report.error().to_string();
    return weight();
  }
  double weight() { return double{network_->parameters()[0]}; }
  train::Network& network() { return *network_; }

  /// A vector that comes with every task.
  void bring(const std::string& name, double value) {
    numbers_.push_back(std::make_unique<float>(static_cast<float>(value)));
    vectors_.push_back({name, std::span(numbers_.back().get(), 1)});
  }
  void bring_nothing() { vectors_.clear(); }

  client::MemoryState state;
  std::vector<float> scores;

 private:
  std::unique_ptr<train::Network> network_;
  client::Dataset data_;
  std::vector<std::unique_ptr<float>> numbers_;
  std::vector<client::TaskVector> vectors_;
  const client::CancelToken never_{};
};

/// Plain SGD over everything at once, in the natural order.
inline TrainPlan sgd_plan(double steps, double rate, std::uint32_t batch = 1000) {
  TrainPlan plan;
  plan.budget = {Budget::Unit::steps, steps};
  plan.batch_size = batch;
  plan.order = Order::natural;
  plan.optimiser.learning_rate = rate;
  return plan;
}

inline const std::vector<float>& part_of(const client::TaskReport& report, ReportKind kind) {
  for (const auto& part : report.parts) {
    if (part.kind == kind) return part.numbers;
  }
  ADD_FAILURE() << "no part of kind " << static_cast<int>(kind);
  static const std::vector<float> none(64);
  return none;
}

}  // namespace chorus::test
