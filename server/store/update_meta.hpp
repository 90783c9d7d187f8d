// What the server knows of one offered update besides its body.
#pragma once

#include <cstdint>
#include <vector>

#include "chorus/plan.hpp"
#include "common/base/types.hpp"

namespace chorus::server {

struct UpdateMeta {
  ClientId client;
  std::uint64_t bytes = 0;  ///< body length
  BodyDigest digest;
  Sha256 base;  ///< version the device trained from
  Examples examples;
  std::uint64_t steps = 0;
  double seconds = 0.0;
  std::vector<Metric> metrics;

  bool operator==(const UpdateMeta&) const = default;
};

}  // namespace chorus::server
