#include "server/store/checkpoint_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/files.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/crypto/digest.hpp"
#include "server/store/record_codec.hpp"

namespace chorus::server {

using journal_format::kCheckpointDigestBytes;
using journal_format::kCheckpointFile;
using journal_format::kCheckpointHeaderBytes;
using journal_format::kCheckpointMagic;
using journal_format::kCheckpointTemporary;

namespace {

constexpr std::size_t kPieceBytes = 4U << 20U;
constexpr std::uint64_t kSumsMax = limits::kModelBytesMax / sizeof(float);

void put_numbers(ByteWriter& writer, std::span<const std::uint64_t> numbers) {
  writer.u64(numbers.size());
  for (const std::uint64_t number : numbers) writer.u64(number);
}

std::vector<std::byte> encode_lists(const CheckpointView& view) {
  ByteWriter writer;
  put_numbers(writer, view.journal.live);
  put_numbers(writer, view.journal.segments);
  writer.u64(view.folded.size());
  for (const UpdateMeta& meta : view.folded) {
    const auto bytes = encode_meta(meta);
    writer.u32(static_cast<std::uint32_t>(bytes.size()));
    writer.bytes(bytes);
  }
  return std::move(writer).take();
}

/// Writes pieces one after the other, hashes them, and keeps the disk busy meanwhile.
class HashedWriter {
 public:
  HashedWriter(int fd, const std::filesystem::path& path) : fd_(fd), path_(path) {}

  Result<void> put(std::span<const std::byte> data) {
    while (!data.empty()) {
      const auto piece = data.first(std::min(data.size(), kPieceBytes));
      hasher_.update(piece);
      CHORUS_OK(write_at(fd_, offset_, piece, path_));
      // An error shows again in fsync.
      static_cast<void>(::sync_file_range(fd_,
                                          static_cast<off64_t>(offset_),
                                          static_cast<off64_t>(piece.size()),
                                          SYNC_FILE_RANGE_WRITE));
      offset_ += piece.size();
      data = data.subspan(piece.size());
    }
    return {};
  }
  Result<void> finish() {
    CHORUS_OK(write_at(fd_, offset_, hasher_.digest().bytes, path_));
    if (::fsync(fd_) != 0) return errno_failure(errno, "syncing", path_);
    return {};
  }

