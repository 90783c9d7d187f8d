#include "client/train/data/cached_source.hpp"

#include <algorithm>
#include <limits>

#include "common/base/try.hpp"

namespace chorus::client {

CachedSource::CachedSource(Dataset data, std::uint64_t bytes_max)
    : data_(std::move(data)),
      rows_max_(static_cast<std::size_t>(std::min<std::uint64_t>(
          bytes_max / sizeof(float) / data_.feature_count(), data_.size()))),
      rows_(data_.size()) {}

ExampleFormat CachedSource::format() const {
  return {
      data_.feature_shape(), data_.classes(), data_.target_count(), data_.name(), data_.scales()};
}

// What is kept is never changed or given up: only finding it needs the lock.
const float* CachedSource::kept(std::uint32_t example) const {
  const std::lock_guard lock(mutex_);
  return rows_[example].get();
}

void CachedSource::keep(std::uint32_t example, std::span<const float> features) const {
  const std::lock_guard lock(mutex_);
  if (rows_kept_ == rows_max_ || rows_[example] != nullptr) return;
  auto row = std::make_unique_for_overwrite<float[]>(features.size());
  std::copy(features.begin(), features.end(), row.get());
  rows_[example] = std::move(row);
  ++rows_kept_;
}

Result<void> CachedSource::read(std::span<const std::uint32_t> examples,
                                const ExampleRows& into) const {
  CHORUS_OK(data_.read(examples, {{}, into.labels, into.targets}));
  if (into.features.empty()) return {};
  const std::size_t width = data_.feature_count();
  for (std::size_t i = 0; i < examples.size(); ++i) {
    const auto row = into.features.subspan(i * width, width);
    if (const float* const found = kept(examples[i])) {
      std::copy_n(found, width, row.begin());
      continue;
    }
    CHORUS_OK(data_.read(examples.subspan(i, 1), {row, {}, {}}));
    keep(examples[i], row);
  }
  return {};
}

}  // namespace chorus::client
