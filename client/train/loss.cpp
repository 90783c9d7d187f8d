#include "client/train/loss.hpp"

#include <cmath>
#include <vector>

#include "common/base/assert.hpp"

namespace chorus::train {
namespace {

std::size_t position_of_largest(std::span<const float> row) {
  std::size_t best = 0;
  for (std::size_t c = 1; c < row.size(); ++c) {
    if (row[c] > row[best]) best = c;
  }
  return best;
}

}  // namespace

BatchResult softmax_cross_entropy(std::span<const float> outputs,
                                  std::span<const std::uint32_t> labels,
                                  std::size_t classes,
                                  std::span<float> gradient) {
  CHORUS_ASSERT(outputs.size() == labels.size() * classes);
  CHORUS_ASSERT(gradient.empty() || gradient.size() == outputs.size());
  BatchResult result;
  std::vector<double> exponentials(classes);
  const double scale = 1.0 / static_cast<double>(labels.size());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = outputs.subspan(i * classes, classes);
    const std::size_t label = labels[i];
    CHORUS_ASSERT(label < classes);
    const std::size_t best = position_of_largest(row);
    const double top = row[best];
    double sum = 0.0;  // a NaN in the row ends up here, and in the loss
    for (std::size_t c = 0; c < classes; ++c) {
      exponentials[c] = std::exp(double{row[c]} - top);
      sum += exponentials[c];
    }
    result.loss += std::log(sum) + top - double{row[label]};
    if (best == label) ++result.correct;
    if (gradient.empty()) continue;
    const auto slopes = gradient.subspan(i * classes, classes);
    for (std::size_t c = 0; c < classes; ++c) {
      slopes[c] = static_cast<float>((exponentials[c] / sum - (c == label ? 1.0 : 0.0)) * scale);
    }
  }
  return result;
}

}  // namespace chorus::train
