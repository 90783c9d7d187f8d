#include "server/robust/set_lane.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "common/base/assert.hpp"
#include "common/base/try.hpp"

namespace chorus::server {
namespace {

constexpr std::uint64_t kTileBytes = 1U << 20U;  ///< stays in the second-level cache
constexpr std::uint64_t kWidthMin = 256;         ///< coordinates; below, reads would be too short
/// Between rows, so that a power of two of coordinates does not put all of them in one place of
/// the cache; and what a width is a multiple of: whole lines, all eight lanes of a Gram matrix.
constexpr std::uint64_t kLineFloats = 16;

}  // namespace

Result<SetLane> SetLane::create(const UpdateSet& updates, const SetLaneBudget& budget) {
  const std::uint64_t rows = updates.updates();
  if (rows == 0 || rows > kSetUpdatesMax) {
    return fail(errc::invalid_argument,
                "a rule over all updates at once takes 1 to " + std::to_string(kSetUpdatesMax) +
                    " of them, not " + std::to_string(rows));
  }
  CHORUS_ASSERT(budget.threads > 0);
  const std::uint64_t row_bytes = std::min(budget.bytes / budget.threads, kTileBytes) / rows;
  std::uint64_t width = row_bytes / sizeof(float);
  width = width < kLineFloats ? 0 : (width - kLineFloats) / kLineFloats * kLineFloats;
  width = std::max(width, kWidthMin);
  const std::uint64_t needed = budget.threads * rows * (width + kLineFloats) * sizeof(float);
  if (needed > budget.bytes) {
    return fail(errc::invalid_argument,
                "tiles of " + std::to_string(rows) + " updates on " +
                    std::to_string(budget.threads) + " threads need " + std::to_string(needed) +
                    " bytes, and the budget is " + std::to_string(budget.bytes) +
                    ": allow more, or fewer threads");
  }
  return SetLane(updates, width);
}

std::uint64_t SetLane::tile_bytes_max(std::uint64_t updates) noexcept {
  return std::max(kTileBytes, updates * (kWidthMin + kLineFloats) * sizeof(float));
}

Result<SetLane::Tile> SetLane::tile() const {
  CHORUS_TRY(auto rows,
             tensor::AlignedBuffer<float>::create(
                 static_cast<std::size_t>(updates() * (width_ + kLineFloats))));
  return Tile(*updates_, width_, std::move(rows));
}

Result<kernels::Rows> SetLane::Tile::load(std::uint64_t first, std::uint64_t count) {
  CHORUS_ASSERT(count <= width_);
  const auto stride = static_cast<std::size_t>(width_ + kLineFloats);
  for (std::size_t k = 0; k < updates_->updates(); ++k) {
    const std::span<float> row(rows_.data() + k * stride, static_cast<std::size_t>(count));
    CHORUS_OK(updates_->read(k, first, row));
  }
  return kernels::Rows{rows_.data(), updates_->updates(), static_cast<std::size_t>(count), stride};
}

Result<void> trimmed_mean(const SetLane& lane,
                          const kernels::ColumnOrder& order,
                          std::uint64_t first,
                          std::span<float> mean) {
  CHORUS_ASSERT(order.rows() == lane.updates());
  CHORUS_TRY(auto scratch, tensor::AlignedBuffer<float>::create(order.scratch_floats()));
  CHORUS_TRY(auto tile, lane.tile());
  for (std::size_t at = 0; at < mean.size();) {
    const auto part = mean.subspan(at, std::min<std::size_t>(mean.size() - at, tile.width()));
    CHORUS_TRY(const auto rows, tile.load(first + at, part.size()));
    kernels::trimmed_mean_f32(rows, order, scratch.span(), part);
    at += part.size();
  }
  return {};
}

Result<Gram> Gram::create(const SetLane& lane) {
  if (lane.updates() > kGramUpdatesMax) {
    return fail(errc::invalid_argument,
                "inner products of " + std::to_string(lane.updates()) + " updates; at most " +
                    std::to_string(kGramUpdatesMax) + " are compared with each other");
  }
  const std::size_t pairs = lane.updates() * lane.updates();
  CHORUS_TRY(auto parts, tensor::AlignedBuffer<double>::create(kParts * pairs, tensor::Fill::zero));
  return Gram(lane, std::move(parts));
}

Result<void> Gram::sum_part(std::size_t part) {
  CHORUS_ASSERT(part < kParts);
  const std::size_t rows = lane_->updates();
  using Doubles = tensor::AlignedBuffer<double>;
  CHORUS_TRY(auto sums, Doubles::create(kernels::gram_doubles(rows), tensor::Fill::zero));
  CHORUS_TRY(auto scratch, Doubles::create(rows * kernels::kGramScratch));
  CHORUS_TRY(auto tile, lane_->tile());
  const std::uint64_t lines = (lane_->parameters() + kLineFloats - 1) / kLineFloats;
  std::uint64_t at = lines * part / kParts * kLineFloats;
  const std::uint64_t end =
      std::min(lines * (part + 1) / kParts * kLineFloats, lane_->parameters());
  while (at < end) {
    const std::uint64_t count = std::min(end - at, tile.width());
    CHORUS_TRY(const auto x, tile.load(at, count));
    kernels::gram_add_f32(x, scratch.span(), sums.span());
    at += count;
  }
  kernels::gram_finish(rows, sums.span(), parts_.span().subspan(part * rows * rows, rows * rows));
  return {};
}

std::vector<double> Gram::products() const {
  const std::size_t pairs = lane_->updates() * lane_->updates();
  std::vector<double> all(pairs);
  for (std::size_t part = 0; part < kParts; ++part) {
    for (std::size_t i = 0; i < pairs; ++i) all[i] += parts_[part * pairs + i];
  }
  return all;
}

}  // namespace chorus::server
