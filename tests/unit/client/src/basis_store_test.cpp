// A basis as it is received: whole, damaged, taken once.
#include "client/src/basis_store.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "common/crypto/digest.hpp"

namespace chorus::client {
namespace {

void receive(BasisStore& store, std::span<const std::byte> bytes) {
  constexpr std::size_t kChunk = 5;
  for (std::size_t at = 0; at < bytes.size(); at += kChunk) {
    const auto part = bytes.subspan(at, std::min(kChunk, bytes.size() - at));
    std::copy(part.begin(), part.end(), store.place(at, part.size()).begin());
  }
}

const codec::Basis kBasis{true, {1.0F, 0.5F, -0.25F}};

TEST(BasisStore, IsVerifiedAndTakenOnce) {
  BasisStore store;
  EXPECT_EQ(store.take(), nullptr);
  const auto bytes = codec::to_bytes(kBasis);
  store.begin({sha256(bytes), bytes.size()});
  receive(store, bytes);
  EXPECT_EQ(store.take(), nullptr) << "not verified";
  ASSERT_TRUE(store.verify());
  EXPECT_EQ(*store.take(), kBasis);
  EXPECT_EQ(store.take(), nullptr);
}

TEST(BasisStore, HoldsNothingThatIsDamagedOrNoBasis) {
  BasisStore store;
  auto bytes = codec::to_bytes(kBasis);
  const wire::ModelRef wanted{sha256(bytes), bytes.size()};
  store.begin(wanted);
  receive(store, bytes);
  ASSERT_TRUE(store.verify());
  store.begin(wanted);
  bytes.back() ^= std::byte{1};
  receive(store, bytes);
  EXPECT_EQ(store.verify().error().code, errc::digest_mismatch);
  EXPECT_EQ(store.take(), nullptr) << "of the round before";
  bytes.front() = std::byte{7};
  store.begin({sha256(bytes), bytes.size()});
  receive(store, bytes);
  EXPECT_EQ(store.verify().error().code, errc::malformed_message);
}

}  // namespace
}  // namespace chorus::client
