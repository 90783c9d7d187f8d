#include "client/train/augment.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <string>
#include <string_view>

#include "common/base/rng.hpp"

namespace chorus::train {

Result<void> check_augmentation(const client::Augmentation& augmentation,
                                const std::vector<std::uint64_t>& feature_shape) {
  if (!(augmentation.noise >= 0.0) || !std::isfinite(augmentation.noise)) {
    return fail(errc::invalid_argument,
                fmt::format("the augmentation's noise is {}; expected a number from 0",
                            augmentation.noise));
  }
  if (augmentation.crop_padding == 0 && !augmentation.flip) return {};
  if (feature_shape.size() != 3) {
    return fail(errc::unsupported_feature,
                fmt::format("augmentation by crop or flip expects examples of channels x height x "
                            "width; those here are {}",
                            fmt::join(feature_shape, "x")));
  }
  const std::uint64_t least = std::min(feature_shape[1], feature_shape[2]);
  if (augmentation.crop_padding <= least) return {};
  return fail(errc::invalid_argument,
              fmt::format("the augmentation's crop_padding is {}; pictures of {} expect at most {}",
                          augmentation.crop_padding,
                          fmt::join(feature_shape, "x"),
                          least));
}

Augmenter::Augmenter(const client::Augmentation& augmentation,
                     const std::vector<std::uint64_t>& feature_shape,
                     std::uint64_t seed)
    : augmentation_(augmentation), seed_(seed) {
  if (feature_shape.size() != 3) return;
  height_ = feature_shape[1];
  width_ = feature_shape[2];
  plane_.resize(height_ * width_);
}

void Augmenter::begin_pass(std::uint64_t number) {
  pass_ = number;
}

void Augmenter::apply(std::span<const std::uint32_t> examples, std::span<float> features) {
  const std::size_t each = features.size() / examples.size();
  const std::string pass = std::to_string(pass_);
  for (std::size_t i = 0; i < examples.size(); ++i) {
    const std::string example = std::to_string(examples[i]);
    const std::string_view purpose[] = {"augment", pass, example};
    Rng rng(stream_key(seed_, purpose));
    const std::span<float> one = features.subspan(i * each, each);
    if (const std::uint32_t padding = augmentation_.crop_padding; padding > 0) {
      const std::size_t down = rng.below(2ULL * padding + 1);
      const std::size_t right = rng.below(2ULL * padding + 1);
      crop(one, down, right);
    }
    if (augmentation_.flip && rng.below(2) == 1) flip(one);
    if (augmentation_.noise == 0.0) continue;
    for (float& value : one) {
      value = static_cast<float>(double{value} + augmentation_.noise * rng.normal());
    }
  }
}

// Pixel (y, x) becomes the one that was at (y + down − padding, x + right − padding).
void Augmenter::crop(std::span<float> picture, std::size_t down, std::size_t right) {
  const auto padding = static_cast<std::ptrdiff_t>(augmentation_.crop_padding);
  const std::ptrdiff_t dy = static_cast<std::ptrdiff_t>(down) - padding;
  const std::ptrdiff_t dx = static_cast<std::ptrdiff_t>(right) - padding;
  const auto height = static_cast<std::ptrdiff_t>(height_);
  const auto width = static_cast<std::ptrdiff_t>(width_);
  const std::ptrdiff_t x_first = std::max<std::ptrdiff_t>(0, -dx);
  const std::ptrdiff_t x_end = std::min(width, width - dx);
  for (std::size_t first = 0; first < picture.size(); first += plane_.size()) {
    const auto channel = picture.subspan(first, plane_.size());
    std::copy(channel.begin(), channel.end(), plane_.begin());
    std::fill(channel.begin(), channel.end(), 0.0F);
    for (std::ptrdiff_t y = std::max<std::ptrdiff_t>(0, -dy); y < std::min(height, height - dy);
         ++y) {
      const auto from = plane_.begin() + (y + dy) * width;
      if (x_first < x_end) {
        std::copy(from + x_first + dx, from + x_end + dx, channel.begin() + y * width + x_first);
      }
    }
  }
}

void Augmenter::flip(std::span<float> picture) const {
  for (std::size_t row = 0; row < picture.size(); row += width_) {
    std::reverse(picture.begin() + static_cast<std::ptrdiff_t>(row),
                 picture.begin() + static_cast<std::ptrdiff_t>(row + width_));
  }
}

}  // namespace chorus::train
