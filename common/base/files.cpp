#include "common/base/files.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "common/base/disk.hpp"
#include "common/base/try.hpp"

namespace chorus {

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = other.release();
  }
  return *this;
}

UniqueFd::~UniqueFd() {
  if (fd_ >= 0) ::close(fd_);
}

int UniqueFd::release() noexcept {
  return std::exchange(fd_, -1);
}

Failure errno_failure(int error_number, std::string_view doing, const std::filesystem::path& path) {
  errc code = errc::io_failed;
  if (error_number == ENOSPC || error_number == EDQUOT) code = errc::disk_full;
  if (error_number == ENOENT) code = errc::not_found;
  if (error_number == EEXIST) code = errc::already_exists;
  return fail(code,
              std::string(doing) + " '" + path.string() +
                  "': " + std::generic_category().message(error_number));
}

Result<UniqueFd> open_file(const std::filesystem::path& path, int flags, unsigned mode) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, static_cast<mode_t>(mode));
  if (fd < 0) return errno_failure(errno, "opening", path);
  return UniqueFd(fd);
}

Result<void> read_at(int fd,
                     std::uint64_t offset,
                     std::span<std::byte> into,
                     const std::filesystem::path& path) {
  while (!into.empty()) {
    const ssize_t got = ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
    if (got < 0) {
      if (errno == EINTR) continue;
      return errno_failure(errno, "reading", path);
    }
    if (got == 0) {
      return fail(errc::corrupt_data,
                  "'" + path.string() + "' ends " + std::to_string(into.size()) +
                      " bytes early (at offset " + std::to_string(offset) + ")");
    }
    into = into.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
  return {};
}

Result<void> write_at(int fd,
                      std::uint64_t offset,
                      std::span<const std::byte> data,
                      const std::filesystem::path& path) {
  while (!data.empty()) {
    const ssize_t put = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (put < 0) {
      if (errno == EINTR) continue;
      return errno_failure(errno, "writing", path);
    }
    data = data.subspan(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
  return {};
}

Result<void> sync_file(int fd, const std::filesystem::path& path) {
  if (::fdatasync(fd) != 0) return errno_failure(errno, "syncing", path);
  return {};
}

Result<void> sync_folder(const std::filesystem::path& folder) {
  const std::filesystem::path in = folder.empty() ? std::filesystem::path(".") : folder;
  CHORUS_TRY(const UniqueFd fd, open_file(in, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) != 0) return errno_failure(errno, "syncing folder", folder);
  return {};
}

Result<std::string> read_text(const std::filesystem::path& path, std::size_t bytes_max) {
  // Without O_NONBLOCK, opening a pipe would wait for its writer.
  CHORUS_TRY(const UniqueFd fd, open_file(path, O_RDONLY | O_NONBLOCK));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return errno_failure(errno, "reading", path);
  if (!S_ISREG(info.st_mode)) {
    return fail(errc::malformed_file, "'" + path.string() + "' is not a regular file");
  }
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size > bytes_max) {
    return fail(errc::malformed_file,
                "'" + path.string() + "' has " + std::to_string(size) + " bytes; at most " +
                    std::to_string(bytes_max) + " are expected");
  }
  std::string text(size, '\0');
  CHORUS_OK(read_at(fd.get(), 0, std::as_writable_bytes(std::span(text)), path));
  return text;
}

Result<void> write_durably(const std::filesystem::path& path,
                           std::span<const std::byte> data,
                           unsigned mode) {
  return local_disk().write_durably(path, data, mode);
}

Result<void> write_durably(const std::filesystem::path& path,
                           std::string_view text,
                           unsigned mode) {
  return write_durably(path, std::as_bytes(std::span(text)), mode);
}

Result<std::uint64_t> file_size(int fd, const std::filesystem::path& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return errno_failure(errno, "reading", path);
  return static_cast<std::uint64_t>(info.st_size);
}

Result<void> remove_tree(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  if (!error) return {};
  return fail(errc::io_failed, "removing folder '" + folder.string() + "': " + error.message());
}

namespace {

// Whoever made the folder may have died before its name was durable. Where we may not read the
// parent we did not make it.
Result<void> sync_name_of(const std::filesystem::path& folder) {
  const auto parent = folder.parent_path();
  if (!parent.empty() && ::access(parent.c_str(), R_OK) != 0) return {};
  return sync_folder(parent);
}

}  // namespace

Result<void> make_folders(const std::filesystem::path& folder, unsigned mode) {
  std::error_code ignored;  // whatever keeps us from looking, mkdir reports below
  if (folder.empty() || folder == folder.root_path()) return {};
  if (std::filesystem::is_directory(folder, ignored)) return sync_name_of(folder);
  if (folder.has_relative_path()) CHORUS_OK(make_folders(folder.parent_path(), mode));
  if (::mkdir(folder.c_str(), static_cast<mode_t>(mode)) != 0) {
    const int error_number = errno;
    // Another process may have made it meanwhile.
    if (error_number == EEXIST && std::filesystem::is_directory(folder, ignored)) return {};
    return errno_failure(error_number, "creating folder", folder);
  }
  return sync_name_of(folder);
}

Result<UniqueFd> lock_folder(const std::filesystem::path& folder) {
  const auto path = folder / "lock";
  CHORUS_TRY(UniqueFd lock, open_file(path, O_RDWR | O_CREAT, 0600));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return errno_failure(errno, "locking", path);
  return fail(errc::busy, "another process uses the folder '" + folder.string() + "'");
}

}  // namespace chorus
