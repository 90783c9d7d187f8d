// Sums over all examples met so far.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "chorus/model.hpp"
#include "chorus/plan.hpp"
#include "client/train/loss.hpp"

namespace chorus::train {

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
  double loss() const noexcept { return loss_; }
  /// Nothing when no example was met.
  std::vector<Metric> metrics() const {
    if (examples_ == 0) return {};
    const auto count = static_cast<double>(examples_);
    const Metric loss{"loss", loss_ / count};
    if (kind_ == Loss::softmax_cross_entropy || kind_ == Loss::binary_cross_entropy) {
      return {loss, {"accuracy", correct_ / count}};
    }
    if (kind_ == Loss::cox_partial_likelihood) return {loss};
    return {loss, {"rmse", std::sqrt(squares_ / count)}};
  }

 private:
  Loss kind_;
  double loss_ = 0.0;
  double squares_ = 0.0;
  double correct_ = 0.0;
  std::uint64_t examples_ = 0;
};

}  // namespace chorus::train
