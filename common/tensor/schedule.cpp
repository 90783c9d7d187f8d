#include "common/tensor/schedule.hpp"

#include <algorithm>
#include <cmath>

namespace chorus::tensor {

double rate_at(const TrainPlan& plan, std::uint64_t step) noexcept {
  const Schedule& schedule = plan.schedule;
  const double rate = plan.optimiser.learning_rate;
  const auto warmup = static_cast<double>(schedule.warmup_steps);
  const auto now = static_cast<double>(step);
  if (now < warmup) return rate * (now + 1.0) / warmup;
  const double after = now - warmup;
  switch (schedule.kind) {
    case Schedule::Kind::constant:
      return rate;
    case Schedule::Kind::step:
      return rate * std::pow(schedule.factor,
                             std::floor(after / static_cast<double>(schedule.every_steps)));
    case Schedule::Kind::cosine: {
      constexpr double kPi = 3.14159265358979323846;
      const double span = static_cast<double>(schedule.total_steps) - warmup;
      const double part = span > 0.0 ? std::min(1.0, after / span) : 1.0;
      return rate *
             (schedule.factor + (1.0 - schedule.factor) * 0.5 * (1.0 + std::cos(kPi * part)));
    }
  }
  return rate;
}

double sum_of_rates(const TrainPlan& plan, std::uint64_t steps) noexcept {
  double sum = 0.0;
  for (std::uint64_t k = 0; k < steps; ++k) sum += rate_at(plan, k);
  return sum;
}

}  // namespace chorus::tensor
