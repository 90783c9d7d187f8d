#include "client/train/data/zip_member.hpp"

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <fmt/format.h>
#include <minizip/unzip.h>

#include "common/base/files.hpp"
#include "common/base/try.hpp"

namespace chorus::client {
namespace {

constexpr std::size_t kReadMax = 1U << 30U;  // minizip counts in int
constexpr std::size_t kNamesShown = 8;
constexpr unsigned long kEncrypted = 1;
constexpr unsigned long kStored = 0;
constexpr unsigned long kDeflated = 8;

// "x.npy, y.npy", for an error.
std::string members_of(unzFile file) {
  std::string names;
  std::size_t count = 0;
  for (int code = unzGoToFirstFile(file); code == UNZ_OK; code = unzGoToNextFile(file)) {
    std::array<char, 64> name{};
    if (unzGetCurrentFileInfo64(
            file, nullptr, name.data(), name.size() - 1, nullptr, 0, nullptr, 0) != UNZ_OK) {
      break;
    }
    if (++count > kNamesShown) return names + ", …";
    if (count > 1) names += ", ";
    names += name.data();
  }
  return count == 0 ? "nothing (is it cut short?)" : names;
}

}  // namespace

Result<std::unique_ptr<ZipMember>> ZipMember::open(const std::filesystem::path& archive,
                                                   const std::string& member) {
  CHORUS_OK(open_file(archive, O_RDONLY));  // for its errors: minizip has none
  const std::string shown = "'" + archive.string() + "'";
  std::unique_ptr<ZipMember> opened(new ZipMember(shown + " member '" + member + "'"));
  opened->file_ = unzOpen64(archive.c_str());
  if (opened->file_ == nullptr) {
    return fail(errc::malformed_file,
                shown + ": it is no zip archive, or it is cut short; expected an .npz of NumPy");
  }
  if (unzLocateFile(opened->file_, member.c_str(), 1) != UNZ_OK) {
    return fail(
        errc::malformed_file,
        fmt::format(
            "{}: there is no '{}' in it; it holds {}", shown, member, members_of(opened->file_)));
  }
  unz_file_info64 info{};
  const int known =
      unzGetCurrentFileInfo64(opened->file_, &info, nullptr, 0, nullptr, 0, nullptr, 0);
  if (known != UNZ_OK) return opened->damaged(known);
  if ((info.flag & kEncrypted) != 0) {
    return fail(errc::malformed_file, opened->name_ + ": it is encrypted; expected a plain .npz");
  }
  if (info.compression_method != kStored && info.compression_method != kDeflated) {
    return fail(errc::malformed_file,
                fmt::format("{}: its compression has number {}; expected stored (0) or deflated "
                            "(8), as numpy.savez writes them",
                            opened->name_,
                            info.compression_method));
  }
  const int code = unzOpenCurrentFile(opened->file_);
  if (code != UNZ_OK) return opened->damaged(code);
  opened->member_open_ = true;
  opened->size_ = info.uncompressed_size;
  if (info.compression_method == kStored) {
    opened->stored_at_ = unzGetCurrentFileZStreamPos64(opened->file_);  // nothing was read yet
  }
  return opened;
}

ZipMember::~ZipMember() {
  if (file_ == nullptr) return;
  if (member_open_) unzCloseCurrentFile(file_);
  unzClose(file_);
}

Failure ZipMember::damaged(int code) const {
  return fail(errc::malformed_file,
              fmt::format("{}: it is damaged or cut short ({})",
                          name_,
                          code == UNZ_CRCERROR ? "its checksum differs"
                                               : fmt::format("minizip error {}", code)));
}

Result<std::size_t> ZipMember::read(std::span<std::byte> into) {
  std::size_t done = 0;
  while (done < into.size() && member_open_) {
    const auto wanted = static_cast<unsigned>(std::min(into.size() - done, kReadMax));
    const int got = unzReadCurrentFile(file_, into.data() + done, wanted);
    if (got < 0) return damaged(got);
    done += static_cast<std::size_t>(got);
    position_ += static_cast<std::uint64_t>(got);
    if (got > 0) continue;
    // The end. Closing compares checksums, but says nothing of a member that is too short.
    const bool whole = unzeof(file_) == 1;
    member_open_ = false;
    const int code = unzCloseCurrentFile(file_);
    if (code != UNZ_OK) return damaged(code);
    if (!whole) return damaged(UNZ_ERRNO);
  }
  return done;
}

}  // namespace chorus::client
