#include "common/codec/bit_stream.hpp"

#include <string>

#include <gtest/gtest.h>

namespace chorus::codec {
namespace {

std::string rice_bits(std::uint32_t gap, unsigned low) {
  std::vector<std::byte> bytes;
  BitWriter writer(bytes);
  writer.put_rice(gap - 1, low);
  writer.put(1, 1);  // where it ends
  std::string bits;
  for (const std::byte byte : bytes) {
    for (int b = 7; b >= 0; --b) bits += ((static_cast<unsigned>(byte) >> b) & 1U) != 0 ? '1' : '0';
  }
  return bits.substr(0, bits.rfind('1'));
}

TEST(BitStream, GolombRiceCodesOfGaps) {
  EXPECT_EQ(rice_bits(1, 3), "0000");
  EXPECT_EQ(rice_bits(2, 3), "0001");
  EXPECT_EQ(rice_bits(8, 3), "0111");
  EXPECT_EQ(rice_bits(9, 3), "10000");
  EXPECT_EQ(rice_bits(20, 3), "110011");
}

TEST(BitStream, ReadsWhatWasWritten) {
  std::vector<std::byte> bytes;
  BitWriter writer(bytes);
  for (std::uint32_t n = 0; n < 300; ++n) {
    writer.put_rice(n * n, n % 9);
    writer.put(n, 9);
    writer.put(0xFFFFFFFFU - n, 32);
  }
  BitReader reader(bytes);
  for (std::uint32_t n = 0; n < 300; ++n) {
    ASSERT_EQ(reader.take_rice(n % 9, 100'000), n * n);
    ASSERT_EQ(reader.take(9), n);
    ASSERT_EQ(reader.take(32), 0xFFFFFFFFU - n);
  }
  EXPECT_TRUE(reader.at_end());
  EXPECT_EQ(reader.take(8), std::nullopt);
}

TEST(BitStream, EndsWhereItEnds) {
  const std::vector<std::byte> ones(4, std::byte{0xFF});
  EXPECT_EQ(BitReader(ones).take_rice(0, 1'000'000), std::nullopt);
  EXPECT_EQ(BitReader({}).take(1), std::nullopt);
  EXPECT_TRUE(BitReader({}).at_end());
  BitReader some(ones);
  EXPECT_EQ(some.take(5), 31U);
  EXPECT_FALSE(some.at_end());
}

TEST(BitStream, ANumberBeyondTheLimitIsNone) {
  std::vector<std::byte> bytes;
  BitWriter writer(bytes);
  writer.put_rice(41, 3);
  EXPECT_EQ(BitReader(bytes).take_rice(3, 41), 41U);
  EXPECT_EQ(BitReader(bytes).take_rice(3, 40), std::nullopt);
}

TEST(BitStream, RiceParametersOfTheTable) {
  EXPECT_EQ(rice_parameter(0.1), 3U);
  EXPECT_EQ(rice_parameter(0.05), 4U);
  EXPECT_EQ(rice_parameter(0.01), 6U);
  EXPECT_EQ(rice_parameter(1.0 / 400), 8U);
  EXPECT_EQ(rice_parameter(0.001), 9U);
  EXPECT_EQ(rice_parameter(1.0), 0U);
  EXPECT_EQ(rice_parameter(0.99), 0U);
  EXPECT_EQ(rice_parameter(1e-12), 30U);
}

}  // namespace
}  // namespace chorus::codec
