// Ascending indices in a payload, the shorter of two ways (top_k.cpp draws them).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "chorus/result.hpp"

namespace chorus::codec {

std::uint64_t index_bytes_max(std::uint64_t count) noexcept;

/// @param indices  ascending, below count
void put_indices(std::span<const std::uint32_t> indices,
                 std::uint64_t count,
                 std::vector<std::byte>& payload);

/// @param most  of them
/// @return bytes read
/// @errors shape_mismatch: the payload ends too early; malformed_message: not `most` at most, an
///         unknown coding, an index beyond count
Result<std::size_t> take_indices(std::span<const std::byte> payload,
                                 std::uint64_t count,
                                 std::uint32_t most,
                                 std::vector<std::uint32_t>& indices);

}  // namespace chorus::codec
