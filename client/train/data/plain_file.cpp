#include "client/train/data/plain_file.hpp"

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <sys/stat.h>
#include <utility>
#include <vector>

#include "common/base/try.hpp"

namespace chorus::client {
namespace {

constexpr std::size_t kReadBytes = 256U << 10U;  // of rows at once; a longer row alone

}  // namespace

Result<PlainFile> PlainFile::open(const std::filesystem::path& path) {
  CHORUS_TRY(UniqueFd fd, open_file(path, O_RDONLY));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return errno_failure(errno, "examining", path);
  if (!S_ISREG(status.st_mode)) {
    return fail(errc::io_failed,
                "'" + path.string() + "' is no regular file; only those can be streamed");
  }
  PlainFile file(std::move(fd), path, static_cast<std::uint64_t>(status.st_size));
  std::array<std::byte, 2> magic{};
  if (file.size() >= magic.size()) CHORUS_OK(file.read_at(0, magic));
  if (magic[0] == std::byte{0x1F} && magic[1] == std::byte{0x8B}) {
    return fail(errc::malformed_file,
                file.name() + " is compressed (gzip), which cannot be streamed; unpack it first");
  }
  return file;
}

Result<std::size_t> PlainFile::read(std::span<std::byte> into) {
  const auto left = size_ - std::min(position_, size_);
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left));
  CHORUS_OK(read_at(position_, into.first(count)));
  position_ += count;
  return count;
}

Result<void> PlainFile::read_at(std::uint64_t offset, std::span<std::byte> into) const {
  auto got = chorus::read_at(fd_.get(), offset, into, path_);
  if (!got && got.error().code == errc::corrupt_data) {
    return fail(errc::malformed_file, name() + " became shorter while it was in use");
  }
  return got;
}

Result<void> read_rows(const PlainFile& file,
                       const RowsInFile& rows,
                       std::span<const std::uint32_t> numbers,
                       const std::function<void(std::span<const std::byte>, std::size_t)>& take) {
  const std::size_t at_once = std::max<std::size_t>(1, kReadBytes / rows.row_bytes);
  std::vector<std::byte> bytes;
  for (std::size_t first = 0; first < numbers.size();) {
    std::size_t count = 1;
    while (count < at_once && first + count < numbers.size() &&
           numbers[first + count] == numbers[first] + count) {
      ++count;
    }
    bytes.resize(count * rows.row_bytes);
    const std::uint64_t offset = rows.offset + std::uint64_t{numbers[first]} * rows.row_bytes;
    CHORUS_OK(file.read_at(offset, bytes));
    take(bytes, first);
    first += count;
  }
  return {};
}

}  // namespace chorus::client
