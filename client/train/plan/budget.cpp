#include "client/train/plan/budget.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace chorus::train {
namespace {

constexpr double kWholeMax = 0x1.0p53;  // beyond it a double no longer counts by ones

}  // namespace

Result<void> check_budget(const Budget& budget) {
  using Unit = Budget::Unit;
  const bool known = budget.unit == Unit::epochs || budget.unit == Unit::steps ||
                     budget.unit == Unit::examples || budget.unit == Unit::seconds;
  if (!known) {
    return fail(errc::unsupported_feature,
                fmt::format("the plan's budget has the unknown unit {}",
                            static_cast<unsigned>(budget.unit)));
  }
  const auto wrong = [&](std::string_view expected) {
    return fail(errc::invalid_argument,
                fmt::format("the plan's budget is {}; expected {}", budget.amount, expected));
  };
  if (!(budget.amount > 0.0) || budget.amount > kWholeMax) return wrong("more than 0");
  if (budget.unit != Unit::seconds && budget.amount != std::floor(budget.amount)) {
    return wrong("a whole number for this unit");
  }
  return {};
}

Remaining::Remaining(const Budget& budget, std::size_t examples) {
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

std::size_t Remaining::allowed(std::size_t batch) const {
  if (steps_ == 0) return 0;
  if (seconds_ > 0.0 && made_ > 0) {
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - started_;
    if (spent.count() >= seconds_) return 0;
  }
  return static_cast<std::size_t>(std::min<std::uint64_t>(batch, examples_));
}

void Remaining::spend(std::size_t batch) {
  --steps_;
  examples_ -= batch;
  ++made_;
}

std::uint64_t Remaining::steps_of(std::size_t batch) const {
  if (seconds_ > 0.0) return 0;
  if (steps_ != kUnlimited) return steps_;
  return examples_ / batch + (examples_ % batch == 0 ? 0 : 1);
}

bool StopRules::after_epoch(double mean_loss) noexcept {
  if (rules_.loss > 0.0 && mean_loss <= rules_.loss) return true;
  if (rules_.patience == 0) return false;
  const bool better = mean_loss < least_ - rules_.improvement;
  least_ = std::min(least_, mean_loss);
  without_ = better ? 0 : without_ + 1;
  return without_ >= rules_.patience;
}

}  // namespace chorus::train
