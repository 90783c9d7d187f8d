// Range coding of symbols whose frequencies are known: a fraction of a bit for a frequent one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace chorus::codec {

/// How often each symbol comes, of 2^bits.
struct Frequencies {
  std::array<std::uint16_t, 256> of{};
  unsigned bits = 12;
};

/// In 4096 parts; a symbol that occurs has one at least.
/// @pre not empty; every symbol below `alphabet`, which is 2..256
Frequencies frequencies_of(std::span<const std::uint8_t> symbols, std::size_t alphabet);

/// Appends the final state (u32) and the bytes in the order in which they are read: rANS with one
/// state in [2^23, 2^31), renormalised by bytes, the symbols taken from the last to the first.
/// @source  Duda 2013, "Asymmetric numeral systems"; Giesen 2014, "Interleaved entropy coders"
void rans_encode(std::span<const std::uint8_t> symbols,
                 const Frequencies& frequencies,
                 std::vector<std::byte>& to);

/// False if the bytes are not those of so many symbols. Nothing is read beyond them.
/// @pre the frequencies add up to 2^bits
bool rans_decode(std::span<const std::byte> from,
                 const Frequencies& frequencies,
                 std::span<std::uint8_t> symbols);

}  // namespace chorus::codec