 private:
  int fd_;
  const std::filesystem::path& path_;
  BodyHasher hasher_;
  std::uint64_t offset_ = 0;
};

Result<void> write_temporary(const std::filesystem::path& path, const CheckpointView& view) {
  const auto lists = encode_lists(view);
  ByteWriter header;
  header.raw(kCheckpointMagic);
  header.u32(journal_format::kVersion);
  header.i32(view.scale);
  header.i64(view.denominator);
  header.u64(view.journal.next_update);
  header.u64(view.journal.next_segment);
  header.u64(lists.size());
  header.u64(view.sums.size());

  CHORUS_TRY(const UniqueFd fd, open_file(path, O_WRONLY | O_CREAT | O_TRUNC));
  const auto total = static_cast<off_t>(header.view().size() + lists.size() +
                                        view.sums.size_bytes() + kCheckpointDigestBytes);
  // Reserving finds out early when the disk is too small; where it is not possible, writing will.
  if (::fallocate(fd.get(), 0, 0, total) != 0 && errno == ENOSPC) {
    return errno_failure(errno, "reserving space for", path);
  }
  HashedWriter writer(fd.get(), path);
  CHORUS_OK(writer.put(header.view()));
  CHORUS_OK(writer.put(lists));
  CHORUS_OK(writer.put(std::as_bytes(view.sums)));
  return writer.finish();
}

Failure corrupt(const std::filesystem::path& path, std::string_view what) {
  return fail(
      errc::corrupt_data,
      fmt::format(
          "checkpoint '{}' is damaged: {}; restore it, or abandon the round", path.string(), what));
}

struct Header {
  std::int32_t scale = 0;
  std::int64_t denominator = 0;
  std::uint64_t next_update = 0;
  std::uint64_t next_segment = 0;
  std::uint64_t lists_bytes = 0;
  std::uint64_t sums = 0;
};

Result<Header> parse_header(std::span<const std::byte> bytes,
                            std::uint64_t file_bytes,
                            const std::filesystem::path& path) {
  ByteReader reader(bytes);
  const auto magic = reader.view(kCheckpointMagic.size());
  if (std::memcmp(magic.data(), kCheckpointMagic.data(), magic.size()) != 0) {
    return corrupt(path, "it does not begin with its magic");
  }
  if (reader.u32() != journal_format::kVersion) return corrupt(path, "its version is unknown");
  Header header;
  header.scale = reader.i32();
  header.denominator = reader.i64();
  header.next_update = reader.u64();
  header.next_segment = reader.u64();
  header.lists_bytes = reader.u64();
  header.sums = reader.u64();
  if (header.sums > kSumsMax || header.lists_bytes > file_bytes ||
      kCheckpointHeaderBytes + header.lists_bytes + header.sums * sizeof(std::int64_t) +
              kCheckpointDigestBytes !=
          file_bytes) {
    return corrupt(path, fmt::format("its lengths do not add up to its {} bytes", file_bytes));
  }
  return header;
}

bool take_numbers(ByteReader& reader, std::vector<std::uint64_t>& numbers) {
  const std::uint64_t count = reader.u64();
  if (count > reader.left() / sizeof(std::uint64_t)) return false;
  numbers.resize(count);
  for (std::uint64_t& number : numbers) number = reader.u64();
  return reader.ok();
}

/// @pre the digest was right: what is wrong here is a defect, but still no reason to trust a length
Result<void> parse_lists(std::span<const std::byte> bytes,
                         const std::filesystem::path& path,
                         CheckpointFile& file) {
  ByteReader reader(bytes);
  const bool numbers =
      take_numbers(reader, file.journal.live) && take_numbers(reader, file.journal.segments);
  const std::uint64_t folded = numbers ? reader.u64() : 0;
  if (!numbers || folded > reader.left() / sizeof(std::uint32_t)) {
    return corrupt(path, "its lists are too short");
  }
  for (std::uint64_t i = 0; i < folded; ++i) {
    const std::uint32_t size = reader.u32();
    auto meta = parse_meta(reader.view(size));
    if (!meta) return corrupt(path, meta.error().detail);
    file.lane.folded.push_back(std::move(meta).value());
  }
  if (!reader.finished()) return corrupt(path, "its lists have a wrong length");
  return {};
}

Result<void> read_hashed(int fd,
                         std::uint64_t offset,
                         std::span<std::byte> into,
                         const std::filesystem::path& path,
                         BodyHasher& hasher) {
  while (!into.empty()) {
    const auto piece = into.first(std::min(into.size(), kPieceBytes));
    CHORUS_OK(read_at(fd, offset, piece, path));
    hasher.update(piece);
    offset += piece.size();
    into = into.subspan(piece.size());
  }
  return {};
}

Result<CheckpointFile> read_file(int fd, const std::filesystem::path& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return errno_failure(errno, "reading", path);
  const auto file_bytes = static_cast<std::uint64_t>(info.st_size);
  if (file_bytes < kCheckpointHeaderBytes + kCheckpointDigestBytes) {
    return corrupt(path, fmt::format("it has only {} bytes", file_bytes));
  }
  BodyHasher hasher;
  std::array<std::byte, kCheckpointHeaderBytes> head{};
  CHORUS_OK(read_hashed(fd, 0, head, path, hasher));
  CHORUS_TRY(const Header header, parse_header(head, file_bytes, path));

  std::vector<std::byte> lists(header.lists_bytes);
  CHORUS_OK(read_hashed(fd, head.size(), lists, path, hasher));
  CheckpointFile file;
  CHORUS_TRY(file.lane.sums, tensor::AlignedBuffer<std::int64_t>::create(header.sums));
  const auto sums = std::as_writable_bytes(file.lane.sums.span());
  CHORUS_OK(read_hashed(fd, head.size() + lists.size(), sums, path, hasher));
  BodyDigest digest;
  CHORUS_OK(read_at(fd, file_bytes - kCheckpointDigestBytes, digest.bytes, path));
  if (digest != hasher.digest()) return corrupt(path, "its digest is wrong");

  file.lane.scale = header.scale;
  file.lane.denominator = header.denominator;
  file.journal.next_update = header.next_update;
  file.journal.next_segment = header.next_segment;
  CHORUS_OK(parse_lists(lists, path, file));
  return file;
}

}  // namespace

Result<void> write_checkpoint_file(const std::filesystem::path& folder,
                                   const CheckpointView& view) {
  const auto temporary = folder / kCheckpointTemporary;
  const auto path = folder / kCheckpointFile;
  if (auto written = write_temporary(temporary, view); !written) {
    ::unlink(temporary.c_str());  // gives the space back at once
    return std::move(written).error();
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    return errno_failure(errno, "renaming to", path);
  }
  return sync_folder(folder);
}

Result<std::optional<CheckpointFile>> read_checkpoint_file(const std::filesystem::path& folder) {
  const auto temporary = folder / kCheckpointTemporary;
  if (::unlink(temporary.c_str()) != 0 && errno != ENOENT) {
    return errno_failure(errno, "removing", temporary);
  }
  const auto path = folder / kCheckpointFile;
  auto fd = open_file(path, O_RDONLY);
  if (!fd && fd.error().code == errc::not_found) return std::optional<CheckpointFile>();
  if (!fd) return std::move(fd).error();
  CHORUS_TRY(auto file, read_file(fd->get(), path));
  return std::optional<CheckpointFile>(std::move(file));
}

}  // namespace chorus::server
