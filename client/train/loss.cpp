#include "client/train/loss.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "common/base/assert.hpp"

namespace chorus::train {
namespace {

// What the loss adds to the gradient is scaled by 1 / Σ weights of the labels, as PyTorch does.
struct ClassWeights {
  std::span<const float> weights;  // empty: all 1

  double of(std::size_t c) const { return weights.empty() ? 1.0 : double{weights[c]}; }
  double sum(std::size_t classes) const {
    double all = 0.0;
    for (std::size_t c = 0; c < classes; ++c) all += of(c);
    return all;
  }
  double of_labels(std::span<const std::uint32_t> labels) const {
    double all = 0.0;
    for (const std::uint32_t label : labels) all += of(label);
    return all;
  }
};

// −(1 − ε)·w_y·log p_y − ε/C·Σ_c w_c·log p_c, with log p_c = z_c − top − log Σ exp(z − top)
BatchResult softmax_cross_entropy(const LossOptions& options,
                                  std::span<const float> outputs,
                                  std::size_t classes,
                                  std::span<const std::uint32_t> labels,
                                  std::span<float> gradient) {
  BatchResult result;
  const ClassWeights weights{options.class_weights};
  const double whole = weights.sum(classes);
  const double label_weight = weights.of_labels(labels);
  // Examples of classes without weight alone: there is nothing to learn from.
  const double scale = label_weight > 0.0 ? 1.0 / label_weight : 0.0;
  const double smooth = options.label_smoothing / static_cast<double>(classes);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = outputs.subspan(i * classes, classes);
    const std::size_t label = labels[i];
    CHORUS_ASSERT(label < classes);
    const std::size_t best = position_of_largest(row);
    const double top = row[best];
    double sum = 0.0;  // a NaN in the row ends up here, and in the loss
    for (std::size_t c = 0; c < classes; ++c) sum += std::exp(double{row[c]} - top);
    const double log_sum = std::log(sum) + top;
    const double hard = (1.0 - options.label_smoothing) * weights.of(label);
    double loss = hard * (log_sum - double{row[label]});
    if (smooth > 0.0) {
      for (std::size_t c = 0; c < classes; ++c) {
        loss += smooth * weights.of(c) * (log_sum - double{row[c]});
      }
    }
    result.loss += loss;
    if (best == label) result.correct += 1.0;
    if (gradient.empty()) continue;
    const auto slopes = gradient.subspan(i * classes, classes);
    for (std::size_t c = 0; c < classes; ++c) {
      const double p = std::exp(double{row[c]} - top) / sum;
      const double slope =
          hard * (p - (c == label ? 1.0 : 0.0)) + smooth * (whole * p - weights.of(c));
      slopes[c] = static_cast<float>(slope * scale);
    }
  }
  result.loss *= scale * static_cast<double>(labels.size());
  return result;
}

// log(exp a + exp b), whatever their size.
double log_add(double a, double b) {
  const double top = std::max(a, b);
  if (top == -std::numeric_limits<double>::infinity()) return top;
  return top + std::log(std::exp(a - top) + std::exp(b - top));
}

// Examples whose times are equal, from one place of an order to before another.
struct Run {
  std::size_t first;
  std::size_t end;
  double log_sum;  // of the exponentials of those who are still there
  double events;
};

// Breslow's form: −1/E·Σ_{i ended} (z_i − log Σ_{t_j ≥ t_i} exp z_j), E the number that ended. From
// the longest time to the shortest, so that the sum over those still there grows.
BatchResult cox_partial_likelihood(std::span<const float> risks,
                                   std::span<const float> survival,
                                   std::span<float> gradient) {
  constexpr double kNothing = -std::numeric_limits<double>::infinity();
  std::vector<std::size_t> order(risks.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto time = [survival](std::size_t i) { return survival[2 * i]; };
  const auto ended = [survival](std::size_t i) { return survival[2 * i + 1] > 0.5F; };
  std::stable_sort(
      order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return time(a) > time(b); });
  BatchResult result;
  std::vector<Run> runs;
  double log_sum = kNothing;
  double events = 0.0;
  for (std::size_t first = 0; first < order.size(); first = runs.back().end) {
    Run run{first, first, 0.0, 0.0};
    for (; run.end < order.size() && time(order[run.end]) == time(order[first]); ++run.end) {
      log_sum = log_add(log_sum, risks[order[run.end]]);
      if (ended(order[run.end])) run.events += 1.0;
    }
    run.log_sum = log_sum;
    for (std::size_t k = first; k < run.end; ++k) {
      if (ended(order[k])) result.loss += log_sum - double{risks[order[k]]};
    }
    events += run.events;
    runs.push_back(run);
  }
  std::fill(gradient.begin(), gradient.end(), 0.0F);
  if (events == 0.0) return {};
  result.loss *= static_cast<double>(risks.size()) / events;
  if (gradient.empty()) return result;
  double log_hazard = kNothing;  // of Σ events / sum, over the runs that are not longer
  for (auto run = runs.rbegin(); run != runs.rend(); ++run) {
    log_hazard = log_add(log_hazard, std::log(run->events) - run->log_sum);
    for (std::size_t k = run->first; k < run->end; ++k) {
      const std::size_t i = order[k];
      const double share = std::exp(double{risks[i]} + log_hazard);
      gradient[i] = static_cast<float>((share - (ended(i) ? 1.0 : 0.0)) / events);
    }
  }
  return result;
}

struct Term {
  double loss;
  double slope;
};

// max(z, 0) − z·t + log(1 + exp(−|z|))
Term logistic(double z, double t) {
  const double loss = std::max(z, 0.0) - z * t + std::log1p(std::exp(-std::abs(z)));
  return {loss, 1.0 / (1.0 + std::exp(-z)) - t};
}

Term regression(Loss loss, double delta, double error) {
  const double size = std::abs(error);
  const double sign = error > 0.0 ? 1.0 : error < 0.0 ? -1.0 : 0.0;
  switch (loss) {
    case Loss::mean_squared_error:
      return {error * error, 2.0 * error};
    case Loss::mean_absolute_error:
      return {size, sign};
    default:  // Huber
      if (size <= delta) return {0.5 * error * error, error};
      return {delta * (size - 0.5 * delta), std::isnan(error) ? error : delta * sign};
  }
}

// log softmax(x / temperature) over all places but `skipped`.
void log_softmax(std::span<const float> x,
                 double temperature,
                 std::size_t skipped,
                 std::span<double> out) {
  double top = -std::numeric_limits<double>::infinity();
  for (std::size_t c = 0; c < x.size(); ++c) {
    out[c] = double{x[c]} / temperature;
    if (c != skipped) top = std::max(top, out[c]);
  }
  double sum = 0.0;
  for (std::size_t c = 0; c < x.size(); ++c) {
    if (c != skipped) sum += std::exp(out[c] - top);
  }
  const double shift = top + std::log(sum);
  for (double& value : out) value -= shift;
}

}  // namespace

