// Values to bytes and back for the journal. Every parse checks every bound and never trusts a
// length: files come back from disks, and names and numbers in them came from devices.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/result.hpp"
#include "server/store/journal_format.hpp"
#include "server/store/update_meta.hpp"

namespace chorus::server {

/// Appends little-endian values to a byte vector.
class ByteWriter {
 public:
  void u32(std::uint32_t value) { put(&value, sizeof value); }
  void i32(std::int32_t value) { put(&value, sizeof value); }
  void u64(std::uint64_t value) { put(&value, sizeof value); }
  void i64(std::int64_t value) { put(&value, sizeof value); }
  void f64(double value) { put(&value, sizeof value); }
  void bytes(std::span<const std::byte> data) { put(data.data(), data.size()); }
  void raw(std::string_view text) { put(text.data(), text.size()); }
  /// u32 length, then the text.
  void text(std::string_view value);

  std::span<const std::byte> view() const noexcept { return data_; }
  std::vector<std::byte> take() && { return std::move(data_); }

 private:
  void put(const void* data, std::size_t size);
  std::vector<std::byte> data_;
};

/// Takes little-endian values from bytes. After the first value that is not there everything reads
/// as zero and ok() is false.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> data) noexcept : rest_(data) {}

  std::uint32_t u32() noexcept { return number<std::uint32_t>(); }
  std::int32_t i32() noexcept { return number<std::int32_t>(); }
  std::uint64_t u64() noexcept { return number<std::uint64_t>(); }
  std::int64_t i64() noexcept { return number<std::int64_t>(); }
  double f64() noexcept { return number<double>(); }
  void bytes(std::span<std::byte> into) noexcept;
  /// The next `size` bytes where they lie; empty when there are fewer.
  std::span<const std::byte> view(std::size_t size) noexcept;
  /// A u32 length of at most `bytes_max`, then the text.
  std::string text(std::size_t bytes_max);

  std::size_t left() const noexcept { return rest_.size(); }
  bool ok() const noexcept { return ok_; }
  /// Everything was there, and nothing is left.
  bool finished() const noexcept { return ok_ && rest_.empty(); }

 private:
  template <class T>
  T number() noexcept {
    T value{};
    bytes(std::as_writable_bytes(std::span<T, 1>(&value, 1)));
    return value;
  }

  std::span<const std::byte> rest_;
  bool ok_ = true;
};

/// Whether the journal can hold this.
/// @errors invalid_argument: name, length or metrics beyond limits.hpp
Result<void> check_meta(const UpdateMeta& meta);

/// The payload of a begin record.
std::vector<std::byte> encode_meta(const UpdateMeta& meta);
/// @errors corrupt_data: truncated, bytes left over, or beyond what check_meta allows
Result<UpdateMeta> parse_meta(std::span<const std::byte> payload);

/// The payload of a commit record.
std::vector<std::byte> encode_commit(std::span<const std::uint64_t> ids);
/// @errors corrupt_data: empty, or not a whole number of ids
Result<std::vector<std::uint64_t>> parse_commit(std::span<const std::byte> payload);

struct RecordHeader {
  journal_format::RecordKind kind = journal_format::RecordKind::begin;
  std::uint64_t update = 0;
  std::uint64_t body_offset = 0;
  std::uint32_t payload_bytes = 0;
};

using RecordHeaderBytes = std::array<std::byte, journal_format::kRecordHeaderBytes>;

/// @param seed  the segment's salt + the record's offset in the file
RecordHeaderBytes encode_record_header(const RecordHeader& header,
                                       std::span<const std::byte> payload,
                                       std::uint64_t seed);
/// Nothing when magic, kind, reserved bytes or payload length are impossible. The checksum is not
/// looked at: the payload is still to be read.
std::optional<RecordHeader> parse_record_header(const RecordHeaderBytes& bytes);
/// True if the header's checksum is that of this header and payload at this place.
bool checksum_matches(const RecordHeaderBytes& header,
                      std::span<const std::byte> payload,
                      std::uint64_t seed);

using SegmentHeaderBytes = std::array<std::byte, journal_format::kSegmentHeaderBytes>;

/// What tells the segments of journals with different names apart.
std::uint64_t journal_identity(std::string_view name);
SegmentHeaderBytes encode_segment_header(std::uint64_t identity,
                                         std::uint64_t number,
                                         std::uint64_t salt);
/// The salt; nothing when it is not the header of segment `number` of this journal.
std::optional<std::uint64_t> parse_segment_header(const SegmentHeaderBytes& bytes,
                                                  std::uint64_t identity,
                                                  std::uint64_t number);

using MarkBytes = std::array<std::byte, journal_format::kMarkBytes>;

MarkBytes encode_mark(journal_format::Position position);
/// Nothing when the checksum is wrong: a mark is written without sync and may be torn.
std::optional<journal_format::Position> parse_mark(const MarkBytes& bytes);

}  // namespace chorus::server
