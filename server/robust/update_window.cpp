#include "server/robust/update_window.hpp"

#include <algorithm>

#include "common/base/assert.hpp"
#include "common/base/try.hpp"

namespace chorus::server {
namespace {

// Whole lines, so that no two rows share one.
constexpr std::uint64_t kLineFloats = 16;

std::uint64_t width_of(std::uint64_t updates, std::uint64_t parameters) {
  const std::uint64_t fit = kWindowBytesMax / (std::max<std::uint64_t>(updates, 1) * sizeof(float));
  const std::uint64_t wanted = std::min({kWindowElements, fit, parameters});
  return (wanted + kLineFloats - 1) / kLineFloats * kLineFloats;
}

}  // namespace

std::uint64_t UpdateWindow::bytes_max(std::uint64_t updates, std::uint64_t parameters) {
  return updates * width_of(updates, parameters) * sizeof(float);
}

Result<std::unique_ptr<UpdateWindow>> UpdateWindow::create(const UpdateSet& updates) {
  const std::uint64_t width = width_of(updates.updates(), updates.parameters());
  tensor::AlignedBuffer<float> rows;
  if (updates.coded()) {
    CHORUS_TRY(
        rows,
        tensor::AlignedBuffer<float>::create(static_cast<std::size_t>(updates.updates() * width)));
  }
  return std::unique_ptr<UpdateWindow>(new UpdateWindow(updates, width, std::move(rows)));
}

UpdateRun UpdateWindow::move_to(std::uint64_t first) {
  UpdateRun window = updates_.run(first);
  while (window.sent && window.count < width_ && first + window.count < parameters()) {
    const UpdateRun next = updates_.run(first + window.count);
    if (!next.sent || window.count + next.count > width_) break;
    window.count += next.count;
  }
  window.count = std::min(window.count, width_);
  first_ = first;
  count_ = window.count;
  return window;
}

std::span<float> UpdateWindow::row(std::size_t update) {
  return {rows_.data() + update * width_, static_cast<std::size_t>(count_)};
}

Result<void> UpdateWindow::load(std::size_t update) {
  if (!loads()) return {};
  return updates_.read(update, first_, row(update));
}

Result<void> UpdateWindow::read(std::size_t update,
                                std::uint64_t first,
                                std::span<float> into) const {
  CHORUS_ASSERT(first >= first_ && first + into.size() <= first_ + count_);
  if (!loads()) return updates_.read(update, first, into);
  std::copy_n(rows_.data() + update * width_ + (first - first_), into.size(), into.begin());
  return {};
}

}  // namespace chorus::server
