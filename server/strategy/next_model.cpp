#include "server/strategy/next_model.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "common/base/try.hpp"

namespace chorus::server {
namespace {

constexpr std::uint64_t kTile = 65536;             ///< parameters; stays in the second-level cache
constexpr std::uint64_t kForgetStep = 32 * kTile;  ///< 8 MiB

}  // namespace

Result<void> write_next_model(const Strategy& strategy,
                              const Lane& lane,
                              const VersionReader& base,
                              VersionWriter& next) {
  std::vector<float> tile(std::min(kTile, lane.parameters()));
  for (std::uint64_t at = 0; at < lane.parameters(); at += kTile) {
    const auto length = static_cast<std::size_t>(std::min(kTile, lane.parameters() - at));
    const std::span<float> x(tile.data(), length);
    CHORUS_OK(base.read_parameters(at, x));
    if (at > 0 && at % kForgetStep == 0) base.forget(at);
    strategy.finalise(lane, at, x);
    CHORUS_OK(next.append(x));
  }
  if (lane.parameters() >= kForgetStep) base.forget(lane.parameters());
  return {};
}

}  // namespace chorus::server
