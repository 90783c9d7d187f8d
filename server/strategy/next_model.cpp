#include "server/strategy/next_model.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "chorus/kernels/kernels.hpp"
#include "common/base/try.hpp"

namespace chorus::server {
namespace {

constexpr std::uint64_t kForgetStep = 1ULL << 21U;  ///< parameters: 8 MiB
constexpr std::size_t kTile = 65536;                ///< parameters: stays in the cache

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

}  // namespace

NextModel::NextModel(const Strategy& strategy, const VersionReader& base, VersionWriter& next)
    : strategy_(strategy), base_(base), next_(next), buffers_(buffers_of(base.layout())) {}

Result<void> NextModel::append(std::span<const float> mean) {
  while (!mean.empty()) {
    const auto length = std::min<std::size_t>(mean.size(), kTile);
    tile_.resize(std::max(tile_.size(), length));
    const std::span<float> x(tile_.data(), length);
    CHORUS_OK(base_.read_parameters(at_, x));
    finalise(mean.first(length), x);
    CHORUS_OK(next_.append(x));
    at_ += length;
    mean = mean.subspan(length);
    const bool last = at_ == base_.layout().parameters && at_ >= kForgetStep;
    if (at_ - forgotten_ >= kForgetStep || last) {
      base_.forget(at_);
      forgotten_ = at_;
    }
  }
  return {};
}

// One tile, cut where buffers begin and end.
void NextModel::finalise(std::span<const float> mean, std::span<float> x) const {
  std::uint64_t at = at_;
  const std::uint64_t end = at_ + x.size();
  const auto part = [&](auto values, std::uint64_t to) {
    return values.subspan(static_cast<std::size_t>(at - at_), static_cast<std::size_t>(to - at));
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

Result<void> append_mean(const Lane& lane, NextModel& next, const OnMean& on_mean) {
  std::vector<float> mean(static_cast<std::size_t>(std::min(Lane::kRunMax, lane.parameters())));
  for (std::uint64_t at = 0; at < lane.parameters();) {
    const auto run = std::span(mean).first(static_cast<std::size_t>(lane.run(at)));
    lane.mean(at, run);
    if (on_mean) CHORUS_OK(on_mean(run));
    CHORUS_OK(next.append(run));
    at += run.size();
  }
  return {};
}

}  // namespace chorus::server
