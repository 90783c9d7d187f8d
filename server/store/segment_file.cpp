#include "server/store/segment_file.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <utility>

#include "common/base/try.hpp"
#include "common/crypto/digest.hpp"

namespace chorus::server {

using journal_format::kMarkFile;
using journal_format::kRecordHeaderBytes;
using journal_format::kSegmentDigits;
using journal_format::kSegmentSuffix;
using journal_format::Position;

namespace {

// Space is reserved in doubling steps: a small round takes little, a big one asks rarely.
constexpr std::uint64_t kReserveFirst = 1U << 20U;
constexpr std::uint64_t kReserveStepMax = 64U << 20U;
constexpr std::uint64_t kWritebackStep = 1U << 20U;

}  // namespace

std::filesystem::path SegmentFile::name_of(std::uint64_t number) {
  return fmt::format("{:0{}}{}", number, kSegmentDigits, kSegmentSuffix);
}

std::optional<std::uint64_t> SegmentFile::number_of(const std::filesystem::path& name) {
  const std::string text = name.string();
  if (!text.ends_with(kSegmentSuffix)) return std::nullopt;
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size() - kSegmentSuffix.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stopped != end || number == 0 || name_of(number) != name) {
    return std::nullopt;
  }
  return number;
}

Result<std::shared_ptr<SegmentFile>> SegmentFile::create(const Place& place,
                                                         std::uint64_t expected_bytes,
                                                         SpareSegments* spares) {
  const auto path = place.path();
  std::unique_ptr<File> file;
  if (spares != nullptr) {
    CHORUS_TRY(file, spares->take(path));
  }
  const bool used_before = file != nullptr;
  if (!used_before) {
    CHORUS_TRY(file, place.disk->open(path, FileUse::replace));
  }
  std::shared_ptr<SegmentFile> segment(new SegmentFile(std::move(file), place.number));
  if (used_before) {
    CHORUS_TRY(segment->reserved_, segment->file_->size());
    segment->rubbish_ = true;
  }
  CHORUS_TRY(const auto random, random_bytes(sizeof segment->salt_));
  segment->salt_ = ByteReader(random).u64();
  const auto header = encode_segment_header(place.identity, place.number, segment->salt_);
  CHORUS_OK(segment->file_->write(0, header));
  segment->size_ = header.size();
  segment->expected_ = expected_bytes;
  CHORUS_OK(place.disk->sync_folder(place.folder));
  return segment;
}

Result<std::shared_ptr<SegmentFile>> SegmentFile::open(const Place& place) {
  CHORUS_TRY(auto file, place.disk->open(place.path(), FileUse::change));
  std::shared_ptr<SegmentFile> segment(new SegmentFile(std::move(file), place.number));
  CHORUS_TRY(segment->size_, segment->file_->size());
  segment->reserved_ = segment->size_;
  segment->writeback_ = segment->size_;
  SegmentHeaderBytes header{};
  if (segment->size_ < header.size()) return std::shared_ptr<SegmentFile>();
  CHORUS_OK(segment->file_->read(0, header));
  const auto salt = parse_segment_header(header, place.identity, place.number);
  if (!salt) return std::shared_ptr<SegmentFile>();
  segment->salt_ = *salt;
  return segment;
}

void SegmentFile::reserve(std::uint64_t bytes) {
  if (!can_reserve_ || bytes <= reserved_) return;
  const std::uint64_t step = std::clamp(reserved_, kReserveFirst, kReserveStepMax);
  const std::uint64_t wanted = std::max(bytes, std::min(reserved_ + step, expected_));
  if (file_->reserve(reserved_, wanted)) {
    reserved_ = wanted;
  } else {
    // Not every file system can, and a nearly full one will not; the write itself decides.
    can_reserve_ = false;
  }
}

Result<std::uint64_t> SegmentFile::append(const RecordHeader& header,
                                          std::span<const std::byte> payload) {
  const std::uint64_t record_bytes = kRecordHeaderBytes + payload.size();
  reserve(size_ + record_bytes);
  const auto head = encode_record_header(header, payload, seed_at(size_));
  dirty_ = true;
  if (auto written = file_->write_both(size_, head, payload); !written) {
    // What was written of it must not lie behind a later, shorter record. Should the cut fail as
    // well, the salted checksum still tells it from a record.
    static_cast<void>(file_->truncate(size_));
    reserved_ = size_;
    rubbish_ = false;
    return std::move(written).error();
  }
  const std::uint64_t payload_at = size_ + kRecordHeaderBytes;
  size_ += record_bytes;
  return payload_at;
}

void SegmentFile::start_writeback() {
  if (size_ - writeback_ < kWritebackStep) return;
  file_->start_writeback(writeback_, size_);
  writeback_ = size_;
}

Result<void> SegmentFile::sync() {
  if (!dirty_) return {};
  CHORUS_OK(file_->sync());
  dirty_ = false;
  writeback_ = size_;
  return {};
}

Result<void> SegmentFile::truncate(std::uint64_t bytes) {
  CHORUS_OK(file_->truncate(bytes));
  size_ = bytes;
  reserved_ = bytes;
  rubbish_ = false;
  writeback_ = std::min(writeback_, bytes);
  dirty_ = true;
  return {};
}

Result<void> SegmentFile::finish() {
  if (!rubbish_ && reserved_ < size_ + kReserveFirst) return {};
  return truncate(size_);
}

Result<DurableMark> DurableMark::open(Disk& disk, const std::filesystem::path& folder) {
  CHORUS_TRY(auto file, disk.open(folder / kMarkFile, FileUse::keep));
  DurableMark mark(std::move(file));
  MarkBytes bytes{};
  auto read = mark.file_->read(0, bytes);
  if (!read && read.error().code != errc::corrupt_data) return std::move(read).error();
  if (read) mark.position_ = parse_mark(bytes).value_or(Position{});
  return mark;
}

Result<void> DurableMark::move_to(Position position) {
  CHORUS_OK(file_->write(0, encode_mark(position)));
  position_ = position;
  return {};
}

}  // namespace chorus::server
