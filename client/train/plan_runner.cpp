#include "client/train/plan_runner.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <fmt/format.h>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/train/optimiser.hpp"
#include "common/base/rng.hpp"
#include "common/base/try.hpp"
#include "common/tensor/aligned_buffer.hpp"
#include "common/tensor/plan_rules.hpp"

namespace chorus::train {
namespace {

using client::CancelToken;
using client::Dataset;
using client::TaskReport;

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();
constexpr double kWholeMax = 0x1.0p53;  // beyond it a double no longer counts by ones

Failure out_of_range(std::string_view what, double value, std::string_view expected) {
  return fail(errc::invalid_argument,
              fmt::format("the plan's {} is {}; expected {}", what, value, expected));
}

Result<void> check_budget(const Budget& budget) {
  using Unit = Budget::Unit;
  const bool known = budget.unit == Unit::epochs || budget.unit == Unit::steps ||
                     budget.unit == Unit::examples || budget.unit == Unit::seconds;
  if (!known) {
    return fail(errc::unsupported_feature,
                fmt::format("the plan's budget has the unknown unit {}",
                            static_cast<unsigned>(budget.unit)));
  }
  if (!(budget.amount > 0.0) || budget.amount > kWholeMax) {
    return out_of_range("budget", budget.amount, "more than 0");
  }
  if (budget.unit != Unit::seconds && budget.amount != std::floor(budget.amount)) {
    return out_of_range("budget", budget.amount, "a whole number for this unit");
  }
  return {};
}

// What remains of a budget.
class Remaining {
 public:
  Remaining(const Budget& budget, std::size_t examples) {
    const auto whole = static_cast<std::uint64_t>(budget.amount);
    switch (budget.unit) {
      case Budget::Unit::epochs:
        if (__builtin_mul_overflow(whole, std::uint64_t{examples}, &examples_)) {
          examples_ = kUnlimited;
        }
        break;
      case Budget::Unit::steps:
        steps_ = whole;
        break;
      case Budget::Unit::examples:
        examples_ = whole;
        break;
      case Budget::Unit::seconds:
        seconds_ = budget.amount;
        break;
    }
  }

  /// How many of `batch` examples the next step may take; 0: the budget is used up.
  std::size_t allowed(std::size_t batch) const {
    if (steps_ == 0) return 0;
    if (seconds_ > 0.0 && made_ > 0) {
      const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - started_;
      if (spent.count() >= seconds_) return 0;
    }
    return static_cast<std::size_t>(std::min<std::uint64_t>(batch, examples_));
  }

  void spend(std::size_t batch) {
    --steps_;
    examples_ -= batch;
    ++made_;
  }

 private:
  std::uint64_t steps_ = kUnlimited;
  std::uint64_t examples_ = kUnlimited;
  double seconds_ = 0.0;  // 0: not limited by time
  std::uint64_t made_ = 0;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

void arrange_epoch(const TrainPlan& plan, std::uint64_t epoch, std::vector<std::uint32_t>& rows) {
  std::iota(rows.begin(), rows.end(), 0U);
  if (plan.order == Order::natural) return;
  const std::string number = std::to_string(epoch);
  const std::string_view parts[] = {"shuffle", number};
  Rng rng(stream_key(plan.seed, parts));
  rng.shuffle(std::span(rows));
}

Failure diverged(const TrainPlan& plan, std::uint64_t step) {
  return fail(errc::not_finite,
              fmt::format("training diverged at step {}: the loss or a parameter is no longer "
                          "finite; the learning rate of {} is likely too large",
                          step,
                          plan.optimiser.learning_rate));
}

// Sums over all examples met so far.
class Totals {
 public:
  explicit Totals(Loss loss) : kind_(loss) {}
  void add(const BatchResult& batch, std::size_t examples) {
    loss_ += batch.loss;
    correct_ += batch.correct;
    squares_ += batch.squares;
    examples_ += examples;
  }
  std::uint64_t examples() const noexcept { return examples_; }
  std::vector<Metric> metrics() const {
    const auto count = static_cast<double>(examples_);
    const Metric loss{"loss", loss_ / count};
    if (kind_ == Loss::softmax_cross_entropy || kind_ == Loss::binary_cross_entropy) {
      return {loss, {"accuracy", static_cast<double>(correct_) / count}};
    }
    return {loss, {"rmse", std::sqrt(squares_ / count)}};
  }

 private:
  Loss kind_;
  double loss_ = 0.0;
  double squares_ = 0.0;
  std::uint64_t correct_ = 0;
  std::uint64_t examples_ = 0;
};

// One run of a TrainPlan.
class Training {
 public:
  Training(Network& network, const Dataset& data, const TrainPlan& plan)
      : network_(network),
        data_(data),
        plan_(plan),
        remaining_(plan.budget, data.size()),
        totals_(network.model().loss) {}

