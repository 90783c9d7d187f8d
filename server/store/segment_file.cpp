#include "server/store/segment_file.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/uio.h>
#include <unistd.h>

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

/// Header and payload in one call, so that a small record is one write.
Result<void> write_record(int fd,
                          std::uint64_t offset,
                          std::span<const std::byte> header,
                          std::span<const std::byte> payload,
                          const std::filesystem::path& path) {
  while (!header.empty()) {
    std::array<iovec, 2> parts{{{const_cast<std::byte*>(header.data()), header.size()},
                                {const_cast<std::byte*>(payload.data()), payload.size()}}};
    const ssize_t put = ::pwritev(fd, parts.data(), parts.size(), static_cast<off_t>(offset));
    if (put < 0) {
      if (errno == EINTR) continue;
      return errno_failure(errno, "writing", path);
    }
    const auto count = static_cast<std::size_t>(put);
    const std::size_t of_header = std::min(count, header.size());
    header = header.subspan(of_header);
    payload = payload.subspan(count - of_header);
    offset += count;
  }
  return write_at(fd, offset, payload, path);
}

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
  UniqueFd fd;
  if (spares != nullptr) {
    CHORUS_TRY(fd, spares->take(path));
  }
  const bool used_before = fd.is_open();
  if (!used_before) {
    CHORUS_TRY(fd, open_file(path, O_RDWR | O_CREAT | O_TRUNC));
  }
  std::shared_ptr<SegmentFile> segment(new SegmentFile(std::move(fd), path, place.number));
  if (used_before) {
    CHORUS_TRY(segment->reserved_, file_size(segment->fd(), path));
    segment->rubbish_ = true;
  }
  CHORUS_TRY(const auto random, random_bytes(sizeof segment->salt_));
  segment->salt_ = ByteReader(random).u64();
  const auto header = encode_segment_header(place.identity, place.number, segment->salt_);
  CHORUS_OK(write_at(segment->fd(), 0, header, path));
  segment->size_ = header.size();
  segment->expected_ = expected_bytes;
  CHORUS_OK(sync_folder(place.folder));
  return segment;
}

Result<std::shared_ptr<SegmentFile>> SegmentFile::open(const Place& place) {
  const auto path = place.path();
  CHORUS_TRY(auto fd, open_file(path, O_RDWR));
  std::shared_ptr<SegmentFile> segment(new SegmentFile(std::move(fd), path, place.number));
  CHORUS_TRY(segment->size_, file_size(segment->fd(), path));
  segment->reserved_ = segment->size_;
  segment->writeback_ = segment->size_;
  SegmentHeaderBytes header{};
  if (segment->size_ < header.size()) return std::shared_ptr<SegmentFile>();
  CHORUS_OK(read_at(segment->fd(), 0, header, path));
  const auto salt = parse_segment_header(header, place.identity, place.number);
  if (!salt) return std::shared_ptr<SegmentFile>();
  segment->salt_ = *salt;
  return segment;
}

void SegmentFile::reserve(std::uint64_t bytes) {
  if (!can_reserve_ || bytes <= reserved_) return;
  const std::uint64_t step = std::clamp(reserved_, kReserveFirst, kReserveStepMax);
  const std::uint64_t wanted = std::max(bytes, std::min(reserved_ + step, expected_));
  const int done = ::fallocate(fd(),
                               FALLOC_FL_KEEP_SIZE,
                               static_cast<off_t>(reserved_),
                               static_cast<off_t>(wanted - reserved_));
  if (done == 0) {
    reserved_ = wanted;
  } else if (errno != EINTR) {
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
  if (auto written = write_record(fd(), size_, head, payload, path_); !written) {
    // What was written of it must not lie behind a later, shorter record. Should the cut fail as
    // well, the salted checksum still tells it from a record.
    while (::ftruncate(fd(), static_cast<off_t>(size_)) != 0 && errno == EINTR) {
    }
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
  // An error shows again in sync().
  static_cast<void>(::sync_file_range(fd(),
                                      static_cast<off64_t>(writeback_),
                                      static_cast<off64_t>(size_ - writeback_),
                                      SYNC_FILE_RANGE_WRITE));
  writeback_ = size_;
}

Result<void> SegmentFile::sync() {
  if (!dirty_) return {};
  CHORUS_OK(sync_file(fd(), path_));
  dirty_ = false;
  writeback_ = size_;
  return {};
}

Result<void> SegmentFile::truncate(std::uint64_t bytes) {
  if (::ftruncate(fd(), static_cast<off_t>(bytes)) != 0) {
    return errno_failure(errno, "truncating", path_);
  }
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

Result<DurableMark> DurableMark::open(const std::filesystem::path& folder) {
  const auto path = folder / kMarkFile;
  CHORUS_TRY(auto fd, open_file(path, O_RDWR | O_CREAT));
  DurableMark mark(std::move(fd), path);
  MarkBytes bytes{};
  auto read = read_at(mark.fd_.get(), 0, bytes, path);
  if (!read && read.error().code != errc::corrupt_data) return std::move(read).error();
  if (read) mark.position_ = parse_mark(bytes).value_or(Position{});
  return mark;
}

Result<void> DurableMark::move_to(Position position) {
  CHORUS_OK(write_at(fd_.get(), 0, encode_mark(position), path_));
  position_ = position;
  return {};
}

}  // namespace chorus::server
