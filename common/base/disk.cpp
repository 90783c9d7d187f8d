#include "common/base/disk.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/uio.h>
#include <system_error>
#include <unistd.h>

#include "common/base/files.hpp"
#include "common/base/try.hpp"

namespace chorus {

Result<std::vector<std::byte>> Disk::read_whole(const std::filesystem::path& path,
                                                std::uint64_t bytes_max) {
  CHORUS_TRY(const auto file, open(path, FileUse::read));
  CHORUS_TRY(const std::uint64_t bytes, file->size());
  if (bytes > bytes_max) {
    return fail(errc::malformed_file,
                "'" + path.string() + "' has " + std::to_string(bytes) + " bytes; at most " +
                    std::to_string(bytes_max) + " are expected");
  }
  std::vector<std::byte> whole(static_cast<std::size_t>(bytes));
  CHORUS_OK(file->read(0, whole));
  return whole;
}

Result<void> Disk::remove_if_there(const std::filesystem::path& file) {
  auto removed = remove(file);
  if (!removed && removed.error().code == errc::not_found) return {};
  return removed;
}

Result<void> Disk::write_durably(const std::filesystem::path& path,
                                 std::span<const std::byte> data,
                                 unsigned mode) {
  std::filesystem::path temporary = path;
  temporary += ".tmp";
  const auto replace = [&]() -> Result<void> {
    // A crash may have left one behind; it is removed because `mode` applies to new files only.
    CHORUS_OK(remove_if_there(temporary));
    CHORUS_TRY(const auto file, open(temporary, FileUse::replace, mode));
    CHORUS_OK(file->write(0, data));
    CHORUS_OK(file->sync());
    return rename(temporary, path);
  };
  if (auto replaced = replace(); !replaced) {
    static_cast<void>(remove_if_there(temporary));
    return replaced;
  }
  return sync_folder(path.parent_path());
}

namespace {

class LocalFile final : public File {
 public:
  LocalFile(UniqueFd fd, const std::filesystem::path& path) : File(path), fd_(std::move(fd)) {}

  Result<void> read(std::uint64_t offset, std::span<std::byte> into) const override {
    return read_at(fd_.get(), offset, into, path());
  }
  Result<void> write(std::uint64_t offset, std::span<const std::byte> data) override {
    return write_at(fd_.get(), offset, data, path());
  }

  Result<void> write_both(std::uint64_t offset,
                          std::span<const std::byte> first,
                          std::span<const std::byte> second) override {
    while (!first.empty()) {
      std::array<iovec, 2> parts{{{const_cast<std::byte*>(first.data()), first.size()},
                                  {const_cast<std::byte*>(second.data()), second.size()}}};
      const ssize_t put =
          ::pwritev(fd_.get(), parts.data(), parts.size(), static_cast<off_t>(offset));
      if (put < 0) {
        if (errno == EINTR) continue;
        return errno_failure(errno, "writing", path());
      }
      const auto count = static_cast<std::size_t>(put);
      const std::size_t of_first = std::min(count, first.size());
      first = first.subspan(of_first);
      second = second.subspan(count - of_first);
      offset += count;
    }
    return write(offset, second);
  }

  Result<std::uint64_t> size() const override { return file_size(fd_.get(), path()); }

  Result<void> truncate(std::uint64_t bytes) override {
    while (::ftruncate(fd_.get(), static_cast<off_t>(bytes)) != 0) {
      if (errno != EINTR) return errno_failure(errno, "truncating", path());
    }
    return {};
  }

  Result<void> reserve(std::uint64_t begin, std::uint64_t end) override {
    while (::fallocate(fd_.get(),
                       FALLOC_FL_KEEP_SIZE,
                       static_cast<off_t>(begin),
                       static_cast<off_t>(end - begin)) != 0) {
      if (errno != EINTR) return errno_failure(errno, "reserving space for", path());
    }
    return {};
  }

  Result<void> sync() override { return sync_file(fd_.get(), path()); }

  void start_writeback(std::uint64_t begin, std::uint64_t end) override {
    static_cast<void>(::sync_file_range(fd_.get(),
                                        static_cast<off64_t>(begin),
                                        static_cast<off64_t>(end - begin),
                                        SYNC_FILE_RANGE_WRITE));
  }
  void forget(std::uint64_t end) const override {
    static_cast<void>(::posix_fadvise(fd_.get(), 0, static_cast<off_t>(end), POSIX_FADV_DONTNEED));
  }

 private:
  UniqueFd fd_;
};

class LocalLock final : public FolderLock {
 public:
  explicit LocalLock(UniqueFd fd) : fd_(std::move(fd)) {}

 private:
  UniqueFd fd_;
};

constexpr int flags_of(FileUse use) noexcept {
  switch (use) {
    case FileUse::read:
      return O_RDONLY;
    case FileUse::change:
      return O_RDWR;
    case FileUse::keep:
      return O_RDWR | O_CREAT;
    case FileUse::replace:
      return O_RDWR | O_CREAT | O_TRUNC;
  }
  return O_RDONLY;
}

class LocalDisk final : public Disk {
 public:
  using Disk::make_folder;
  using Disk::open;

  Result<std::unique_ptr<File>> open(const std::filesystem::path& path,
                                     FileUse use,
                                     unsigned mode) override {
    CHORUS_TRY(auto fd, open_file(path, flags_of(use), mode));
    return std::unique_ptr<File>(std::make_unique<LocalFile>(std::move(fd), path));
  }

  Result<void> rename(const std::filesystem::path& from, const std::filesystem::path& to) override {
    if (::rename(from.c_str(), to.c_str()) == 0) return {};
    return errno_failure(errno, "renaming to '" + to.string() + "':", from);
  }
  Result<void> remove(const std::filesystem::path& file) override {
    if (::unlink(file.c_str()) == 0) return {};
    return errno_failure(errno, "removing", file);
  }
  Result<void> remove_folder(const std::filesystem::path& folder) override {
    return remove_tree(folder);
  }
  Result<void> make_folder(const std::filesystem::path& folder, unsigned mode) override {
    return make_folders(folder, mode);
  }
  Result<void> sync_folder(const std::filesystem::path& folder) override {
    return chorus::sync_folder(folder);
  }

  Result<bool> exists(const std::filesystem::path& path) const override {
    std::error_code error;
    const bool there = std::filesystem::exists(path, error);
    if (error) return errno_failure(error.value(), "looking for", path);
    return there;
  }

  Result<std::vector<std::filesystem::path>> list(
      const std::filesystem::path& folder) const override {
    std::vector<std::filesystem::path> paths;
    std::error_code error;
    for (auto entry = std::filesystem::directory_iterator(folder, error);
         !error && entry != std::filesystem::directory_iterator();
         entry.increment(error)) {
      paths.push_back(entry->path());
    }
    if (error) return errno_failure(error.value(), "listing folder", folder);
    std::sort(paths.begin(), paths.end());
    return paths;
  }

  Result<std::unique_ptr<FolderLock>> lock(const std::filesystem::path& folder) override {
    CHORUS_TRY(auto fd, lock_folder(folder));
    return std::unique_ptr<FolderLock>(std::make_unique<LocalLock>(std::move(fd)));
  }
};

}  // namespace

Disk& local_disk() noexcept {
  static LocalDisk disk;
  return disk;
}

}  // namespace chorus
