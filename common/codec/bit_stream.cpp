#include "common/codec/bit_stream.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace chorus::codec {

void BitWriter::put(std::uint32_t value, unsigned count) {
  while (count > 0) {
    if (free_ == 0) {
      bytes_.push_back(std::byte{0});
      free_ = 8;
    }
    const unsigned now = std::min(count, free_);
    const std::uint32_t part = (value >> (count - now)) & ((1U << now) - 1U);
    bytes_.back() |= static_cast<std::byte>(part << (free_ - now));
    free_ -= now;
    count -= now;
  }
}

void BitWriter::put_rice(std::uint32_t n, unsigned low) {
  for (std::uint32_t ones = n >> low; ones > 0;) {
    const std::uint32_t now = std::min(ones, 31U);
    put((1U << now) - 1U, now);
    ones -= now;
  }
  put(0, 1);
  put(n & ((1U << low) - 1U), low);
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
