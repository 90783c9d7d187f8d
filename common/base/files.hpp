// Files that survive power loss, and the errors that name them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/result.hpp"

namespace chorus {

/// An owned file descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) noexcept : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  ~UniqueFd();
  int get() const noexcept { return fd_; }
  bool is_open() const noexcept { return fd_ >= 0; }
  int release() noexcept;

 private:
  int fd_ = -1;
};

/// A Failure from errno: ENOSPC/EDQUOT become disk_full, ENOENT not_found, EEXIST already_exists,
/// the rest io_failed.
Failure errno_failure(int error_number, std::string_view doing, const std::filesystem::path& path);

/// open(2) with O_CLOEXEC; `flags` as for open(2).
Result<UniqueFd> open_file(const std::filesystem::path& path, int flags, unsigned mode = 0644);

/// Reads exactly span.size() bytes at `offset`; a shorter file is corrupt_data.
Result<void> read_at(int fd,
                     std::uint64_t offset,
                     std::span<std::byte> into,
                     const std::filesystem::path& path);
/// Writes all of `data` at `offset`.
Result<void> write_at(int fd,
                      std::uint64_t offset,
                      std::span<const std::byte> data,
                      const std::filesystem::path& path);
/// fdatasync(2) / fsync(2) of a folder; an empty path is the present one.
Result<void> sync_file(int fd, const std::filesystem::path& path);
Result<void> sync_folder(const std::filesystem::path& folder);

/// Whole small file; more than `bytes_max`, or no regular file, is an error (malformed_file).
Result<std::string> read_text(const std::filesystem::path& path, std::size_t bytes_max);

/// Disk::write_durably on this machine's disk.
Result<void> write_durably(const std::filesystem::path& path,
                           std::span<const std::byte> data,
                           unsigned mode = 0644);
Result<void> write_durably(const std::filesystem::path& path,
                           std::string_view text,
                           unsigned mode = 0644);

/// Keeps other processes out of a folder until the descriptor is closed (also by a crash): flock on
/// the file "lock" in it. @errors busy (another process has it), io_failed
Result<UniqueFd> lock_folder(const std::filesystem::path& folder);

/// The length of an open file.
Result<std::uint64_t> file_size(int fd, const std::filesystem::path& path);

/// rm -rf; a folder that is not there is fine.
Result<void> remove_tree(const std::filesystem::path& folder);

/// mkdir -p, and fsync of the parents, also of a folder that is there: who made it may have died
/// before that. A file in the way is already_exists or io_failed.
Result<void> make_folders(const std::filesystem::path& folder, unsigned mode = 0755);

}  // namespace chorus
