#include "server/strategy/next_model.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "chorus/kernels/kernels.hpp"
#include "common/base/try.hpp"

namespace chorus::server {
namespace {

constexpr std::uint64_t kForgetStep = 1ULL << 21U;  ///< parameters: 8 MiB

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
  Finaliser(const Strategy& strategy, const TensorLayout& layout)
      : strategy_(strategy), buffers_(buffers_of(layout)) {}

  void tile(std::uint64_t first, std::span<const float> mean, std::span<float> x) const {
    std::uint64_t at = first;
    const std::uint64_t end = first + x.size();
    const auto part = [&](auto values, std::uint64_t to) {
      return values.subspan(static_cast<std::size_t>(at - first),
                            static_cast<std::size_t>(to - at));
    };
    for (const LaneRange& buffer : buffers_) {
      const std::uint64_t begin = std::clamp(buffer.first, at, end);
      const std::uint64_t past = std::clamp(buffer.first + buffer.count, at, end);
      if (begin > at) strategy_.finalise(part(mean, begin), part(x, begin));
      at = begin;
      if (past > at) kernels::add_scaled_f32(part(x, past), 1.0, part(mean, past), part(x, past));
      at = past;
    }
    if (end > at) strategy_.finalise(part(mean, end), part(x, end));
  }

 private:
  const Strategy& strategy_;
  std::vector<LaneRange> buffers_;
};

}  // namespace

Result<void> write_next_model(const Strategy& strategy,
                              const Lane& lane,
                              const VersionReader& base,
                              VersionWriter& next) {
  const auto most = static_cast<std::size_t>(std::min(Lane::kRunMax, lane.parameters()));
  std::vector<float> tile(most);
  std::vector<float> mean(most);
  const Finaliser finaliser(strategy, base.layout());
  std::uint64_t forgotten = 0;
  for (std::uint64_t at = 0; at < lane.parameters();) {
    const auto length = static_cast<std::size_t>(lane.run(at));
    const std::span<float> x(tile.data(), length);
    CHORUS_OK(base.read_parameters(at, x));
    if (at - forgotten >= kForgetStep) {
      base.forget(at);
      forgotten = at;
    }
    lane.mean(at, std::span(mean).first(length));
    finaliser.tile(at, std::span(mean).first(length), x);
    CHORUS_OK(next.append(x));
    at += length;
  }
  if (lane.parameters() >= kForgetStep) base.forget(lane.parameters());
  return {};
}

}  // namespace chorus::server
