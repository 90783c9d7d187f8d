// How a fuzz input says which codec its payload is of.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "chorus/codec.hpp"

namespace chorus::fuzz {

inline constexpr std::size_t kCodecHeader = 8;

struct CodecInput {
  Codec codec;
  std::uint16_t count = 0;  ///< elements
};

/// kind, bits or rank, log2 of bucket, 1/density, flags (entropy, Euclidean norm, least error,
/// shared rows), columns, count.
inline std::array<std::byte, kCodecHeader> header_of(const CodecInput& input) {
  const Codec& codec = input.codec;
  const unsigned flags = (codec.entropy ? 1U : 0U) | (codec.norm == CodecNorm::l2 ? 2U : 0U) |
                         (codec.least_error ? 4U : 0U) | (codec.shares_rows ? 8U : 0U);
  return {static_cast<std::byte>(codec.kind),
          static_cast<std::byte>(codec.kind >= CodecKind::low_rank ? codec.rank : codec.bits),
          static_cast<std::byte>(std::countr_zero(codec.bucket)),
          static_cast<std::byte>(static_cast<int>(1.0 / codec.density)),
          static_cast<std::byte>(flags),
          static_cast<std::byte>(codec.columns),
          static_cast<std::byte>(input.count & 0xFFU),
          static_cast<std::byte>(input.count >> 8U)};
}

inline CodecInput codec_of(std::span<const std::byte> header) {
  const auto byte = [header](std::size_t at) { return static_cast<std::uint32_t>(header[at]); };
  CodecInput input;
  input.codec.kind = static_cast<CodecKind>(byte(0));
  input.codec.bits = byte(1);
  input.codec.rank = byte(1);
  input.codec.bucket = 1U << (byte(2) % 32);
  input.codec.density = 1.0 / static_cast<double>(byte(3) == 0 ? 1 : byte(3));
  input.codec.entropy = (byte(4) & 1U) != 0;
  input.codec.norm = (byte(4) & 2U) != 0 ? CodecNorm::l2 : CodecNorm::maximum;
  input.codec.least_error = (byte(4) & 4U) != 0;
  input.codec.shares_rows = (byte(4) & 8U) != 0;
  input.codec.columns = byte(5);
  input.count = static_cast<std::uint16_t>(byte(6) | byte(7) << 8U);
  return input;
}

}  // namespace chorus::fuzz
