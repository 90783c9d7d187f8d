// Streams of bits, each byte filled from its highest bit, and Golomb-Rice codes in them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace chorus::codec {

class BitWriter {
 public:
  explicit BitWriter(std::vector<std::byte>& bytes) : bytes_(bytes) {}

  /// The lowest `count` bits of value, highest first. @pre count <= 32
  void put(std::uint32_t value, unsigned count);
  /// (n >> low) ones and a zero, then the `low` lowest bits of n. @pre low <= 30
  void put_rice(std::uint32_t n, unsigned low);
  /// The gap from `next`, the least index that may come, which becomes index + 1.
  void put_index(std::uint32_t index, std::uint32_t& next, unsigned low);

 private:
  std::vector<std::byte>& bytes_;
  unsigned free_ = 0;  ///< bits of the last byte
};

class BitReader {
 public:
  explicit BitReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  /// Nothing if the stream ends before.
  std::optional<std::uint32_t> take(unsigned count);
  /// Nothing if the stream ends before, or n would be beyond `max`.
  std::optional<std::uint32_t> take_rice(unsigned low, std::uint32_t max);
  /// What put_index wrote. Nothing if the stream ends before, or the index would not be below
  /// count.
  std::optional<std::uint32_t> take_index(std::uint64_t& next, std::uint64_t count, unsigned low);
  /// Whether all that is left are zeros, less than a byte of them.
  bool at_end() const noexcept;

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;  ///< bit
};

/// The parameter that codes gaps between the chosen of a share `density` of elements shortest:
/// 1 + ⌊log2(ln(φ − 1) / ln(1 − density))⌋, φ the golden ratio; 0..30.
/// @source  Golomb 1966; Sattler et al. 2019, "Robust and communication-efficient federated
///          learning from non-IID data"
unsigned rice_parameter(double density) noexcept;

}  // namespace chorus::codec
