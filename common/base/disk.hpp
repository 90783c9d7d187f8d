// The files behind a store, as an interface: those of this machine, or a simulation's, which loses
// what was not synced (tests/sim).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "chorus/result.hpp"

namespace chorus {

/// An open file; closed when destroyed. Reads from any thread, all else from one at a time.
class File {
 public:
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  virtual ~File() = default;

  /// As it was opened.
  const std::filesystem::path& path() const noexcept { return path_; }

  /// Exactly into.size() bytes. @errors corrupt_data (the file ends earlier), io_failed
  virtual Result<void> read(std::uint64_t offset, std::span<std::byte> into) const = 0;
  /// After a failure any part of it may have been written. @errors disk_full, io_failed
  virtual Result<void> write(std::uint64_t offset, std::span<const std::byte> data) = 0;
  /// The same of two pieces that follow each other, so that a small record is one write.
  virtual Result<void> write_both(std::uint64_t offset,
                                  std::span<const std::byte> first,
                                  std::span<const std::byte> second) = 0;
  virtual Result<std::uint64_t> size() const = 0;
  virtual Result<void> truncate(std::uint64_t bytes) = 0;
  /// Takes space on the disk for bytes [begin, end). Does not change size().
  /// @errors disk_full; io_failed, also where the file system cannot
  virtual Result<void> reserve(std::uint64_t begin, std::uint64_t end) = 0;
  /// What was written is on the disk afterwards, with the size that it needs. After a failure
  /// nobody knows what is: trying again may succeed falsely. @errors disk_full, io_failed
  virtual Result<void> sync() = 0;

  /// Hint: begin to write these bytes out, so that sync() finds little to do. Errors show there.
  virtual void start_writeback(std::uint64_t begin, std::uint64_t end) = 0;
  /// Hint: what lies before `end` is not read again soon.
  virtual void forget(std::uint64_t end) const = 0;

 protected:
  explicit File(std::filesystem::path path) : path_(std::move(path)) {}

 private:
  std::filesystem::path path_;
};

enum class FileUse : std::uint8_t {
  read,    ///< an existing file, to read
  change,  ///< an existing file, to read and write
  keep,    ///< to read and write; made if it is not there
  replace  ///< to read and write; made, or emptied
};

/// Holds a folder until it is destroyed, or its process ends.
class FolderLock {
 public:
  FolderLock() = default;
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  virtual ~FolderLock() = default;
};

/// A file system. Names are durable only after sync_folder() of the folder they are in. Every
/// failure names the path. Thread-safe.
class Disk {
 public:
  static constexpr unsigned kFileMode = 0644;
  static constexpr unsigned kFolderMode = 0755;

  Disk() = default;
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;
  virtual ~Disk() = default;

  /// @param mode  of a file that is made, less the process's umask
  /// @errors not_found, disk_full, io_failed
  virtual Result<std::unique_ptr<File>> open(const std::filesystem::path& path,
                                             FileUse use,
                                             unsigned mode) = 0;
  Result<std::unique_ptr<File>> open(const std::filesystem::path& path, FileUse use) {
    return open(path, use, kFileMode);
  }
  /// Replaces what has the new name. @errors not_found, io_failed
  virtual Result<void> rename(const std::filesystem::path& from,
                              const std::filesystem::path& to) = 0;
  /// @errors not_found, io_failed
  virtual Result<void> remove(const std::filesystem::path& file) = 0;
  /// With all that is in it; one that is not there is fine.
  virtual Result<void> remove_folder(const std::filesystem::path& folder) = 0;
  /// With its parents, whose new entries are durable afterwards.
  virtual Result<void> make_folder(const std::filesystem::path& folder, unsigned mode) = 0;
  Result<void> make_folder(const std::filesystem::path& folder) {
    return make_folder(folder, kFolderMode);
  }
  virtual Result<void> sync_folder(const std::filesystem::path& folder) = 0;
  virtual Result<bool> exists(const std::filesystem::path& path) const = 0;
  /// What is in a folder, sorted. @errors not_found, io_failed
  virtual Result<std::vector<std::filesystem::path>> list(
      const std::filesystem::path& folder) const = 0;

  /// Keeps other processes that ask for it out of a folder. @errors busy: one has it; io_failed
  virtual Result<std::unique_ptr<FolderLock>> lock(const std::filesystem::path& folder) = 0;

  /// A whole file. @errors not_found; malformed_file: more than `bytes_max`; io_failed
  Result<std::vector<std::byte>> read_whole(const std::filesystem::path& path,
                                            std::uint64_t bytes_max);
  /// remove(), and fine if it is not there.
  Result<void> remove_if_there(const std::filesystem::path& file);
  /// Replaces a file as one step: temporary file in the same folder, write, sync, rename, sync of
  /// the folder. After it returns, a power cut finds the old content or the new, never a mixture.
  /// One writer per path at a time. `mode` is that of the new file, less the process's umask.
  Result<void> write_durably(const std::filesystem::path& path,
                             std::span<const std::byte> data,
                             unsigned mode = kFileMode);
};

/// This machine's.
Disk& local_disk() noexcept;

}  // namespace chorus
