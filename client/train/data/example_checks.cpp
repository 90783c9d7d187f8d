#include "client/train/data/example_checks.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <fmt/format.h>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"

namespace chorus::client {

Result<std::size_t> features_per_example(const std::vector<std::uint64_t>& shape) {
  std::uint64_t product = shape.empty() ? 0 : 1;
  for (const std::uint64_t side : shape) {
    if (__builtin_mul_overflow(product, side, &product)) product = 0;
    if (product > limits::kActivationElementsMax) product = 0;
    if (product == 0) break;
  }
  if (product > 0) return static_cast<std::size_t>(product);
  return fail(errc::invalid_argument,
              fmt::format("a feature shape of [{}] is impossible; expected 1 to {} features per "
                          "example",
                          fmt::join(shape, ", "),
                          limits::kActivationElementsMax));
}

Result<void> check_scales(std::span<const FeatureScale> scales) {
  for (const FeatureScale& scale : scales) {
    if (std::isfinite(scale.offset) && std::isfinite(scale.scale) && scale.scale != 0.0) continue;
    return fail(errc::invalid_argument,
                fmt::format("scales hold offset {} and scale {}; expected numbers, and no scale 0",
                            scale.offset,
                            scale.scale));
  }
  return {};
}

Result<void> check_scales(std::span<const FeatureScale> scales,
                          const std::vector<std::uint64_t>& shape) {
  CHORUS_OK(check_scales(scales));
  CHORUS_TRY(const std::size_t width, features_per_example(shape));
  if (scales.size() <= 1 || scales.size() == shape[0] || scales.size() == width) return {};
  return fail(errc::invalid_argument,
              fmt::format("there are {} scales; expected 1, {} (one per channel) or {} (one per "
                          "feature)",
                          scales.size(),
                          shape[0],
                          width));
}

std::optional<std::size_t> first_not_finite(std::span<const float> values) {
  // Every batch of a streamed dataset comes this way: without a branch, so that it is vectors.
  constexpr std::uint32_t kExponent = 0x7F80'0000;
  std::uint32_t bad = 0;
  for (const float value : values) {
    bad |=
        static_cast<std::uint32_t>((std::bit_cast<std::uint32_t>(value) & kExponent) == kExponent);
  }
  if (bad == 0) return std::nullopt;
  const auto found =
      std::find_if(values.begin(), values.end(), [](float x) { return !std::isfinite(x); });
  return static_cast<std::size_t>(found - values.begin());
}

std::string shown_name(const ExampleFormat& format) {
  return format.name.empty() ? "the examples' source" : format.name;
}

Result<void> check_rows(const ExampleFormat& format,
                        std::size_t features_each,
                        std::span<const std::uint32_t> examples,
                        const ExampleRows& rows) {
  if (const auto bad = first_not_finite(rows.features)) {
    return fail(errc::not_finite,
                fmt::format("{}: feature {} of example {} is {}; expected a finite number",
                            shown_name(format),
                            *bad % features_each,
                            examples[*bad / features_each],
                            rows.features[*bad]));
  }
  if (const auto bad = first_not_finite(rows.targets)) {
    return fail(errc::not_finite,
                fmt::format("{}: target {} of example {} is {}; expected a finite number",
                            shown_name(format),
                            *bad % format.target_count,
                            examples[*bad / format.target_count],
                            rows.targets[*bad]));
  }
  for (std::size_t i = 0; i < rows.labels.size(); ++i) {
    if (rows.labels[i] < format.classes) continue;
    return fail(errc::malformed_file,
                fmt::format("{}: example {} has label {}; expected 0 to {}",
                            shown_name(format),
                            examples[i],
                            rows.labels[i],
                            format.classes - 1));
  }
  return {};
}

}  // namespace chorus::client
