// Byte layout of a round's journal. README.md draws it; every number of it is here. All integers
// are little-endian.
#pragma once

#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace chorus::server::journal_format {

static_assert(std::endian::native == std::endian::little, "formats are written as they lie");

inline constexpr std::uint32_t kVersion = 1;

// Segment header: magic, version u32, zero u32, number u64, salt u64, XXH3-64 of all that,
// seeded with XXH3-64 of the journal's name: a file that was another journal's is known by it.
inline constexpr std::string_view kSegmentMagic = "CHRSSEGM";
inline constexpr std::size_t kSegmentHeaderBytes = 40;
inline constexpr std::string_view kSegmentSuffix = ".seg";
inline constexpr std::size_t kSegmentDigits = 6;

// Record header: magic u32, kind u32, update id u64, body offset u64, payload bytes u32, zero u32,
// checksum u64. The payload follows.
// checksum = XXH3-64(payload, seed = XXH3-64(header without checksum, seed = salt + file offset)).
// The salt is random: bytes that a device sends can never pass for a record, wherever they lie.
inline constexpr std::uint32_t kRecordMagic = 0x43455243;  // "CREC"
inline constexpr std::size_t kRecordHeaderBytes = 40;
inline constexpr std::size_t kRecordCheckedBytes = 32;
inline constexpr std::size_t kPayloadBytesMax = 16U << 20U;

// Durable mark: magic, segment u64, offset u64, XXH3-64 of all that.
inline constexpr std::string_view kMarkMagic = "CHRSMARK";
inline constexpr std::size_t kMarkBytes = 32;
inline constexpr std::string_view kMarkFile = "durable.mark";

// Lane checkpoint: magic, version u32, scale i32, denominator i64, next update id u64, next segment
// u64, bytes of the lists u64, elements of the sums u64; the lists; the sums i64[]; XXH3-128.
inline constexpr std::string_view kCheckpointMagic = "CHRSLANE";
inline constexpr std::size_t kCheckpointHeaderBytes = 56;
inline constexpr std::size_t kCheckpointDigestBytes = 16;
inline constexpr std::string_view kCheckpointFile = "checkpoint";
inline constexpr std::string_view kCheckpointTemporary = "checkpoint.tmp";

/// What a record says about its update.
enum class RecordKind : std::uint32_t {
  begin = 1,    ///< payload: the UpdateMeta. The same id again: the metadata was corrected
  chunk = 2,    ///< payload: body bytes from `body offset` on, continuing the update's last chunk
  commit = 3,   ///< payload: u64 ids of the updates that are complete; its own id is 0
  abandon = 4,  ///< no payload: forget the update
};

/// A place in the journal. Segments are ordered by number.
struct Position {
  std::uint64_t segment = 0;
  std::uint64_t offset = 0;
  auto operator<=>(const Position&) const = default;
};

}  // namespace chorus::server::journal_format
