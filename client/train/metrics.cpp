#include "client/train/metrics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "common/base/assert.hpp"

namespace chorus::train {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kTop = 5;

std::vector<std::size_t> order_by(std::span<const float> keys) {
  std::vector<std::size_t> order(keys.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [keys](std::size_t a, std::size_t b) {
    return keys[a] < keys[b];
  });
  return order;
}

/// Equal keys have equal ranks, from 1.
std::vector<std::size_t> ranks_of(std::span<const float> keys) {
  std::vector<std::size_t> ranks(keys.size());
  std::size_t rank = 0;
  const auto order = order_by(keys);
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || keys[order[i]] != keys[order[i - 1]]) ++rank;
    ranks[order[i]] = rank;
  }
  return ranks;
}

/// How many were added of each rank, with sums over the ranks up to one (a Fenwick tree).
class Counts {
 public:
  explicit Counts(std::size_t ranks) : tree_(ranks + 1) {}
  void add(std::size_t rank) {
    for (; rank < tree_.size(); rank += rank & (~rank + 1)) ++tree_[rank];
  }
  std::uint64_t up_to(std::size_t rank) const {
    std::uint64_t sum = 0;
    for (; rank > 0; rank -= rank & (~rank + 1)) sum += tree_[rank];
    return sum;
  }

 private:
  std::vector<std::uint64_t> tree_;
};

}  // namespace

double area_under_curve(std::span<const float> scores, const std::vector<bool>& positive) {
  CHORUS_ASSERT(scores.size() == positive.size());
  const auto ranks = ranks_of(scores);
  Counts negatives(scores.size());
  std::uint64_t below = 0;  // negatives in all
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (positive[i]) continue;
    negatives.add(ranks[i]);
    ++below;
  }
  const std::uint64_t above = scores.size() - below;
  if (above == 0 || below == 0) return kUndefined;
  double pairs = 0.0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (!positive[i]) continue;
    const auto lower = static_cast<double>(negatives.up_to(ranks[i] - 1));
    pairs += lower + 0.5 * (static_cast<double>(negatives.up_to(ranks[i])) - lower);
  }
  return pairs / (static_cast<double>(above) * static_cast<double>(below));
}

// Walks from the longest time to the shortest; whoever was met before lived longer.
double concordance_index(std::span<const float> risks, std::span<const float> survival) {
  CHORUS_ASSERT(survival.size() == 2 * risks.size());
  std::vector<float> times(risks.size());
  for (std::size_t i = 0; i < times.size(); ++i) times[i] = survival[2 * i];
  const auto ranks = ranks_of(risks);
  const auto order = order_by(times);
  Counts longer(risks.size());
  double pairs = 0.0;
  double right = 0.0;
  std::uint64_t met = 0;
  for (std::size_t last = order.size(); last > 0;) {
    std::size_t first = last;  // of the run of equal times
    while (first > 0 && times[order[first - 1]] == times[order[last - 1]]) --first;
    const auto event = [&](std::size_t place) { return survival[2 * order[place] + 1] > 0.5F; };
    for (std::size_t i = first; i < last; ++i) {
      if (event(i)) continue;
      longer.add(ranks[order[i]]);
      ++met;
    }
    for (std::size_t i = first; i < last; ++i) {
      if (!event(i)) continue;
      const std::size_t rank = ranks[order[i]];
      const auto lower = static_cast<double>(longer.up_to(rank - 1));
      pairs += static_cast<double>(met);
      right += lower + 0.5 * (static_cast<double>(longer.up_to(rank)) - lower);
    }
    for (std::size_t i = first; i < last; ++i) {
      if (!event(i)) continue;
      longer.add(ranks[order[i]]);
      ++met;
    }
    last = first;
  }
  return pairs > 0.0 ? right / pairs : kUndefined;
}

double macro_f1(const ClassCounts& counts) {
  double sum = 0.0;
  std::size_t classes = 0;
  for (std::size_t c = 0; c < counts.actual.size(); ++c) {
    const std::uint64_t both = counts.predicted[c] + counts.actual[c];
    if (both == 0) continue;
    sum += 2.0 * static_cast<double>(counts.right[c]) / static_cast<double>(both);
    ++classes;
  }
  return classes > 0 ? sum / static_cast<double>(classes) : kUndefined;
}

Evaluation::Evaluation(const ModelSpec& model, std::size_t outputs)
    : loss_(model.loss), width_(outputs) {
  if (loss_ != Loss::softmax_cross_entropy) return;
  counts_.right.resize(width_);
  counts_.predicted.resize(width_);
  counts_.actual.resize(width_);
}

void Evaluation::add(std::span<const float> outputs, const Targets& targets) {
  if (loss_ == Loss::softmax_cross_entropy) return add_classes(outputs, targets.labels);
  const bool binary = loss_ == Loss::binary_cross_entropy && width_ == 1;
  if (!binary && loss_ != Loss::cox_partial_likelihood) return;
  scores_.insert(scores_.end(), outputs.begin(), outputs.end());
  targets_.insert(targets_.end(), targets.values.begin(), targets.values.end());
}

void Evaluation::add_classes(std::span<const float> outputs,
                             std::span<const std::uint32_t> labels) {
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = outputs.subspan(i * width_, width_);
    const std::size_t best = position_of_largest(row);
    const std::size_t label = labels[i];
    ++counts_.predicted[best];
    ++counts_.actual[label];
    if (best == label) ++counts_.right[label];
    const auto better = std::count_if(
        row.begin(), row.end(), [score = row[label]](float other) { return other > score; });
    if (static_cast<std::size_t>(better) < kTop) ++among_five_;
    ++rows_;
  }
}

std::vector<Metric> Evaluation::metrics() const {
  std::vector<Metric> found;
  const auto report = [&found](const char* name, double value) {
    if (!std::isnan(value)) found.push_back({name, value});
  };
  switch (loss_) {
    case Loss::softmax_cross_entropy:
      report("f1", macro_f1(counts_));
      if (width_ > kTop && rows_ > 0) {
        report("top_5", static_cast<double>(among_five_) / static_cast<double>(rows_));
      }
      break;
    case Loss::binary_cross_entropy: {
      if (width_ != 1) break;
      std::vector<bool> positive(targets_.size());
      for (std::size_t i = 0; i < positive.size(); ++i) positive[i] = targets_[i] > 0.5F;
      report("auc", area_under_curve(scores_, positive));
      break;
    }
    case Loss::cox_partial_likelihood:
      report("c_index", concordance_index(scores_, targets_));
      break;
    default:
      break;
  }
  return found;
}

}  // namespace chorus::train
