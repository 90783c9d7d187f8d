// AlignedBuffer: memory for numbers. 64-byte aligned, on huge pages when large, move-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "chorus/result.hpp"

namespace chorus::tensor {

inline constexpr std::size_t kBufferAlignment = 64;
inline constexpr std::size_t kHugePageBytes = 2U << 20U;

namespace detail {
/// At least `bytes` bytes at a multiple of kBufferAlignment (of kHugePageBytes from there on up),
/// or null when there is no memory. From kHugePageBytes on the memory is mapped, with
/// madvise(MADV_HUGEPAGE), and therefore zero, and returned to the system when freed.
void* allocate_aligned(std::size_t bytes) noexcept;
void free_aligned(void* memory, std::size_t bytes) noexcept;
void zero_fresh(void* memory, std::size_t bytes) noexcept;  ///< does nothing for mapped memory
}  // namespace detail

/// Whether a fresh buffer's elements are zero or indeterminate.
enum class Fill : std::uint8_t { uninitialised, zero };

/// An owned array of `size()` elements. The address is a multiple of kBufferAlignment; moving keeps
/// it. An empty buffer has a null address.
template <class T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= kBufferAlignment);

 public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;

  AlignedBuffer() = default;

  /// Throws std::bad_alloc like `new`; use create() where the size comes from outside.
  explicit AlignedBuffer(std::size_t count, Fill fill = Fill::uninitialised)
      : data_(allocate(count)), size_(count) {
    if (count > 0 && data_ == nullptr) throw std::bad_alloc();
    if (fill == Fill::zero && count > 0) detail::zero_fresh(data_, count * sizeof(T));
  }

  /// @errors busy: there is not enough memory
  static Result<AlignedBuffer> create(std::size_t count, Fill fill = Fill::uninitialised) {
    AlignedBuffer buffer;
    buffer.data_ = allocate(count);
    if (count > 0 && buffer.data_ == nullptr) {
      return fail(errc::busy,
                  "no memory for " + std::to_string(count) + " elements of " +
                      std::to_string(sizeof(T)) + " bytes");
    }
    buffer.size_ = count;
    if (fill == Fill::zero && count > 0) detail::zero_fresh(buffer.data_, count * sizeof(T));
    return buffer;
  }

  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    if (this != &other) {
      detail::free_aligned(data_, size_ * sizeof(T));
      data_ = std::exchange(other.data_, nullptr);
      size_ = std::exchange(other.size_, 0);
    }
    return *this;
  }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  ~AlignedBuffer() { detail::free_aligned(data_, size_ * sizeof(T)); }

  T* data() noexcept { return data_; }
  const T* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  T* begin() noexcept { return data_; }
  T* end() noexcept { return data_ + size_; }
  const T* begin() const noexcept { return data_; }
  const T* end() const noexcept { return data_ + size_; }
  T& operator[](std::size_t index) noexcept { return data_[index]; }
  const T& operator[](std::size_t index) const noexcept { return data_[index]; }
  std::span<T> span() noexcept { return {data_, size_}; }
  std::span<const T> span() const noexcept { return {data_, size_}; }

 private:
  static T* allocate(std::size_t count) noexcept {
    if (count == 0 || count > std::numeric_limits<std::size_t>::max() / 2 / sizeof(T)) {
      return nullptr;
    }
    return static_cast<T*>(detail::allocate_aligned(count * sizeof(T)));
  }

  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace chorus::tensor
