// What every reader of examples checks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "chorus/client/dataset.hpp"
#include "chorus/result.hpp"

namespace chorus::client {

/// Product of the shape. @errors invalid_argument: empty, has a 0, or beyond kActivationElementsMax
Result<std::size_t> features_per_example(const std::vector<std::uint64_t>& shape);

/// @errors invalid_argument: not finite, or a scale of 0
Result<void> check_scales(std::span<const FeatureScale> scales);
/// … and as many as features of this shape take: none, one, one per channel, or one per feature.
/// @pre features_per_example(shape) succeeds
Result<void> check_scales(std::span<const FeatureScale> scales,
                          const std::vector<std::uint64_t>& shape);

/// Place of the first NaN or infinity.
std::optional<std::size_t> first_not_finite(std::span<const float> values);

/// The name of a source, or words in its place.
std::string shown_name(const ExampleFormat& format);

/// What a source gave for these examples: numbers are finite, labels below the classes.
/// @errors not_finite, malformed_file: naming source and example
Result<void> check_rows(const ExampleFormat& format,
                        std::size_t features_each,
                        std::span<const std::uint32_t> examples,
                        const ExampleRows& rows);

}  // namespace chorus::client
