// Examples in memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

#include "chorus/client/dataset.hpp"

namespace chorus::client {

class MemorySource final : public ExampleSource {
 public:
  /// @pre features, labels (or none) and targets fit, and classes is set
  explicit MemorySource(Dataset::Parts parts) : parts_(std::move(parts)) {
    for (const std::uint64_t side : parts_.feature_shape) each_ *= side;
  }

  ExampleFormat format() const override {
    return {parts_.feature_shape, parts_.classes, parts_.target_count, "", parts_.scales};
  }
  std::size_t size() const override { return parts_.features.size() / each_; }

  Result<void> read(std::span<const std::uint32_t> examples,
                    const ExampleRows& into) const override {
    gather(parts_.features, each_, examples, into.features);
    gather(parts_.labels, 1, examples, into.labels);
    gather(parts_.targets, parts_.target_count, examples, into.targets);
    return {};
  }

 private:
  template <class T>
  static void gather(const std::vector<T>& from,
                     std::size_t width,
                     std::span<const std::uint32_t> rows,
                     std::span<T> into) {
    if (into.empty()) return;
    T* to = into.data();
    for (const std::uint32_t row : rows) to = std::copy_n(from.data() + row * width, width, to);
  }

  Dataset::Parts parts_;
  std::size_t each_ = 1;
};

}  // namespace chorus::client
