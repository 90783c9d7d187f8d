#include "chorus/client/dataset.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <utility>

#include "common/base/assert.hpp"
#include "common/base/limits.hpp"

namespace chorus::client {
namespace {

// Features of one example; 0: the shape is empty, has a 0, or is beyond limits.
std::uint64_t features_per_example(const std::vector<std::uint64_t>& shape) {
  std::uint64_t product = shape.empty() ? 0 : 1;
  for (const std::uint64_t side : shape) {
    if (__builtin_mul_overflow(product, side, &product)) return 0;
    if (product > limits::kActivationElementsMax) return 0;
  }
  return product;
}

}  // namespace

Dataset::Dataset() : parts_(std::make_shared<const Parts>()) {}

Result<Dataset> Dataset::create(Parts parts) {
  const std::uint64_t per_example = features_per_example(parts.feature_shape);
  if (per_example == 0) {
    return fail(errc::invalid_argument,
                fmt::format("a feature shape of [{}] is impossible; expected 1 to {} features per "
                            "example",
                            fmt::join(parts.feature_shape, ", "),
                            limits::kActivationElementsMax));
  }
  if (parts.labels.empty() && parts.target_count > 0) {
    parts.labels.resize(parts.targets.size() / parts.target_count);
  }
  const std::size_t examples = parts.labels.size();
  if (parts.target_count > limits::kActivationElementsMax ||
      parts.targets.size() != examples * parts.target_count) {
    return fail(errc::shape_mismatch,
                fmt::format("{} examples with {} targets each need {} numbers; there are {}",
                            examples,
                            parts.target_count,
                            examples * parts.target_count,
                            parts.targets.size()));
  }
  if (parts.features.size() / per_example != examples || parts.features.size() % per_example != 0) {
    return fail(errc::shape_mismatch,
                fmt::format("{} labels with {} features each need {} numbers; there are {}",
                            examples,
                            per_example,
                            examples * per_example,
                            parts.features.size()));
  }
  if (examples > std::numeric_limits<std::uint32_t>::max()) {
    return fail(errc::invalid_argument,
                fmt::format("{} examples are more than can be numbered", examples));
  }
  const auto largest = std::max_element(parts.labels.begin(), parts.labels.end());
  if (parts.classes == 0 && largest != parts.labels.end() &&
      *largest != std::numeric_limits<std::uint32_t>::max()) {
    parts.classes = *largest + 1;
  }
  if (largest != parts.labels.end() && *largest >= parts.classes) {
    return fail(errc::invalid_argument,
                fmt::format("example {} has label {}; expected 0 to {}",
                            largest - parts.labels.begin(),
                            *largest,
                            std::int64_t{parts.classes} - 1));
  }
  const auto bad = std::find_if(
      parts.features.begin(), parts.features.end(), [](float x) { return !std::isfinite(x); });
  if (bad != parts.features.end()) {
    const auto position = static_cast<std::uint64_t>(bad - parts.features.begin());
    return fail(errc::not_finite,
                fmt::format("feature {} of example {} is not finite",
                            position % per_example,
                            position / per_example));
  }
  const auto off = std::find_if(
      parts.targets.begin(), parts.targets.end(), [](float x) { return !std::isfinite(x); });
  if (off != parts.targets.end()) {
    const auto position = static_cast<std::uint64_t>(off - parts.targets.begin());
    return fail(errc::not_finite,
                fmt::format("target {} of example {} is not finite",
                            position % parts.target_count,
                            position / parts.target_count));
  }
  Dataset dataset;
  dataset.parts_ = std::make_shared<const Parts>(std::move(parts));
  return dataset;
}

const std::vector<std::uint64_t>& Dataset::feature_shape() const noexcept {
  return parts_->feature_shape;
}

std::size_t Dataset::feature_count() const noexcept {
  return features_per_example(parts_->feature_shape);
}

std::uint32_t Dataset::classes() const noexcept {
  return parts_->classes;
}

std::size_t Dataset::total() const noexcept {
  return parts_->labels.size();
}

std::size_t Dataset::row_of(std::size_t example) const noexcept {
  CHORUS_ASSERT(example < size());
  return rows_ ? (*rows_)[example] : example;
}

std::span<const float> Dataset::features(std::size_t example) const noexcept {
  const std::size_t count = feature_count();
  return std::span<const float>(parts_->features).subspan(row_of(example) * count, count);
}

std::uint32_t Dataset::label(std::size_t example) const noexcept {
  return parts_->labels[row_of(example)];
}

std::size_t Dataset::target_count() const noexcept {
  return parts_->target_count;
}

std::span<const float> Dataset::targets(std::size_t example) const noexcept {
  const std::size_t count = target_count();
  return std::span<const float>(parts_->targets).subspan(row_of(example) * count, count);
}

std::vector<std::uint32_t> Dataset::labels() const {
  std::vector<std::uint32_t> all(size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = label(i);
  return all;
}

Result<Dataset> Dataset::subset(std::span<const std::uint32_t> examples) const {
  auto rows = std::make_shared<std::vector<std::uint32_t>>();
  rows->reserve(examples.size());
  for (const std::uint32_t example : examples) {
    if (example >= size()) {
      return fail(errc::invalid_argument,
                  fmt::format("there is no example {} in a dataset of {}", example, size()));
    }
    rows->push_back(static_cast<std::uint32_t>(row_of(example)));
  }
  Dataset part = *this;
  part.rows_ = std::move(rows);
  return part;
}

}  // namespace chorus::client
