#include "common/tensor/aligned_buffer.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

namespace chorus::tensor {
namespace {

static_assert(!std::is_copy_constructible_v<AlignedBuffer<float>>);
static_assert(std::is_nothrow_move_constructible_v<AlignedBuffer<float>>);

std::uintptr_t address(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer);
}

TEST(AlignedBuffer, IsAlignedAtEverySize) {
  for (const std::size_t count : {1U, 3U, 16U, 17U, 1000U, 524287U, 524288U, 524289U, 3000000U}) {
    AlignedBuffer<float> buffer(count, Fill::zero);
    ASSERT_EQ(buffer.size(), count);
    EXPECT_EQ(address(buffer.data()) % kBufferAlignment, 0U) << count;
    EXPECT_TRUE(std::all_of(buffer.begin(), buffer.end(), [](float x) { return x == 0.0F; }));
    buffer[0] = 1.0F;
    buffer[count - 1] = 2.0F;
  }
}

TEST(AlignedBuffer, IsOnHugePagesWhenLarge) {
  const AlignedBuffer<float> buffer(kHugePageBytes / sizeof(float));
  EXPECT_EQ(address(buffer.data()) % kHugePageBytes, 0U);
}

TEST(AlignedBuffer, ZeroesMemoryThatWasUsedBefore) {
  for (int round = 0; round < 3; ++round) {
    AlignedBuffer<std::int64_t> buffer(1000, Fill::zero);
    EXPECT_TRUE(std::all_of(buffer.begin(), buffer.end(), [](auto x) { return x == 0; }));
    std::fill(buffer.begin(), buffer.end(), -1);
  }
}

TEST(AlignedBuffer, MovesWithoutCopying) {
  AlignedBuffer<float> first(100, Fill::zero);
  float* const data = first.data();
  first[7] = 3.0F;
  AlignedBuffer<float> second(std::move(first));
  EXPECT_EQ(second.data(), data);
  AlignedBuffer<float> third(5);
  third = std::move(second);
  EXPECT_EQ(third.data(), data);
  EXPECT_EQ(third.size(), 100U);
  EXPECT_EQ(third[7], 3.0F);
}

TEST(AlignedBuffer, EmptyHasNoMemory) {
  const AlignedBuffer<float> buffer(0);
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.data(), nullptr);
  EXPECT_TRUE(buffer.span().empty());
}

TEST(AlignedBuffer, SaysWhenThereIsNoMemory) {
  for (const std::size_t count : {std::numeric_limits<std::size_t>::max(),
                                  std::numeric_limits<std::size_t>::max() / 4,
                                  std::size_t{1} << 58U}) {
    const auto buffer = AlignedBuffer<float>::create(count);
    ASSERT_FALSE(buffer) << count;
    EXPECT_EQ(buffer.error().code, errc::busy);
  }
}

TEST(AlignedBuffer, ThrowsLikeNewFromItsConstructor) {
  EXPECT_THROW((AlignedBuffer<float>{std::numeric_limits<std::size_t>::max()}), std::bad_alloc);
}

}  // namespace
}  // namespace chorus::tensor
