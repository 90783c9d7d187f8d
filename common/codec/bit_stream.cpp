#include "common/codec/bit_stream.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace chorus::codec {

// The bits there are in the last byte, and the new ones, as bytes in one go.
void BitWriter::put(std::uint32_t value, unsigned count) {
  if (count == 0) return;
  const unsigned before = free_ == 0 ? 0 : 8 - free_;
  const std::uint64_t begun = before == 0 ? 0 : static_cast<std::uint64_t>(bytes_.back()) >> free_;
  const std::uint64_t fresh = value & (~0ULL >> (64 - count));
  const unsigned bytes = (before + count + 7) / 8;
  free_ = bytes * 8 - before - count;
  std::uint64_t bits = ((begun << count) | fresh) << free_;
  const std::size_t first = bytes_.size() - (before == 0 ? 0 : 1);
  bytes_.resize(first + bytes);
  for (unsigned at = bytes; at-- > 0; bits >>= 8) {
    bytes_[first + at] = static_cast<std::byte>(bits);
  }
}

void BitWriter::put_rice(std::uint32_t n, unsigned low) {
  std::uint32_t ones = n >> low;
  while (ones + 1 + low > 32) {
    const std::uint32_t now = std::min(ones, 31U);
    put((1U << now) - 1U, now);
    ones -= now;
  }
  const std::uint32_t head = ((1U << ones) - 1U) << 1U;
  put((head << low) | (n & ((1U << low) - 1U)), ones + 1 + low);
}

void BitWriter::put_index(std::uint32_t index, std::uint32_t& next, unsigned low) {
  put_rice(index - next, low);
  next = index + 1;
}

std::optional<std::uint32_t> BitReader::take(unsigned count) {
  if (at_ + count > bytes_.size() * 8) return std::nullopt;
  std::uint32_t value = 0;
  while (count > 0) {
    const unsigned offset = static_cast<unsigned>(at_ % 8);
    const unsigned now = std::min(count, 8 - offset);
    const auto byte = static_cast<std::uint32_t>(bytes_[at_ / 8]);
    value = (value << now) | ((byte >> (8 - offset - now)) & ((1U << now) - 1U));
    at_ += now;
    count -= now;
  }
  return value;
}

std::optional<std::uint32_t> BitReader::take_rice(unsigned low, std::uint32_t max) {
  std::uint32_t ones = 0;
  for (;;) {
    const auto bit = take(1);
    if (!bit) return std::nullopt;
    if (*bit == 0) break;
    if (++ones > max >> low) return std::nullopt;
  }
  const auto rest = take(low);
  if (!rest) return std::nullopt;
  const std::uint32_t n = (ones << low) | *rest;
  if (n > max) return std::nullopt;
  return n;
}

std::optional<std::uint32_t> BitReader::take_index(std::uint64_t& next,
                                                   std::uint64_t count,
                                                   unsigned low) {
  if (next >= count) return std::nullopt;
  const auto gap = take_rice(low, static_cast<std::uint32_t>(count - next - 1));
  if (!gap) return std::nullopt;
  const std::uint64_t index = next + *gap;
  next = index + 1;
  return static_cast<std::uint32_t>(index);
}

bool BitReader::at_end() const noexcept {
  const std::size_t left = bytes_.size() * 8 - at_;
  if (left >= 8) return false;
  if (left == 0) return true;
  return (static_cast<unsigned>(bytes_.back()) & ((1U << left) - 1U)) == 0;
}

unsigned rice_parameter(double density) noexcept {
  if (density >= 1.0) return 0;
  const double bits =
      1.0 + std::floor(std::log2(std::log(std::numbers::phi - 1.0) / std::log1p(-density)));
  return static_cast<unsigned>(std::clamp(bits, 0.0, 30.0));
}

}  // namespace chorus::codec
