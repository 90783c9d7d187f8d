// Checks an update's body while it streams in: every element finite and within the job's bound,
// before anything is folded.
#pragma once

#include <cstdint>
#include <span>

#include "chorus/result.hpp"

namespace chorus::server {

class UpdateValidator {
 public:
  explicit UpdateValidator(float value_max) : value_max_(value_max) {}

  /// The next elements of the body, in order.
  /// @errors not_finite, value_out_of_range; the detail names the element's index
  Result<void> check(std::span<const float> values);

  std::uint64_t elements() const noexcept { return elements_; }
  /// Euclidean norm of what was checked so far.
  double norm() const noexcept;

 private:
  float value_max_;
  std::uint64_t elements_ = 0;
  double sum_squares_ = 0.0;
};

}  // namespace chorus::server
