#include "common/tensor/aligned_buffer.hpp"

#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

namespace chorus::tensor::detail {
namespace {

std::size_t round_up(std::size_t bytes, std::size_t multiple) noexcept {
  return (bytes + multiple - 1) / multiple * multiple;
}

// mmap aligns to 4 KiB only: map one huge page more, and give back what sticks out.
void* map_huge(std::size_t bytes) noexcept {
  const std::size_t wanted = round_up(bytes, kHugePageBytes);
  const std::size_t mapped = wanted + kHugePageBytes;
  void* const raw =
      ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  const auto address = reinterpret_cast<std::uintptr_t>(raw);
  const std::size_t before = round_up(address, kHugePageBytes) - address;
  auto* const start = static_cast<std::byte*>(raw) + before;
  if (before > 0) ::munmap(raw, before);
  if (kHugePageBytes - before > 0) ::munmap(start + wanted, kHugePageBytes - before);
  ::madvise(start, wanted, MADV_HUGEPAGE);  // a hint: kernels without huge pages refuse it
  return start;
}

}  // namespace

void* allocate_aligned(std::size_t bytes) noexcept {
  if (bytes >= kHugePageBytes) return map_huge(bytes);
  return std::aligned_alloc(kBufferAlignment, round_up(bytes, kBufferAlignment));
}

void free_aligned(void* memory, std::size_t bytes) noexcept {
  if (memory == nullptr) return;
  if (bytes >= kHugePageBytes) {
    ::munmap(memory, round_up(bytes, kHugePageBytes));
  } else {
    std::free(memory);
  }
}

void zero_fresh(void* memory, std::size_t bytes) noexcept {
  if (bytes < kHugePageBytes) std::memset(memory, 0, bytes);
}

}  // namespace chorus::tensor::detail
