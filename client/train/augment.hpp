// Augmentation of a batch's features.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "chorus/client/augmentation.hpp"
#include "chorus/result.hpp"

namespace chorus::train {

/// @errors unsupported_feature: crop or flip of examples that are no pictures; invalid_argument:
/// the
///         noise, or more padding than the picture has pixels
Result<void> check_augmentation(const client::Augmentation& augmentation,
                                const std::vector<std::uint64_t>& feature_shape);

/// One pass over the training examples. Used by one thread at a time.
class Augmenter {
 public:
  /// @pre check_augmentation(augmentation, feature_shape)
  Augmenter(const client::Augmentation& augmentation,
            const std::vector<std::uint64_t>& feature_shape,
            std::uint64_t seed);

  void begin_pass(std::uint64_t number);

  /// @param features  f32[examples × product(feature_shape)]
  void apply(std::span<const std::uint32_t> examples, std::span<float> features);

 private:
  void crop(std::span<float> picture, std::size_t down, std::size_t right);
  void flip(std::span<float> picture) const;

  client::Augmentation augmentation_;
  std::size_t height_ = 0;
  std::size_t width_ = 0;
  std::uint64_t seed_;
  std::uint64_t pass_ = 0;
  std::vector<float> plane_;  // of one channel, as it was
};

}  // namespace chorus::train
