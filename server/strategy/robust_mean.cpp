// Means that some liars among the devices do not move beyond what the honest ones say: in each
// coordinate by itself the values of all n updates are put in order, x_(0) <= … <= x_(n−1), and
//
//   "median"        m = the middle one, or the mean of the two in the middle
//   "trimmed_mean"  m = mean of x_(b) … x_(n−b−1),  b = min(⌈trim · n⌉, ⌊(n − 1) / 2⌋)
//
//   x' = x + η · m
//
//   server_learning_rate  η, (0, 10], default 1
//   trim                  share of the updates that is left out at either end, [0, 0.49], default
//                         0.1 ("trimmed_mean")
//
// As long as at most b updates lie, every m_i is between the least and the largest honest value of
// coordinate i: b is (n − 1) / 2 under the median, and at least ⌊trim · n⌋ under the trimmed mean.
// Every device counts alike: a weight by examples is a number that a liar chooses.
//
// @source Yin et al. 2018, arXiv:1803.01498, Definitions 1 and 2, Algorithm 1. There b is β · n; it
//         is rounded up here so that 9 updates at 0.1 are not the plain mean.
#include "server/strategy/robust_mean.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include "chorus/kernels/kernels.hpp"
#include "chorus/kernels/robust.hpp"
#include "common/base/try.hpp"

namespace chorus::server {
namespace {

/// Of fewer than three values none is between others.
constexpr std::uint64_t kUpdatesMin = 3;

class RobustMean final : public Strategy, private SetRule {
 public:
  RobustMean(const StrategySetup& setup, std::optional<double> trim)
      : plan_(setup.plan),
        examples_max_(setup.examples_max),
        learning_rate_(std::get<double>(setup.options.at("server_learning_rate"))),
        trim_(trim) {}

  const SetRule* set_rule() const override { return this; }
  std::uint64_t weight_max() const override { return 1; }

  TrainPlan plan(const RoundContext& round, const ClientId& client) const override {
    TrainPlan plan = plan_;
    plan.seed = task_seed(round, client);
    return plan;
  }

  Result<std::uint64_t> admit(const UpdateMeta& update) const override {
    CHORUS_OK(check_examples(update, examples_max_));
    return std::uint64_t{1};
  }

  void finalise(std::span<const float> mean, std::span<float> x) const override {
    kernels::add_scaled_f32(x, learning_rate_, mean, x);
  }

 private:
  std::uint64_t updates_min() const override { return trim_ == 0.0 ? 1 : kUpdatesMin; }

  Mean mean_of(const SetLane& updates) const override {
    const std::size_t count = updates.updates();
    const std::size_t trim = trim_ ? static_cast<std::size_t>(trimmed_updates(*trim_, count))
                                   : kernels::median_trim(count);
    return [&updates, order = kernels::ColumnOrder(count, trim)](std::uint64_t first,
                                                                 std::span<float> mean) {
      return trimmed_mean(updates, order, first, mean);
    };
  }

  TrainPlan plan_;
  std::uint64_t examples_max_;
  double learning_rate_;
  std::optional<double> trim_;  ///< none: the median
};

std::unique_ptr<Strategy> make_median(const StrategySetup& setup) {
  return std::make_unique<RobustMean>(setup, std::nullopt);
}

std::unique_ptr<Strategy> make_trimmed_mean(const StrategySetup& setup) {
  return std::make_unique<RobustMean>(setup, std::get<double>(setup.options.at("trim")));
}

OptionSpec learning_rate() {
  return {"server_learning_rate", 1.0, 1e-6, 10.0, {}, "step along the combined update"};
}

}  // namespace

std::uint64_t trimmed_updates(double share, std::uint64_t updates) noexcept {
  constexpr double kRounding = 1e-9;  // of the share as a double, times updates
  const double wanted = std::ceil(share * static_cast<double>(updates) - kRounding);
  return std::min(static_cast<std::uint64_t>(std::max(wanted, 0.0)),
                  std::uint64_t{kernels::median_trim(static_cast<std::size_t>(updates))});
}

const StrategyEntry& median_entry() noexcept {
  static const std::array options{learning_rate()};
  static const StrategyEntry entry{
      "median", "median of the updates, each coordinate by itself", options, make_median};
  return entry;
}

const StrategyEntry& trimmed_mean_entry() noexcept {
  static const std::array options{
      learning_rate(),
      OptionSpec{"trim", 0.1, 0.0, 0.49, {}, "share of the updates left out at either end"},
  };
  static const StrategyEntry entry{"trimmed_mean",
                                   "mean of the updates without the extremes of each coordinate",
                                   options,
                                   make_trimmed_mean};
  return entry;
}

}  // namespace chorus::server
