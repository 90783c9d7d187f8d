#include "common/codec/rans.hpp"

#include <algorithm>

#include "common/codec/bytes.hpp"

namespace chorus::codec {
namespace {

constexpr std::uint32_t kLow = 1U << 23U;
constexpr std::size_t kStateBytes = 4;

std::array<std::uint32_t, 257> starts_of(const Frequencies& frequencies) {
  std::array<std::uint32_t, 257> starts{};
  for (std::size_t s = 0; s < frequencies.of.size(); ++s) {
    starts.at(s + 1) = starts.at(s) + frequencies.of.at(s);
  }
  return starts;
}

}  // namespace

Frequencies frequencies_of(std::span<const std::uint8_t> symbols, std::size_t alphabet) {
  std::array<std::uint64_t, 256> counts{};
  for (const std::uint8_t symbol : symbols) ++counts[symbol];
  Frequencies made;
  const std::uint64_t whole = std::uint64_t{1} << made.bits;
  std::int64_t left = static_cast<std::int64_t>(whole);
  for (std::size_t s = 0; s < alphabet; ++s) {
    if (counts.at(s) == 0) continue;
    const std::uint64_t share = (counts.at(s) * whole + symbols.size() / 2) / symbols.size();
    made.of.at(s) = static_cast<std::uint16_t>(std::max<std::uint64_t>(share, 1));
    left -= made.of.at(s);
  }
  // What rounding gave too much or too little, the most frequent ones bear.
  while (left != 0) {
    auto most = std::max_element(made.of.begin(), made.of.end());
    const std::int64_t change = left > 0 ? left : std::max<std::int64_t>(left, -(*most / 2));
    *most = static_cast<std::uint16_t>(*most + change);
    left -= change;
  }
  return made;
}

void rans_encode(std::span<const std::uint8_t> symbols,
                 const Frequencies& frequencies,
                 std::vector<std::byte>& to) {
  const auto starts = starts_of(frequencies);
  std::vector<std::byte> emitted;
  std::uint32_t state = kLow;
  for (std::size_t i = symbols.size(); i-- > 0;) {
    const std::uint32_t frequency = frequencies.of[symbols[i]];
    const std::uint32_t most = ((kLow >> frequencies.bits) << 8U) * frequency;
    while (state >= most) {
      emitted.push_back(static_cast<std::byte>(state));
      state >>= 8U;
    }
    state = ((state / frequency) << frequencies.bits) + state % frequency + starts[symbols[i]];
  }
  append(to, state);
  to.insert(to.end(), emitted.rbegin(), emitted.rend());
}

bool rans_decode(std::span<const std::byte> from,
                 const Frequencies& frequencies,
                 std::span<std::uint8_t> symbols) {
  if (from.size() < kStateBytes) return false;
  const auto starts = starts_of(frequencies);
  const std::uint32_t mask = (1U << frequencies.bits) - 1U;
  std::vector<std::uint8_t> symbol_at(std::size_t{1} << frequencies.bits);
  for (std::size_t s = 0; s < frequencies.of.size(); ++s) {
    std::fill(symbol_at.begin() + starts.at(s),
              symbol_at.begin() + starts.at(s + 1),
              static_cast<std::uint8_t>(s));
  }
  auto state = load<std::uint32_t>(from, 0);
  std::size_t next = kStateBytes;
  for (std::uint8_t& symbol : symbols) {
    const std::uint32_t at = state & mask;
    symbol = symbol_at[at];
    state = frequencies.of[symbol] * (state >> frequencies.bits) + at - starts[symbol];
    while (state < kLow) {
      if (next == from.size()) return false;
      state = (state << 8U) | static_cast<std::uint32_t>(from[next++]);
    }
  }
  return state == kLow && next == from.size();
}

}  // namespace chorus::codec
