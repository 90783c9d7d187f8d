#include "client/train/data/gzip_file.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <zlib.h>

#include "common/base/files.hpp"
#include "common/base/try.hpp"

namespace chorus::client {
namespace {

constexpr unsigned kBufferBytes = 128U << 10U;
constexpr std::size_t kReadMax = 1U << 30U;  // gzread counts in int

}  // namespace

Result<GzipFile> GzipFile::open(const std::filesystem::path& path) {
  CHORUS_TRY(UniqueFd fd, open_file(path, O_RDONLY));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return errno_failure(errno, "examining", path);
  if (S_ISDIR(status.st_mode)) {
    return fail(errc::io_failed, "'" + path.string() + "' is a folder; expected a file");
  }
  gzFile_s* const file = ::gzdopen(fd.get(), "rb");
  if (file == nullptr) return fail(errc::busy, "no memory to read '" + path.string() + "'");
  static_cast<void>(fd.release());  // gzclose closes it
  ::gzbuffer(file, kBufferBytes);
  return GzipFile(file, path);
}

GzipFile::~GzipFile() {
  if (file_ != nullptr) ::gzclose_r(file_);
}

Result<std::size_t> GzipFile::read(std::span<std::byte> into) {
  std::size_t done = 0;
  while (done < into.size()) {
    const auto wanted = static_cast<unsigned>(std::min(into.size() - done, kReadMax));
    const int got = ::gzread(file_, into.data() + done, wanted);
    int code = Z_OK;
    const char* const message = ::gzerror(file_, &code);
    if (got < 0 && code == Z_ERRNO) return errno_failure(errno, "reading", path_);
    if (got < 0 || code == Z_BUF_ERROR) {
      return fail(errc::malformed_file,
                  "'" + path_.string() + "' is damaged or cut short: " + message);
    }
    done += static_cast<std::size_t>(got);
    if (static_cast<unsigned>(got) < wanted) break;
  }
  return done;
}

}  // namespace chorus::client
