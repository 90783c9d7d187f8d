#include "server/store/background_hasher.hpp"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "common/base/rng.hpp"

namespace chorus::server {
namespace {

constexpr std::size_t kBlock = BackgroundHasher::kBlockBytes;

TEST(BackgroundHasher, GivesTheDigestOfWhatWasSubmitted) {
  Rng rng(1);
  for (const std::size_t total : {std::size_t{0}, std::size_t{1}, kBlock, kBlock + 1, 9 * kBlock}) {
    std::vector<std::byte> data(total);
    for (std::byte& byte : data) byte = static_cast<std::byte>(rng.next_u32());
    BackgroundHasher hasher;
    ASSERT_TRUE(hasher.start(total));
    std::size_t at = 0;
    while (at < total) {
      const auto block = hasher.block();
      ASSERT_EQ(block.size(), kBlock);
      const std::size_t length = std::min(total - at, at % 3 == 0 ? kBlock : kBlock / 2 + 1);
      std::copy_n(data.begin() + static_cast<std::ptrdiff_t>(at), length, block.begin());
      hasher.submit(length);
      EXPECT_TRUE(std::equal(block.begin(),
                             block.begin() + static_cast<std::ptrdiff_t>(length),
                             data.begin() + static_cast<std::ptrdiff_t>(at)))
          << "a block may be read after it was submitted";
      at += length;
    }
    EXPECT_EQ(hasher.finish(), sha256(data)) << total;
  }
}

TEST(BackgroundHasher, MayBeGivenUp) {
  BackgroundHasher unused;
  BackgroundHasher hasher;
  ASSERT_TRUE(hasher.start(5 * kBlock));
  std::fill(hasher.block().begin(), hasher.block().end(), std::byte{1});
  hasher.submit(kBlock);
}

}  // namespace
}  // namespace chorus::server
