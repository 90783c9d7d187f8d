// Codes of 1 to 8 bits in a stream of bytes, and back; see body/codes-inl.hpp.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace chorus::kernels {
namespace {

// Widths that divide 8: every byte by itself.
template <unsigned kBits>
void pack_within(const uint8_t* codes, uint8_t* bytes, size_t n) {
  constexpr size_t kPer = 8 / kBits;
  const size_t whole = n / kPer;
  for (size_t i = 0; i < whole; ++i) {
    unsigned byte = 0;
    for (size_t j = 0; j < kPer; ++j) byte |= unsigned{codes[i * kPer + j]} << (j * kBits);
    bytes[i] = static_cast<uint8_t>(byte);
  }
  if (whole * kPer == n) return;
  unsigned byte = 0;
  for (size_t j = 0; whole * kPer + j < n; ++j) {
    byte |= unsigned{codes[whole * kPer + j]} << (j * kBits);
  }
  bytes[whole] = static_cast<uint8_t>(byte);
}

template <unsigned kBits>
void unpack_within(const uint8_t* bytes, uint8_t* codes, size_t n) {
  constexpr size_t kPer = 8 / kBits;
  constexpr unsigned kMask = (1U << kBits) - 1U;
  const size_t whole = n / kPer;
  for (size_t i = 0; i < whole; ++i) {
    for (size_t j = 0; j < kPer; ++j) {
      codes[i * kPer + j] = static_cast<uint8_t>((unsigned{bytes[i]} >> (j * kBits)) & kMask);
    }
  }
  for (size_t j = whole * kPer; j < n; ++j) {
    codes[j] =
        static_cast<uint8_t>((unsigned{bytes[whole]} >> ((j - whole * kPer) * kBits)) & kMask);
  }
}

// Other widths: eight codes are `bits` bytes.
void pack_across(const uint8_t* codes, unsigned bits, uint8_t* bytes, size_t n) {
  for (size_t i = 0; i < n; i += 8, bytes += bits) {
    const size_t count = n - i < 8 ? n - i : 8;
    uint64_t word = 0;
    for (size_t j = 0; j < count; ++j) word |= uint64_t{codes[i + j]} << (j * bits);
    const size_t used = (count * bits + 7) / 8;
    for (size_t b = 0; b < used; ++b) bytes[b] = static_cast<uint8_t>(word >> (8 * b));
  }
}

void unpack_across(const uint8_t* bytes, unsigned bits, uint8_t* codes, size_t n) {
  const uint64_t mask = (uint64_t{1} << bits) - 1;
  for (size_t i = 0; i < n; i += 8, bytes += bits) {
    const size_t count = n - i < 8 ? n - i : 8;
    const size_t used = (count * bits + 7) / 8;
    uint64_t word = 0;
    for (size_t b = 0; b < used; ++b) word |= uint64_t{bytes[b]} << (8 * b);
    for (size_t j = 0; j < count; ++j)
      codes[i + j] = static_cast<uint8_t>((word >> (j * bits)) & mask);
  }
}

void pack(const uint8_t* codes, unsigned bits, uint8_t* bytes, size_t n) {
  switch (bits) {
    case 1:
      return pack_within<1>(codes, bytes, n);
    case 2:
      return pack_within<2>(codes, bytes, n);
    case 4:
      return pack_within<4>(codes, bytes, n);
    case 8:
      return pack_within<8>(codes, bytes, n);
    default:
      return pack_across(codes, bits, bytes, n);
  }
}

void unpack(const uint8_t* bytes, unsigned bits, uint8_t* codes, size_t n) {
  switch (bits) {
    case 1:
      return unpack_within<1>(bytes, codes, n);
    case 2:
      return unpack_within<2>(bytes, codes, n);
    case 4:
      return unpack_within<4>(bytes, codes, n);
    case 8:
      return unpack_within<8>(bytes, codes, n);
    default:
      return unpack_across(bytes, bits, codes, n);
  }
}

}  // namespace
}  // namespace chorus::kernels
