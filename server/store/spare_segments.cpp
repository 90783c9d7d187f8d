#include "server/store/spare_segments.hpp"

#include <cerrno>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"

namespace chorus::server {

Result<SpareSegments> SpareSegments::open(const std::filesystem::path& folder) {
  CHORUS_OK(remove_tree(folder));
  CHORUS_OK(make_folders(folder));
  return SpareSegments(folder);
}

Result<void> SpareSegments::keep(const std::filesystem::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) return errno_failure(errno, "reading", file);
  const auto bytes = static_cast<std::uint64_t>(info.st_size);
  if (bytes > limits::kSpareSegmentBytesMax - bytes_) {
    return ::unlink(file.c_str()) == 0 ? Result<void>() : errno_failure(errno, "removing", file);
  }
  auto path = folder_ / std::to_string(next_++);
  if (::rename(file.c_str(), path.c_str()) != 0) return errno_failure(errno, "renaming", file);
  spares_.push_back(Spare{std::move(path), bytes});
  bytes_ += bytes;
  return {};
}

Result<UniqueFd> SpareSegments::take(const std::filesystem::path& path) {
  if (spares_.empty()) return UniqueFd();
  // The last one kept: its pages are the likeliest to be in memory still.
  const Spare spare = std::move(spares_.back());
  spares_.pop_back();
  bytes_ -= spare.bytes;
  if (::rename(spare.path.c_str(), path.c_str()) != 0) {
    return errno_failure(errno, "renaming", spare.path);
  }
  return open_file(path, O_RDWR);
}

}  // namespace chorus::server
