#include "client/src/version_cache.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

#include "common/base/assert.hpp"
#include "common/base/disk.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/crypto/digest.hpp"

namespace chorus::client {
namespace {

constexpr const char* kVersionSuffix = ".safetensors";
constexpr const char* kPartSuffix = ".part";

Result<std::vector<std::filesystem::path>> files_with(const std::filesystem::path& folder,
                                                      const char* suffix) {
  CHORUS_TRY(auto files, local_disk().list(folder));
  std::erase_if(files, [suffix](const auto& file) { return file.extension() != suffix; });
  return files;
}

}  // namespace

std::filesystem::path VersionCache::version_path(const Sha256& version) const {
  return folder_ / (hex(version) + kVersionSuffix);
}

std::filesystem::path VersionCache::part_path(const Sha256& version) const {
  return folder_ / (hex(version) + kPartSuffix);
}

Result<bool> VersionCache::read(const Sha256& version, std::span<std::byte> into) const {
  const auto path = version_path(version);
  auto file = open_file(path, O_RDONLY);
  if (!file && file.error().code == errc::not_found) return false;
  if (!file) return std::move(file).error();
  CHORUS_TRY(const std::uint64_t bytes, file_size(file->get(), path));
  if (bytes != into.size()) return false;
  CHORUS_OK(read_at(file->get(), 0, into, path));
  // Says that it was used; prune() goes by this. Without effect if it fails.
  static_cast<void>(::futimens(file->get(), nullptr));
  return true;
}

Result<std::uint64_t> VersionCache::open_part(const Sha256& version, std::span<std::byte> into) {
  CHORUS_OK(remove_other_parts(version));
  const auto path = part_path(version);
  CHORUS_TRY(part_, open_file(path, O_RDWR | O_CREAT, 0600));
  part_version_ = version;
  CHORUS_TRY(const std::uint64_t bytes, file_size(part_.get(), path));
  if (bytes > into.size()) {
    CHORUS_OK(clear_part());
    return 0;
  }
  CHORUS_OK(read_at(part_.get(), 0, into.first(bytes), path));
  return bytes;
}

Result<void> VersionCache::write_part(std::uint64_t offset, std::span<const std::byte> data) {
  CHORUS_ASSERT(part_version_.has_value());
  return write_at(part_.get(), offset, data, part_path(*part_version_));
}

Result<void> VersionCache::clear_part() {
  CHORUS_ASSERT(part_version_.has_value());
  if (::ftruncate(part_.get(), 0) != 0) {
    return errno_failure(errno, "emptying", part_path(*part_version_));
  }
  return {};
}

Result<void> VersionCache::finish_part() {
  CHORUS_ASSERT(part_version_.has_value());
  const Sha256 version = *std::exchange(part_version_, std::nullopt);
  part_ = UniqueFd();
  const auto path = version_path(version);
  if (::rename(part_path(version).c_str(), path.c_str()) != 0) {
    return errno_failure(errno, "renaming to", path);
  }
  return prune();
}

Result<void> VersionCache::put(const Sha256& version, std::span<const std::byte> file) {
  CHORUS_TRY(const std::uint64_t old, open_part(version, {}));
  CHORUS_ASSERT(old == 0);
  CHORUS_OK(write_part(0, file));
  return finish_part();
}

Result<void> VersionCache::remove(const Sha256& version) const {
  return local_disk().remove_if_there(version_path(version));
}

Result<void> VersionCache::remove_other_parts(const Sha256& version) const {
  CHORUS_TRY(const auto parts, files_with(folder_, kPartSuffix));
  for (const auto& part : parts) {
    if (part != part_path(version)) CHORUS_OK(local_disk().remove_if_there(part));
  }
  return {};
}

Result<void> VersionCache::prune() const {
  CHORUS_TRY(const auto files, files_with(folder_, kVersionSuffix));
  std::vector<std::pair<std::filesystem::file_time_type, std::filesystem::path>> by_age;
  for (const auto& file : files) {
    std::error_code error;
    const auto used = std::filesystem::last_write_time(file, error);
    if (!error) by_age.emplace_back(used, file);
  }
  std::sort(by_age.begin(), by_age.end(), std::greater<>());
  for (std::size_t i = limits::kCachedVersionsMax; i < by_age.size(); ++i) {
    CHORUS_OK(local_disk().remove_if_there(by_age[i].second));
  }
  return {};
}

}  // namespace chorus::client
