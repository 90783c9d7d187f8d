// One offset and scale from the numbers that share it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "chorus/client/dataset.hpp"

namespace chorus::client {

/// Every number goes through add(), and then, for Normalisation::standard, once more through
/// add_rest(): two passes, because squares of large numbers leave nothing of small differences.
class ScaleFit {
 public:
  void add(double value) {
    smallest_ = std::min(smallest_, value);
    largest_ = std::max(largest_, value);
    sum_ += value;
    count_ += 1.0;
  }
  void add_rest(double value) {
    const double rest = value - sum_ / count_;
    squares_ += rest * rest;
  }

  /// @pre add() was called, and normalisation is not none
  FeatureScale scale(Normalisation normalisation) const {
    // Rounding of the mean must not blow a constant channel up.
    if (smallest_ == largest_) return {smallest_, 1.0};
    if (normalisation == Normalisation::min_max) return {smallest_, largest_ - smallest_};
    return {sum_ / count_, std::sqrt(squares_ / count_)};
  }

 private:
  double smallest_ = HUGE_VAL;
  double largest_ = -HUGE_VAL;
  double sum_ = 0.0;
  double squares_ = 0.0;
  double count_ = 0.0;
};

}  // namespace chorus::client
