#include "server/update/lane.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <string>
#include <utility>

#include "chorus/kernels/kernels.hpp"
#include "common/base/assert.hpp"
#include "common/base/try.hpp"

namespace chorus::server {
namespace {

static_assert(std::endian::native == std::endian::little, "update bodies are little-endian floats");

constexpr std::int32_t kScaleMax = 52;
constexpr std::int32_t kScaleMin = 8;
constexpr double kRoom = 0x1.0p62;

/// Coordinates per tile: eight updates of a tile and its accumulators stay in the second-level
/// cache.
constexpr std::uint64_t kTile = 16384;

}  // namespace

Result<std::int32_t> lane_scale(const LaneBounds& bounds) {
  const double largest = static_cast<double>(bounds.contributions_max) *
                         static_cast<double>(bounds.weight_max) * bounds.value_max;
  if (!(largest > 0.0) || !std::isfinite(largest)) {
    return fail(errc::invalid_argument, "lane bounds must be positive and finite");
  }
  std::int32_t scale = kScaleMax;
  while (scale >= kScaleMin && std::ldexp(largest, scale) >= kRoom) --scale;
  if (scale < kScaleMin) {
    return fail(errc::invalid_argument,
                "cohort x examples_max x value_max is too large for exact 64-bit sums: lower "
                "limits.examples_max or limits.value_max so that the product stays below 2^54");
  }
  return scale;
}

Result<Lane> Lane::create(std::uint64_t parameters, const LaneBounds& bounds) {
  CHORUS_TRY(const std::int32_t scale, lane_scale(bounds));
  Lane lane;
  lane.scale_ = scale;
  CHORUS_TRY(lane.sums_,
             tensor::AlignedBuffer<std::int64_t>::create(parameters, tensor::Fill::zero));
  return lane;
}

Result<void> Lane::restart(const LaneBounds& bounds) {
  CHORUS_TRY(scale_, lane_scale(bounds));
  denominator_ = 0;
  return {};
}

Result<Lane> Lane::restore(LaneCheckpoint checkpoint, const LaneBounds& bounds) {
  CHORUS_TRY(const std::int32_t scale, lane_scale(bounds));
  if (scale != checkpoint.scale) {
    return fail(errc::corrupt_data,
                "the lane checkpoint has scale " + std::to_string(checkpoint.scale) +
                    ", the job's limits give " + std::to_string(scale));
  }
  Lane lane;
  lane.scale_ = scale;
  lane.denominator_ = checkpoint.denominator;
  lane.sums_ = std::move(checkpoint.sums);
  return lane;
}

Result<void> Lane::fold(std::span<const Contribution> updates, LaneRange& range) {
  CHORUS_ASSERT(!updates.empty() && updates.size() <= kernels::kFoldInputsMax);
  CHORUS_ASSERT(range.first <= sums_.size() && range.count <= sums_.size() - range.first);
  const auto tile = static_cast<std::size_t>(std::min(kTile, range.count));
  CHORUS_TRY(auto staging, tensor::AlignedBuffer<float>::create(tile * updates.size()));
  const bool first = denominator_ == 0;  // weights are at least 1, and counted after all ranges
  std::array<kernels::FoldInput, kernels::kFoldInputsMax> inputs{};
  while (range.count > 0) {
    const auto length = static_cast<std::size_t>(std::min(kTile, range.count));
    for (std::size_t k = 0; k < updates.size(); ++k) {
      const std::span<float> values(staging.data() + k * tile, length);
      CHORUS_OK(
          updates[k].update->read(range.first * sizeof(float), std::as_writable_bytes(values)));
      inputs[k].x = values.data();
      inputs[k].multiplier = std::ldexp(static_cast<double>(updates[k].weight), scale_);
    }
    const std::span<std::int64_t> sums(sums_.data() + range.first, length);
    if (first) std::fill(sums.begin(), sums.end(), 0);
    kernels::fold_f32({inputs.data(), updates.size()}, sums);
    range.first += length;
    range.count -= length;
  }
  return {};
}

void Lane::count_weights(std::span<const Contribution> updates) {
  for (const Contribution& update : updates) {
    denominator_ += static_cast<std::int64_t>(update.weight);
  }
}

void Lane::mean(std::uint64_t first, std::span<float> into) const {
  CHORUS_ASSERT(denominator_ > 0 && first + into.size() <= sums_.size());
  const double divisor = std::ldexp(static_cast<double>(denominator_), scale_);
  kernels::lane_mean_f32({sums_.data() + first, into.size()}, divisor, into);
}

}  // namespace chorus::server
