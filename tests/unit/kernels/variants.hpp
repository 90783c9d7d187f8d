// What the kernel tests share: one variant at a time, awkward values, arrays at every alignment.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "chorus/kernels/kernels.hpp"

namespace chorus::test {

/// Uses one variant until the end of the scope.
class WithVariant {
 public:
  explicit WithVariant(std::string_view name) : before_(kernels::active_variant()) {
    EXPECT_TRUE(kernels::select_variant(name)) << name;
  }
  WithVariant(const WithVariant&) = delete;
  WithVariant& operator=(const WithVariant&) = delete;
  ~WithVariant() { EXPECT_TRUE(kernels::select_variant(before_)); }

 private:
  std::string before_;
};

/// An array that begins `offset` elements after a cache line, between two guards.
template <class T>
class Placed {
 public:
  Placed(std::span<const T> values, std::size_t offset) : size_(values.size()) {
    storage_.assign(size_ + 3 * kLine, guard());
    const auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
    const std::size_t skip = (kLine - address / sizeof(T) % kLine) % kLine;
    begin_ = skip + offset % kLine;
    std::copy(values.begin(), values.end(), storage_.begin() + static_cast<long>(begin_));
  }
  Placed(std::size_t size, std::size_t offset) : Placed(std::vector<T>(size), offset) {}

  std::span<T> span() { return std::span(storage_).subspan(begin_, size_); }
  std::vector<T> values() {
    const auto all = span();
    return {all.begin(), all.end()};
  }

  /// True if nothing before or after the array was written.
  bool guards_intact() const {
    for (std::size_t i = 0; i < storage_.size(); ++i) {
      if ((i < begin_ || i >= begin_ + size_) && storage_[i] != guard()) return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t kLine = 64 / sizeof(T);
  static T guard() { return static_cast<T>(-77); }

  std::size_t size_;
  std::size_t begin_ = 0;
  std::vector<T> storage_;
};

/// The bits of a vector, so that -0.0 differs from 0.0 and a NaN equals itself.
template <class T>
std::vector<std::uint64_t> bits_of(const std::vector<T>& values) {
  std::vector<std::uint64_t> bits;
  bits.reserve(values.size());
  for (const T value : values) {
    if constexpr (sizeof(T) == 4) {
      bits.push_back(std::bit_cast<std::uint32_t>(value));
    } else {
      bits.push_back(std::bit_cast<std::uint64_t>(value));
    }
  }
  return bits;
}

/// Finite floats: ordinary ones, halves (ties), zeros of both signs, denormals, extremes.
inline std::vector<float> awkward_floats(std::size_t n, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto signed_unit = [&] {
    return (static_cast<float>(random() >> 40U) * 0x1.0p-23F - 1.0F);
  };
  std::vector<float> values(n);
  for (float& value : values) {
    switch (random() % 8) {
      case 0:
        value = static_cast<float>(static_cast<int>(random() % 4001) - 2000) * 0.5F;
        break;
      case 1:
        value = random() % 2 == 0 ? 0.0F : -0.0F;
        break;
      case 2:
        value = signed_unit() * 0x1.0p-130F;
        break;
      case 3:
        value = signed_unit() * 0x1.0p20F;
        break;
      default:
        value = signed_unit();
        break;
    }
  }
  return values;
}

/// Lengths around every vector width, and a few beyond any unrolling.
inline std::vector<std::size_t> awkward_lengths() {
  std::vector<std::size_t> lengths;
  for (std::size_t n = 0; n <= 130; ++n) lengths.push_back(n);
  lengths.insert(lengths.end(), {1023, 4097, 10007});
  return lengths;
}

}  // namespace chorus::test
