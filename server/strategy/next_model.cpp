#include "server/strategy/next_model.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "common/base/try.hpp"
#include "server/strategy/mean_step.hpp"

namespace chorus::server {
namespace {

constexpr std::uint64_t kTile = 65536;             ///< parameters; stays in the second-level cache
constexpr std::uint64_t kForgetStep = 32 * kTile;  ///< 8 MiB

/// Neighbouring buffers are one run.
std::vector<LaneRange> buffers_of(const TensorLayout& layout) {
  std::vector<LaneRange> runs;
  for (const TensorSpec& tensor : layout.tensors) {
    if (!tensor.buffer) continue;
    if (!runs.empty() && runs.back().first + runs.back().count == tensor.offset) {
      runs.back().count += tensor.count;
    } else {
      runs.push_back({tensor.offset, tensor.count});
    }
  }
  return runs;
}

/// One tile, cut where buffers begin and end.
class Finaliser {
 public:
  Finaliser(const Strategy& strategy, const Lane& lane, const TensorLayout& layout)
      : strategy_(strategy), lane_(lane), buffers_(buffers_of(layout)) {}

  void tile(std::uint64_t first, std::span<float> x) const {
    std::uint64_t at = first;
    const std::uint64_t end = first + x.size();
    const auto part = [&](std::uint64_t to) {
      return x.subspan(static_cast<std::size_t>(at - first), static_cast<std::size_t>(to - at));
    };
    for (const LaneRange& buffer : buffers_) {
      const std::uint64_t begin = std::clamp(buffer.first, at, end);
      const std::uint64_t past = std::clamp(buffer.first + buffer.count, at, end);
      if (begin > at) strategy_.finalise(lane_, at, part(begin));
      at = begin;
      if (past > at) step_along_mean(lane_, at, 1.0, part(past));
      at = past;
    }
    if (end > at) strategy_.finalise(lane_, at, part(end));
  }

 private:
  const Strategy& strategy_;
  const Lane& lane_;
  std::vector<LaneRange> buffers_;
};

}  // namespace

Result<void> write_next_model(const Strategy& strategy,
                              const Lane& lane,
                              const VersionReader& base,
                              VersionWriter& next) {
  std::vector<float> tile(std::min(kTile, lane.parameters()));
  const Finaliser finaliser(strategy, lane, base.layout());
  for (std::uint64_t at = 0; at < lane.parameters(); at += kTile) {
    const auto length = static_cast<std::size_t>(std::min(kTile, lane.parameters() - at));
    const std::span<float> x(tile.data(), length);
    CHORUS_OK(base.read_parameters(at, x));
    if (at > 0 && at % kForgetStep == 0) base.forget(at);
    finaliser.tile(at, x);
    CHORUS_OK(next.append(x));
  }
  if (lane.parameters() >= kForgetStep) base.forget(lane.parameters());
  return {};
}

}  // namespace chorus::server
