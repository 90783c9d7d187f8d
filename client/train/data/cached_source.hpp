// Features that stay in memory once they were read, as far as there is room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "chorus/client/dataset.hpp"

namespace chorus::client {

/// What came first stays: a shuffled pass meets every example once, so that throwing out the oldest
/// would throw out what the next pass is about to ask for.
class CachedSource final : public ExampleSource {
 public:
  CachedSource(Dataset data, std::uint64_t bytes_max);

  ExampleFormat format() const override;
  std::size_t size() const override { return data_.size(); }
  Result<void> read(std::span<const std::uint32_t> examples,
                    const ExampleRows& into) const override;

 private:
  const float* kept(std::uint32_t example) const;
  void keep(std::uint32_t example, std::span<const float> features) const;

  Dataset data_;
  std::size_t rows_max_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<float[]>> rows_;  // by example; null: not kept
  mutable std::size_t rows_kept_ = 0;
};

}  // namespace chorus::client