  Result<TaskReport> run(const CancelToken& cancel) {
    CHORUS_OK(prepare());
    std::vector<std::uint32_t> rows(data_.size());
    bool more = true;
    for (std::uint64_t epoch = 0; more; ++epoch) {
      arrange_epoch(plan_, epoch, rows);
      CHORUS_TRY(more, run_epoch(rows, cancel));
    }
    const auto parameters = network_.parameters();
    if (!std::all_of(
            parameters.begin(), parameters.end(), [](float x) { return std::isfinite(x); })) {
      return diverged(plan_, steps_);
    }
    const std::uint64_t distinct = std::min<std::uint64_t>(totals_.examples(), data_.size());
    return TaskReport{distinct, steps_, totals_.metrics()};
  }

 private:
  Result<void> prepare() {
    const std::size_t count = network_.parameters().size();
    CHORUS_TRY(optimiser_, OptimiserState::create(plan_.optimiser, network_.layout()));
    if (plan_.proximal > 0.0) {
      CHORUS_TRY(centre_, tensor::AlignedBuffer<float>::create(count));
      const auto received = network_.parameters();
      std::copy(received.begin(), received.end(), centre_.begin());
    }
    if (plan_.accumulate > 1) {
      CHORUS_TRY(sum_, tensor::AlignedBuffer<float>::create(count));
    }
    // What stands between the gradient and plain SGD's step needs the whole gradient first.
    const Optimiser& o = plan_.optimiser;
    fuses_ = o.kind == Optimiser::Kind::sgd && o.momentum == 0.0 && plan_.clip_norm == 0.0 &&
             plan_.proximal == 0.0 && plan_.accumulate == 1;
    const std::string_view parts[] = {"dropout"};
    key_ = stream_key(plan_.seed, parts);
    return {};
  }

  // False: the budget is used up.
  Result<bool> run_epoch(std::span<const std::uint32_t> rows, const CancelToken& cancel) {
    const std::size_t per_step = std::size_t{plan_.batch_size} * plan_.accumulate;
    for (std::size_t first = 0; first < rows.size();) {
      const std::size_t batch = std::min<std::size_t>(per_step, rows.size() - first);
      const std::size_t taken = remaining_.allowed(batch);
      if (taken == 0) return false;
      if (cancel.cancelled()) {
        return fail(errc::cancelled, fmt::format("training was cancelled after {} steps", steps_));
      }
      const auto chosen = rows.subspan(first, taken);
      CHORUS_OK(fuses_ ? fused_step(chosen) : step(chosen));
      remaining_.spend(taken);
      first += taken;
    }
    return true;
  }

  // The tape is made for the plan's batches; the last of an epoch may be smaller.
  std::size_t capacity() const { return std::min<std::size_t>(plan_.batch_size, data_.size()); }

  Result<BatchResult> pass(std::span<const std::uint32_t> rows, const FusedStep* fused) {
    network_.set_randomness(key_, passes_++);
    CHORUS_TRY(const BatchResult result, network_.gradient_of(data_, {rows, capacity()}, fused));
    if (!std::isfinite(result.loss)) return diverged(plan_, steps_ + 1);
    totals_.add(result, rows.size());
    return result;
  }

  Result<void> fused_step(std::span<const std::uint32_t> rows) {
    const double rate = rate_at(plan_, steps_);
    const FusedStep fused{static_cast<float>(rate),
                          static_cast<float>(1.0 - rate * plan_.optimiser.weight_decay)};
    CHORUS_OK(pass(rows, &fused));
    const auto done = [](const void* network, std::size_t tensor) {
      return static_cast<const Network*>(network)->stepped(tensor);
    };
    optimiser_->apply({rate, network_.parameters(), network_.gradient()}, done, &network_);
    ++steps_;
    return {};
  }

  Result<void> step(std::span<const std::uint32_t> rows) {
    if (plan_.accumulate == 1) {
      CHORUS_OK(pass(rows, nullptr));
    } else {
      CHORUS_OK(accumulate(rows));
    }
    const auto gradient = network_.gradient();
    const TensorLayout& layout = network_.layout();
    if (plan_.proximal > 0.0) {
      add_proximal(layout, plan_.proximal, network_.parameters(), centre_.span(), gradient);
    }
    if (plan_.clip_norm > 0.0) clip_norm(layout, plan_.clip_norm, gradient);
    optimiser_->apply({rate_at(plan_, steps_), network_.parameters(), gradient});
    ++steps_;
    return {};
  }

