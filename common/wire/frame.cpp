#include "common/wire/frame.hpp"

#include <algorithm>
#include <string>

#include "common/base/assert.hpp"
#include "common/base/limits.hpp"
#include "common/wire/messages.hpp"

namespace chorus::wire {
namespace {

constexpr std::size_t kVersionAt = 4;
constexpr std::size_t kKindAt = 5;
constexpr std::size_t kFlagsAt = 6;
constexpr std::size_t kMessageBytesAt = 8;
constexpr std::size_t kBodyBytesAt = 12;

// A session that once received a long message must not keep its buffer for ever.
constexpr std::size_t kMessageCapacityKept = 4096;

void put_u32(std::span<std::byte, 4> into, std::uint32_t value) noexcept {
  for (std::size_t i = 0; i < 4; ++i) into[i] = static_cast<std::byte>((value >> (8 * i)) & 0xFFU);
}

std::uint32_t get_u32(std::span<const std::byte, 4> from) noexcept {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value |= std::to_integer<std::uint32_t>(from[i]) << (8 * i);
  return value;
}

std::string hex_of(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::byte b : bytes) {
    text += kDigits[std::to_integer<std::size_t>(b >> 4U)];
    text += kDigits[std::to_integer<std::size_t>(b & std::byte{0x0F})];
  }
  return text;
}

Result<void> check_lengths(const FrameHeader& header) {
  if (header.message_bytes > limits::kMessageBytesMax) {
    return fail(errc::frame_too_large,
                std::string(name_of(header.kind)) + " frame announces a message of " +
                    std::to_string(header.message_bytes) + " bytes; at most " +
                    std::to_string(limits::kMessageBytesMax) + " are allowed");
  }
  if (header.kind != FrameKind::chunk && header.body_bytes != 0) {
    return fail(errc::malformed_frame,
                std::string(name_of(header.kind)) + " frame announces a body of " +
                    std::to_string(header.body_bytes) + " bytes; only chunk frames have one");
  }
  if (header.body_bytes > limits::kChunkBytesMax) {
    return fail(errc::frame_too_large,
                "chunk frame announces a body of " + std::to_string(header.body_bytes) +
                    " bytes; at most " + std::to_string(limits::kChunkBytesMax) + " are allowed");
  }
  return {};
}

}  // namespace

std::array<std::byte, kHeaderBytes> encode_header(const FrameHeader& header) noexcept {
  std::array<std::byte, kHeaderBytes> bytes{};
  std::copy(kMagic.begin(), kMagic.end(), bytes.begin());
  bytes[kVersionAt] = std::byte{kFrameVersion};
  bytes[kKindAt] = static_cast<std::byte>(header.kind);
  const std::span all(bytes);
  put_u32(all.subspan<kMessageBytesAt, 4>(), header.message_bytes);
  put_u32(all.subspan<kBodyBytesAt, 4>(), header.body_bytes);
  return bytes;
}

Result<FrameHeader> decode_header(std::span<const std::byte, kHeaderBytes> bytes) {
  const auto magic = bytes.first<4>();
  if (!std::equal(kMagic.begin(), kMagic.end(), magic.begin())) {
    return fail(errc::malformed_frame,
                "frame begins with bytes " + hex_of(magic) +
                    "; expected 43485253 (\"CHRS\"): the peer does not speak chorus/1");
  }
  const auto version = std::to_integer<std::uint8_t>(bytes[kVersionAt]);
  if (version != kFrameVersion) {
    return fail(errc::unsupported_version,
                "frame version " + std::to_string(version) + "; this build understands version " +
                    std::to_string(kFrameVersion));
  }
  FrameHeader header;
  header.kind = static_cast<FrameKind>(std::to_integer<std::uint8_t>(bytes[kKindAt]));
  if (name_of(header.kind).empty()) {
    return fail(errc::malformed_frame,
                "frame of unknown kind " +
                    std::to_string(std::to_integer<unsigned>(bytes[kKindAt])) +
                    "; expected one of protocol chorus/1");
  }
  if (bytes[kFlagsAt] != std::byte{0} || bytes[kFlagsAt + 1] != std::byte{0}) {
    return fail(errc::malformed_frame,
                std::string(name_of(header.kind)) + " frame has flags " +
                    hex_of(bytes.subspan<kFlagsAt, 2>()) + "; expected 0000");
  }
  header.message_bytes = get_u32(bytes.subspan<kMessageBytesAt, 4>());
  header.body_bytes = get_u32(bytes.subspan<kBodyBytesAt, 4>());
  if (auto checked = check_lengths(header); !checked) return std::move(checked).error();
  return header;
}

std::span<std::byte> FrameReader::want() noexcept {
  switch (stage_) {
    case Stage::header:
      return header_bytes_;
    case Stage::message:
      return message_;
    case Stage::body:
      CHORUS_ASSERT(body_.size() == header_.body_bytes);
      return body_;
    case Stage::complete:
      break;
  }
  return {};
}

Result<FrameReader::Stage> FrameReader::filled() {
  switch (stage_) {
    case Stage::header: {
      auto header = decode_header(header_bytes_);
      if (!header) return std::move(header).error();
      header_ = *header;
      message_.resize(header_.message_bytes);
      stage_ = !message_.empty()         ? Stage::message
               : header_.body_bytes != 0 ? Stage::body
                                         : Stage::complete;
      break;
    }
    case Stage::message:
      stage_ = header_.body_bytes != 0 ? Stage::body : Stage::complete;
      break;
    case Stage::body:
      stage_ = Stage::complete;
      break;
    case Stage::complete:
      break;
  }
  return stage_;
}

void FrameReader::set_body_buffer(std::span<std::byte> buffer) noexcept {
  CHORUS_ASSERT(stage_ == Stage::body && buffer.size() >= header_.body_bytes);
  body_ = buffer.first(header_.body_bytes);
}

void FrameReader::reset() noexcept {
  stage_ = Stage::header;
  header_ = {};
  body_ = {};
  message_.clear();
  if (message_.capacity() > kMessageCapacityKept) message_ = {};
}

}  // namespace chorus::wire
