#include "server/store/spare_segments.hpp"

#include <string>
#include <utility>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"

namespace chorus::server {

Result<SpareSegments> SpareSegments::open(const std::filesystem::path& folder, Disk& disk) {
  CHORUS_OK(disk.remove_folder(folder));
  CHORUS_OK(disk.make_folder(folder));
  return SpareSegments(folder, disk);
}

Result<void> SpareSegments::keep(const std::filesystem::path& file) {
  CHORUS_TRY(const auto opened, disk_->open(file, FileUse::read));
  CHORUS_TRY(const std::uint64_t bytes, opened->size());
  if (bytes > limits::kSpareSegmentBytesMax - bytes_) return disk_->remove(file);
  auto path = folder_ / std::to_string(next_++);
  CHORUS_OK(disk_->rename(file, path));
  spares_.push_back(Spare{std::move(path), bytes});
  bytes_ += bytes;
  return {};
}

Result<std::unique_ptr<File>> SpareSegments::take(const std::filesystem::path& path) {
  if (spares_.empty()) return std::unique_ptr<File>();
  // The last one kept: its pages are the likeliest to be in memory still.
  const Spare spare = std::move(spares_.back());
  spares_.pop_back();
  bytes_ -= spare.bytes;
  CHORUS_OK(disk_->rename(spare.path, path));
  return disk_->open(path, FileUse::change);
}

}  // namespace chorus::server
