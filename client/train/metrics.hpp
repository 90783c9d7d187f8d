// Measures of a whole data set that no mean over batches gives: AUC, concordance, F1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "chorus/model.hpp"
#include "chorus/plan.hpp"
#include "client/train/loss.hpp"

namespace chorus::train {

/// The probability that a positive has a higher score than a negative, ties half: the area under
/// the receiver operating characteristic. NaN without a positive or a negative.
/// @param positive  as many as scores
double area_under_curve(std::span<const float> scores, const std::vector<bool>& positive);

/// Harrell's concordance index: of the pairs in which one is known to have lived longer, the share
/// in which it has the lower risk; equal risks count half. Of two equal times, one an event and one
/// censored, the censored one lived longer. NaN without such a pair.
/// @param risks     the model's outputs: larger is worse
/// @param survival  f32[n × 2]: time, and 1 for an event or 0 for a censored time
/// @source  Harrell et al. 1982; ties as lifelines.utils.concordance_index has them. O(n log n)
double concordance_index(std::span<const float> risks, std::span<const float> survival);

/// Counts by class, from which F1 follows.
struct ClassCounts {
  std::vector<std::uint64_t> right;      ///< examples of the class that were given it
  std::vector<std::uint64_t> predicted;  ///< examples that were given it
  std::vector<std::uint64_t> actual;     ///< examples of the class
};
/// The mean over classes that occur or were predicted of 2·right / (predicted + actual).
/// @source  sklearn.metrics.f1_score(average="macro"), whose labels are those that occur in either
double macro_f1(const ClassCounts& counts);

/// What evaluation reports beside the sums over batches: keeps scores of the examples met, where
/// the loss has a measure that needs them all.
class Evaluation {
 public:
  Evaluation(const ModelSpec& model, std::size_t outputs);

  /// @param outputs  f32[n × outputs] of a batch
  void add(std::span<const float> outputs, const Targets& targets);
  /// Measures that are defined for what was met; names in docs/models.md.
  std::vector<Metric> metrics() const;

 private:
  void add_classes(std::span<const float> outputs, std::span<const std::uint32_t> labels);

  Loss loss_;
  std::size_t width_;  // scores of a row; classes
  ClassCounts counts_;
  std::uint64_t rows_ = 0;
  std::uint64_t among_five_ = 0;
  std::vector<float> scores_;
  std::vector<float> targets_;
};

}  // namespace chorus::train
