#include "server/store/checkpoint_file.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

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
  explicit HashedWriter(File& file) : file_(file) {}

  Result<void> put(std::span<const std::byte> data) {
    while (!data.empty()) {
      const auto piece = data.first(std::min(data.size(), kPieceBytes));
      hasher_.update(piece);
      CHORUS_OK(file_.write(offset_, piece));
      file_.start_writeback(offset_, offset_ + piece.size());
      offset_ += piece.size();
      data = data.subspan(piece.size());
    }
    return {};
  }
  Result<void> finish() {
    CHORUS_OK(file_.write(offset_, hasher_.digest().bytes));
    return file_.sync();
  }

 private:
  File& file_;
  BodyHasher hasher_;
  std::uint64_t offset_ = 0;
};

Result<void> write_temporary(Disk& disk,
                             const std::filesystem::path& path,
                             const CheckpointView& view) {
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

  CHORUS_TRY(const auto file, disk.open(path, FileUse::replace));
  const std::uint64_t total =
      header.view().size() + lists.size() + view.sums.size_bytes() + kCheckpointDigestBytes;
  // Reserving finds out early when the disk is too small; where it is not possible, writing will.
  auto reserved = file->reserve(0, total);
  if (!reserved && reserved.error().code == errc::disk_full) return reserved;
  HashedWriter writer(*file);
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

Result<void> read_hashed(const File& file,
                         std::uint64_t offset,
                         std::span<std::byte> into,
                         BodyHasher& hasher) {
  while (!into.empty()) {
    const auto piece = into.first(std::min(into.size(), kPieceBytes));
    CHORUS_OK(file.read(offset, piece));
    hasher.update(piece);
    offset += piece.size();
    into = into.subspan(piece.size());
  }
  return {};
}

Result<CheckpointFile> read_file(const File& from) {
  const std::filesystem::path& path = from.path();
  CHORUS_TRY(const std::uint64_t file_bytes, from.size());
  if (file_bytes < kCheckpointHeaderBytes + kCheckpointDigestBytes) {
    return corrupt(path, fmt::format("it has only {} bytes", file_bytes));
  }
  BodyHasher hasher;
  std::array<std::byte, kCheckpointHeaderBytes> head{};
  CHORUS_OK(read_hashed(from, 0, head, hasher));
  CHORUS_TRY(const Header header, parse_header(head, file_bytes, path));

  std::vector<std::byte> lists(header.lists_bytes);
  CHORUS_OK(read_hashed(from, head.size(), lists, hasher));
  CheckpointFile file;
  CHORUS_TRY(file.lane.sums, tensor::AlignedBuffer<std::int64_t>::create(header.sums));
  const auto sums = std::as_writable_bytes(file.lane.sums.span());
  CHORUS_OK(read_hashed(from, head.size() + lists.size(), sums, hasher));
  BodyDigest digest;
  CHORUS_OK(from.read(file_bytes - kCheckpointDigestBytes, digest.bytes));
  if (digest != hasher.digest()) return corrupt(path, "its digest is wrong");

  file.lane.scale = header.scale;
  file.lane.denominator = header.denominator;
  file.journal.next_update = header.next_update;
  file.journal.next_segment = header.next_segment;
  CHORUS_OK(parse_lists(lists, path, file));
  return file;
}

}  // namespace

Result<void> write_checkpoint_file(Disk& disk,
                                   const std::filesystem::path& folder,
                                   const CheckpointView& view) {
  const auto temporary = folder / kCheckpointTemporary;
  const auto path = folder / kCheckpointFile;
  if (auto written = write_temporary(disk, temporary, view); !written) {
    static_cast<void>(disk.remove_if_there(temporary));  // gives the space back at once
    return std::move(written).error();
  }
  CHORUS_OK(disk.rename(temporary, path));
  return disk.sync_folder(folder);
}

Result<std::optional<CheckpointFile>> read_checkpoint_file(Disk& disk,
                                                           const std::filesystem::path& folder) {
  CHORUS_OK(disk.remove_if_there(folder / kCheckpointTemporary));
  const auto opened = disk.open(folder / kCheckpointFile, FileUse::read);
  if (!opened && opened.error().code == errc::not_found) return std::optional<CheckpointFile>();
  if (!opened) return opened.error();
  CHORUS_TRY(auto file, read_file(**opened));
  return std::optional<CheckpointFile>(std::move(file));
}

}  // namespace chorus::server
