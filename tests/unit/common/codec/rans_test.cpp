#include "common/codec/rans.hpp"

#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "common/base/rng.hpp"
#include "common/codec/bytes.hpp"

namespace chorus::codec {
namespace {

std::vector<std::uint8_t> message() {
  std::vector<std::uint8_t> symbols;
  for (int r = 0; r < 4; ++r) symbols.insert(symbols.end(), {0, 1, 0, 2, 3, 0, 0, 1});
  return symbols;
}

TEST(Rans, TheVectorOfThirtyTwoSymbols) {
  Frequencies frequencies{.of = {8, 4, 2, 2}, .bits = 4};
  std::vector<std::byte> bytes;
  rans_encode(message(), frequencies, bytes);
  EXPECT_EQ(load<std::uint32_t>(bytes, 0), 0x00800003U);
  // Emitted 0e b1 0e 91 f5 22 d9, read in reverse.
  std::vector<unsigned> rest;
  for (std::size_t i = 4; i < bytes.size(); ++i) rest.push_back(static_cast<unsigned>(bytes[i]));
  EXPECT_EQ(rest, (std::vector<unsigned>{0xd9, 0x22, 0xf5, 0x91, 0x0e, 0xb1, 0x0e}));
  std::vector<std::uint8_t> decoded(32);
  ASSERT_TRUE(rans_decode(bytes, frequencies, decoded));
  EXPECT_EQ(decoded, message());
}

TEST(Rans, FrequenciesAddUpAndNoSymbolIsWithout) {
  Rng rng(1);
  for (const std::size_t n : {1UL, 2UL, 100UL, 100'000UL}) {
    for (const std::size_t alphabet : {2UL, 16UL, 256UL}) {
      std::vector<std::uint8_t> symbols(n);
      for (std::uint8_t& symbol : symbols) {
        const double skewed = std::pow(rng.uniform(), 6.0) * static_cast<double>(alphabet);
        symbol = static_cast<std::uint8_t>(skewed);
      }
      const Frequencies made = frequencies_of(symbols, alphabet);
      EXPECT_EQ(std::accumulate(made.of.begin(), made.of.end(), 0), 4096);
      for (const std::uint8_t symbol : symbols) ASSERT_GT(made.of[symbol], 0);
      std::vector<std::byte> bytes;
      rans_encode(symbols, made, bytes);
      std::vector<std::uint8_t> decoded(n);
      ASSERT_TRUE(rans_decode(bytes, made, decoded)) << n << " " << alphabet;
      ASSERT_EQ(decoded, symbols);
    }
  }
}

TEST(Rans, TakesTheEntropy) {
  Rng rng(2);
  std::vector<std::uint8_t> symbols(200'000);
  for (std::uint8_t& symbol : symbols) symbol = rng.uniform() < 0.035 ? 1 : 0;
  std::vector<std::byte> bytes;
  rans_encode(symbols, frequencies_of(symbols, 2), bytes);
  const double entropy = -0.035 * std::log2(0.035) - 0.965 * std::log2(0.965);
  EXPECT_NEAR(8.0 * static_cast<double>(bytes.size()) / 200'000.0, entropy, 0.01);
}

TEST(Rans, BytesFromElsewhereAreNotBelieved) {
  const auto symbols = message();
  const Frequencies frequencies = frequencies_of(symbols, 4);
  std::vector<std::byte> bytes;
  rans_encode(symbols, frequencies, bytes);
  std::vector<std::uint8_t> decoded(symbols.size());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const std::vector<std::byte> part(bytes.begin(),
                                      bytes.begin() + static_cast<std::ptrdiff_t>(length));
    EXPECT_FALSE(rans_decode(part, frequencies, decoded)) << length;
  }
  std::vector<std::byte> longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(rans_decode(longer, frequencies, decoded));
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::vector<std::byte> changed = bytes;
    changed[at] ^= std::byte{0x55};
    if (rans_decode(changed, frequencies, decoded)) {
      EXPECT_NE(decoded, symbols) << at;
    }
  }
}

}  // namespace
}  // namespace chorus::codec
