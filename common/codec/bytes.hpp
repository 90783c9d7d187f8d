// Little-endian numbers in payloads.
#pragma once

#include <bit>
#include <cstddef>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

namespace chorus::codec {

static_assert(std::endian::native == std::endian::little, "payloads are little-endian");

template <class T>
T load(std::span<const std::byte> bytes, std::size_t at) noexcept {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, bytes.subspan(at, sizeof value).data(), sizeof value);
  return value;
}

template <class T>
void store(std::span<std::byte> bytes, std::size_t at, const T& value) noexcept {
  static_assert(std::is_trivially_copyable_v<T>);
  std::memcpy(bytes.subspan(at, sizeof value).data(), &value, sizeof value);
}

template <class T>
void append(std::vector<std::byte>& bytes, const T& value) {
  const std::size_t at = bytes.size();
  bytes.resize(at + sizeof value);
  store(std::span(bytes), at, value);
}

/// `count` numbers, which may lie at any address.
template <class T>
void load_all(std::span<const std::byte> bytes, std::span<T> into) noexcept {
  if (!into.empty())
    std::memcpy(into.data(), bytes.first(into.size_bytes()).data(), into.size_bytes());
}

inline std::span<std::uint8_t> as_codes(std::span<std::byte> bytes) noexcept {
  return {reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()};
}
inline std::span<const std::uint8_t> as_codes(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

}  // namespace chorus::codec
