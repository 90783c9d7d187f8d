// How long training lasts.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>

#include "chorus/plan.hpp"
#include "chorus/result.hpp"

namespace chorus::train {

/// @errors unsupported_feature: an unknown unit; invalid_argument
Result<void> check_budget(const Budget& budget);

/// What remains of a budget.
class Remaining {
 public:
  /// @pre check_budget() passed
  Remaining(const Budget& budget, std::size_t examples);

  /// How many of `batch` examples the next step may take; 0: the budget is used up.
  std::size_t allowed(std::size_t batch) const;
  void spend(std::size_t batch);
  /// Steps of `batch` examples that the budget is worth; 0: seconds, which no one knows.
  std::uint64_t steps_of(std::size_t batch) const;

 private:
  static constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t steps_ = kUnlimited;
  std::uint64_t examples_ = kUnlimited;
  double seconds_ = 0.0;  // 0: not limited by time
  std::uint64_t made_ = 0;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

/// Rules that end training before its budget does.
class StopRules {
 public:
  explicit StopRules(const EarlyStop& rules) : rules_(rules) {}

  bool measures_gradient() const noexcept { return rules_.gradient_norm > 0.0; }
  /// Whether a gradient is short enough to stop; the step along it is still made.
  bool after_gradient(double norm) const noexcept {
    return measures_gradient() && norm <= rules_.gradient_norm;
  }
  /// Whether an epoch with this mean loss is the last.
  bool after_epoch(double mean_loss) noexcept;

 private:
  EarlyStop rules_;
  double least_ = std::numeric_limits<double>::infinity();
  std::uint32_t without_ = 0;
};

}  // namespace chorus::train