double distil(const Distillation& how,
              std::span<const float> outputs,
              std::span<const float> teacher,
              std::span<const std::uint32_t> labels,
              std::span<float> gradient) {
  const std::size_t classes = outputs.size() / labels.size();
  const double t = how.temperature;
  const double rows = static_cast<double>(labels.size());
  std::vector<double> log_p(classes);
  std::vector<double> log_q(classes);
  double sum = 0.0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::size_t skipped = how.not_true ? labels[i] : classes;
    log_softmax(teacher.subspan(i * classes, classes), t, skipped, log_p);
    log_softmax(outputs.subspan(i * classes, classes), t, skipped, log_q);
    for (std::size_t c = 0; c < classes; ++c) {
      if (c == skipped) continue;
      const double p = std::exp(log_p[c]);
      sum += p * (log_p[c] - log_q[c]);
      const double slope = how.weight * t * (std::exp(log_q[c]) - p) / rows;
      gradient[i * classes + c] += static_cast<float>(slope);
    }
  }
  return how.weight * t * t * sum / rows;
}

std::size_t position_of_largest(std::span<const float> row) noexcept {
  return static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

BatchResult loss_of(Loss loss,
                    const LossOptions& options,
                    std::span<const float> outputs,
                    std::size_t width,
                    const Targets& targets,
                    std::span<float> gradient) {
  CHORUS_ASSERT(gradient.empty() || gradient.size() == outputs.size());
  if (loss == Loss::softmax_cross_entropy) {
    CHORUS_ASSERT(outputs.size() == targets.labels.size() * width);
    return softmax_cross_entropy(options, outputs, width, targets.labels, gradient);
  }
  if (loss == Loss::cox_partial_likelihood) {
    CHORUS_ASSERT(width == 1 && 2 * outputs.size() == targets.values.size());
    return cox_partial_likelihood(outputs, targets.values, gradient);
  }
  CHORUS_ASSERT(outputs.size() == targets.values.size());
  BatchResult result;
  const bool binary = loss == Loss::binary_cross_entropy;
  const double scale = 1.0 / static_cast<double>(outputs.size());
  for (std::size_t first = 0; first < outputs.size(); first += width) {
    std::size_t right = 0;
    for (std::size_t i = first; i < first + width; ++i) {
      const double z = outputs[i];
      const double t = targets.values[i];
      const Term term = binary ? logistic(z, t) : regression(loss, options.huber_delta, z - t);
      const double error = binary ? term.slope : z - t;
      result.loss += term.loss / static_cast<double>(width);
      result.squares += error * error / static_cast<double>(width);
      if ((z > 0.0) == (t > 0.5)) ++right;
      if (!gradient.empty()) gradient[i] = static_cast<float>(term.slope * scale);
    }
    if (right == width) result.correct += 1.0;
  }
  return result;
}

}  // namespace chorus::train
