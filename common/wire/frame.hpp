// Frames of chorus/1: a fixed 16-byte header, a protobuf message, a raw body. Pure: no I/O here.
//
//   offset  bytes  field
//        0      4  magic "CHRS"
//        4      1  version (1)
//        5      1  kind (FrameKind)
//        6      2  flags, little-endian; 0 in this version
//        8      4  message length, little-endian, <= limits::kMessageBytesMax
//       12      4  body length, little-endian, <= limits::kChunkBytesMax
//       16      …  message, then body
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "chorus/result.hpp"

namespace chorus::wire {

inline constexpr std::size_t kHeaderBytes = 16;
inline constexpr std::array<std::byte, 4> kMagic{
    std::byte{'C'}, std::byte{'H'}, std::byte{'R'}, std::byte{'S'}};
inline constexpr std::uint8_t kFrameVersion = 1;

/// Which message a frame carries. The numbers are on the wire.
enum class FrameKind : std::uint8_t {
  hello = 1,
  welcome = 2,
  ready = 3,
  work = 4,
  come_back = 5,
  fetch = 6,
  chunk = 7,  ///< the only kind that may have a body
  offer = 8,
  take = 9,
  refuse = 10,
  accepted = 11,
  decline = 12,
  cancel = 13,
  ping = 14,
  pong = 15,
  error = 16,
  goodbye = 17,
  enroll = 18,
  enrolled = 19,
  renew = 20,
  admin_request = 30,
  admin_reply = 31,
};

struct FrameHeader {
  FrameKind kind = FrameKind::ping;
  std::uint32_t message_bytes = 0;
  std::uint32_t body_bytes = 0;
  bool operator==(const FrameHeader&) const = default;
};

std::array<std::byte, kHeaderBytes> encode_header(const FrameHeader& header) noexcept;

/// @errors malformed_frame (magic, flags, kind, body on a kind that has none), frame_too_large,
///         unsupported_version; each says what was found and what was expected
Result<FrameHeader> decode_header(std::span<const std::byte, kHeaderBytes> bytes);

/// Incremental decoder: asks for exactly the bytes that it needs next.
///
///   while (true) {
///     fill(reader.want());                       // read exactly that many bytes
///     CHORUS_TRY(auto stage, reader.filled());
///     if (stage == Stage::body) { take a memory grant, then reader.set_body_buffer(…); }
///     if (stage == Stage::complete) { use header(), message(), body(); reader.reset(); }
///   }
class FrameReader {
 public:
  enum class Stage : std::uint8_t { header, message, body, complete };

  /// Where the next bytes go; never empty unless complete.
  /// @pre in stage body, set_body_buffer() was called
  std::span<std::byte> want() noexcept;
  /// The bytes of want() are there. Returns the new stage (empty parts are passed over).
  Result<Stage> filled();
  Stage stage() const noexcept { return stage_; }
  const FrameHeader& header() const noexcept { return header_; }
  std::span<const std::byte> message() const noexcept { return message_; }
  std::span<const std::byte> body() const noexcept { return body_; }
  /// @pre stage() == body, buffer.size() >= header().body_bytes; must outlive this frame
  void set_body_buffer(std::span<std::byte> buffer) noexcept;
  void reset() noexcept;

 private:
  Stage stage_ = Stage::header;
  std::array<std::byte, kHeaderBytes> header_bytes_{};
  FrameHeader header_;
  std::vector<std::byte> message_;
  std::span<std::byte> body_;
};

}  // namespace chorus::wire