  // gradient() ← the mean over all rows, batch by batch.
  Result<void> accumulate(std::span<const std::uint32_t> rows) {
    std::fill(sum_.begin(), sum_.end(), 0.0F);
    const auto gradient = network_.gradient();
    for (std::size_t first = 0; first < rows.size(); first += plan_.batch_size) {
      const auto part =
          rows.subspan(first, std::min<std::size_t>(plan_.batch_size, rows.size() - first));
      CHORUS_OK(pass(part, nullptr));
      const float share = static_cast<float>(part.size()) / static_cast<float>(rows.size());
      for (std::size_t i = 0; i < sum_.size(); ++i) sum_[i] += share * gradient[i];
    }
    std::copy(sum_.begin(), sum_.end(), gradient.begin());
    return {};
  }

  Network& network_;
  const Dataset& data_;
  const TrainPlan& plan_;
  Remaining remaining_;
  Totals totals_;
  std::optional<OptimiserState> optimiser_;
  tensor::AlignedBuffer<float> centre_;  // the received model
  tensor::AlignedBuffer<float> sum_;     // of gradients
  std::uint64_t key_ = 0;
  std::uint64_t steps_ = 0;
  std::uint64_t passes_ = 0;
  bool fuses_ = false;
};

Result<void> check_data(const Network& network, const Dataset& data, std::string_view what) {
  if (data.empty()) {
    return fail(errc::unsupported_feature, fmt::format("this device has no {} examples", what));
  }
  return network.accepts(data);
}

}  // namespace

Result<void> check_plan(const TrainPlan& plan) {
  CHORUS_OK(check_budget(plan.budget));
  if (plan.order != Order::natural && plan.order != Order::shuffled) {
    return fail(
        errc::unsupported_feature,
        fmt::format("the plan's order {} is unknown here", static_cast<unsigned>(plan.order)));
  }
  if (plan.batch_size == 0) return out_of_range("batch_size", 0, "at least 1");
  const auto kind = static_cast<unsigned>(plan.optimiser.kind);
  if (kind < 1 || kind > static_cast<unsigned>(Optimiser::Kind::lamb)) {
    return fail(errc::unsupported_feature,
                fmt::format("the plan's optimiser {} is unknown here", kind));
  }
  const auto schedule = static_cast<unsigned>(plan.schedule.kind);
  if (schedule < 1 || schedule > static_cast<unsigned>(Schedule::Kind::cosine)) {
    return fail(errc::unsupported_feature,
                fmt::format("the plan's schedule {} is unknown here", schedule));
  }
  if (const auto wrong = tensor::problem_of(plan)) {
    return out_of_range(wrong->field, wrong->value, wrong->expected);
  }
  return {};
}

Result<void> check_plan(const EvaluatePlan& plan) {
  if (plan.batch_size == 0) return out_of_range("batch_size", 0, "at least 1");
  return {};
}

Result<TaskReport> run_plan(Network& network,
                            const Dataset& data,
                            const TrainPlan& plan,
                            const CancelToken& cancel) {
  CHORUS_OK(check_plan(plan));
  CHORUS_OK(check_data(network, data, "training"));
  return Training(network, data, plan).run(cancel);
}

Result<TaskReport> run_plan(Network& network,
                            const Dataset& data,
                            const EvaluatePlan& plan,
                            const CancelToken& cancel) {
  CHORUS_OK(check_plan(plan));
  CHORUS_OK(check_data(network, data, "hold-out"));
  std::vector<std::uint32_t> rows(data.size());
  std::iota(rows.begin(), rows.end(), 0U);
  Totals totals(network.model().loss);
  const std::size_t capacity = std::min<std::size_t>(plan.batch_size, rows.size());
  for (std::size_t first = 0; first < rows.size(); first += plan.batch_size) {
    if (cancel.cancelled()) {
      return fail(errc::cancelled, fmt::format("evaluation was cancelled at example {}", first));
    }
    const auto batch = std::span<const std::uint32_t>(rows).subspan(
        first, std::min<std::size_t>(plan.batch_size, rows.size() - first));
    CHORUS_TRY(const BatchResult result, network.loss_of(data, {batch, capacity}));
    if (!std::isfinite(result.loss)) {
      return fail(errc::not_finite,
                  fmt::format("the model's loss is not finite on the hold-out examples {} to {}",
                              first,
                              first + batch.size() - 1));
    }
    totals.add(result, batch.size());
  }
  return TaskReport{totals.examples(), 0, totals.metrics()};
}

}  // namespace chorus::train
