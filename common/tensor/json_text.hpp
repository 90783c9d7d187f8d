// JSON from outside, parsed without surprises: bounded depth and size, no duplicate keys.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>

#include "chorus/result.hpp"

namespace chorus::tensor {

struct JsonLimits {
  std::size_t depth_max = 8;
  std::size_t values_max = 100'000;  ///< objects, arrays and scalars together
};

/// The document. nlohmann::json alone keeps the last of two equal keys and has no limits.
/// @errors malformed_file, with the byte where it went wrong
Result<nlohmann::json> parse_json(std::string_view text, const JsonLimits& limits);

}  // namespace chorus::tensor
