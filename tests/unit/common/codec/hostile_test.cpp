// Payloads from strangers: an error that says what is wrong, and nothing read beyond them.
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "common/codec/bytes.hpp"
#include "tests/unit/common/codec/samples.hpp"

namespace chorus::codec {
namespace {

using test::every_codec;
using test::gaussian;

constexpr Keys kKeys{.round = 3, .device = 4};

Failure refusal(const Codec& codec, const std::vector<std::byte>& payload, std::size_t count) {
  std::vector<float> x(count);
  const auto done = decode(codec, payload, kKeys, 100.0F, x);
  EXPECT_FALSE(done);
  return done ? Failure{} : done.error();
}

TEST(CodecHostile, EveryPrefixIsRefusedAndEveryExtensionToo) {
  for (const auto& [name, codec] : every_codec()) {
    const auto payload = encode(codec, gaussian(300, 1), kKeys).value();
    std::vector<float> x(300);
    for (std::size_t length = 0; length < payload.size(); ++length) {
      // In memory of its own, so that a sanitizer sees a read beyond it.
      const std::vector<std::byte> part(payload.begin(),
                                        payload.begin() + static_cast<std::ptrdiff_t>(length));
      ASSERT_FALSE(decode(codec, part, kKeys, 100.0F, x)) << name << " " << length;
    }
    std::vector<std::byte> longer = payload;
    longer.push_back(std::byte{0});
    ASSERT_FALSE(decode(codec, longer, kKeys, 100.0F, x)) << name;
  }
}

TEST(CodecHostile, ChangedBytesAreRefusedOrDecode) {
  Rng rng(8);
  for (const auto& [name, codec] : every_codec()) {
    const auto payload = encode(codec, gaussian(300, 2), kKeys).value();
    const double bound = method_of(codec).lane_value_max(codec, 300, 100.0) * 20.0;
    for (int r = 0; r < 300; ++r) {
      std::vector<std::byte> changed = payload;
      for (int c = 0; c < 3; ++c) {
        const std::uint64_t at = rng.below(changed.size());
        changed[static_cast<std::size_t>(at)] = static_cast<std::byte>(rng.next_u32());
      }
      std::vector<float> x(300);
      if (!decode(codec, changed, kKeys, 100.0F, x)) continue;
      for (const float value : x) ASSERT_LE(std::fabs(static_cast<double>(value)), bound) << name;
    }
  }
}

TEST(CodecHostile, SaysWhichBucketAndWhy) {
  const Codec codec{.kind = CodecKind::uniform, .bits = 4, .bucket = 64};
  const std::size_t bucket = 8 + 32;
  auto payload = encode(codec, gaussian(200, 1), kKeys).value();
  auto changed = payload;
  store(std::span(changed), bucket, std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(refusal(codec, changed, 200).code, errc::not_finite);
  EXPECT_NE(refusal(codec, changed, 200).detail.find("bucket 1 of the payload"), std::string::npos);
  changed = payload;
  store(std::span(changed), 2 * bucket + 4, 101.0F);
  EXPECT_EQ(refusal(codec, changed, 200).code, errc::value_out_of_range);
  changed = payload;
  store(std::span(changed), 0, 50.0F);
  store(std::span(changed), 4, 40.0F);
  EXPECT_EQ(refusal(codec, changed, 200).code, errc::malformed_message);
  EXPECT_EQ(refusal(codec, payload, 201).code, errc::shape_mismatch);
}

TEST(CodecHostile, ACodeBeyondTheLevels) {
  const Codec codec{.kind = CodecKind::qsgd, .bits = 4, .bucket = 64};
  auto payload = encode(codec, gaussian(64, 1), kKeys).value();
  payload[4 + 3] = std::byte{0xF0};  // element 7: 15, where 2s = 14
  const Failure failure = refusal(codec, payload, 64);
  EXPECT_EQ(failure.code, errc::malformed_message);
  EXPECT_NE(failure.detail.find("code 15 of element 7"), std::string::npos) << failure.detail;
}

TEST(CodecHostile, ChosenElementsBeyondTheDensityOrTheModel) {
  const Codec codec{.kind = CodecKind::top_k, .density = 0.01};
  const auto payload = encode(codec, gaussian(1000, 1), kKeys).value();
  auto changed = payload;
  store(std::span(changed), 0, std::uint32_t{11});
  EXPECT_NE(refusal(codec, changed, 1000).detail.find("11 chosen elements"), std::string::npos);
  changed = payload;
  store(std::span(changed), 4, std::uint8_t{3});
  EXPECT_NE(refusal(codec, changed, 1000).detail.find("coding 3"), std::string::npos);
  changed = payload;
  store(std::span(changed), 8, std::uint32_t{0xFFFFFFFFU});
  EXPECT_EQ(refusal(codec, changed, 1000).code, errc::shape_mismatch);
  changed = payload;
  store(std::span(changed), changed.size() - 4, std::numeric_limits<float>::infinity());
  EXPECT_EQ(refusal(codec, changed, 1000).code, errc::not_finite);
  EXPECT_EQ(refusal(codec, payload, 50).code, errc::malformed_message);
}

TEST(CodecHostile, FactorsWhoseProductIsTooLarge) {
  const Codec codec{.kind = CodecKind::low_rank, .rank = 1, .columns = 10};
  const std::vector<float> factors(20, 10.0F);  // their product: 100 everywhere
  std::vector<std::byte> payload;
  for (const float value : factors) append(payload, value);
  std::vector<float> x(100);
  EXPECT_TRUE(decode(codec, payload, kKeys, 100.0F, x));
  EXPECT_EQ(refusal(codec, {payload.begin() + 4, payload.end()}, 100).code, errc::shape_mismatch);
  auto changed = payload;
  store(std::span(changed), changed.size() - 4, 10.1F);
  EXPECT_EQ(refusal(codec, changed, 100).code, errc::value_out_of_range);
  EXPECT_NE(refusal(codec, changed, 100).detail.find("magnitude 101"), std::string::npos);
  store(std::span(changed), 0, std::numeric_limits<float>::infinity());
  EXPECT_EQ(refusal(codec, changed, 100).code, errc::not_finite);
  for (const std::size_t at : {0UL, 40UL}) {  // finite, and beyond float32 multiplied
    store(std::span(payload), at, 1e30F);
  }
  EXPECT_EQ(refusal(codec, payload, 100).code, errc::not_finite);
}

TEST(CodecHostile, AnnouncedSizesAreBelievedUpToThePayloadsOwnBound) {
  for (const Codec& codec :
       {Codec{.kind = CodecKind::uniform, .bits = 4, .bucket = 64, .entropy = true},
        Codec{.kind = CodecKind::bf16, .entropy = true}}) {
    const std::vector<float> zeros(10'000, 0.0F);
    const auto payload = encode(codec, zeros, kKeys).value();
    EXPECT_LT(payload.size(), 1400U);
    const auto header = load<std::uint64_t>(payload, 0);
    std::vector<std::byte> bomb = payload;
    store(std::span(bomb), 0, header + (std::uint64_t{1} << 40U));
    EXPECT_EQ(refusal(codec, bomb, 10'000).code, errc::shape_mismatch);
    bomb = payload;
    store(std::span(bomb), 0, header - 1);
    EXPECT_EQ(refusal(codec, bomb, 10'000).code, errc::malformed_message);
    bomb = payload;
    store(std::span(bomb), 0, header ^ (std::uint64_t{7} << 56U));
    EXPECT_EQ(refusal(codec, bomb, 10'000).code, errc::malformed_message);
  }
}

TEST(CodecHostile, WhatCannotBeEncoded) {
  const auto code = [](const Codec& codec, float value) {
    const std::vector<float> x{0.0F, value};
    const auto made = encode(codec, x, kKeys);
    return made ? std::string("made") : std::string(to_string(made.error().code));
  };
  for (const auto& [name, codec] : every_codec()) {
    EXPECT_EQ(code(codec, std::numeric_limits<float>::quiet_NaN()), "not_finite") << name;
    EXPECT_EQ(code(codec, -std::numeric_limits<float>::infinity()), "not_finite") << name;
    EXPECT_EQ(code(codec, 0x1.000002p126F), "value_out_of_range") << name;
  }
  EXPECT_EQ(code({.kind = CodecKind::f16}, 65504.0F), "made");
  EXPECT_EQ(code({.kind = CodecKind::f16}, 65505.0F), "value_out_of_range");
  EXPECT_EQ(code({.kind = CodecKind::bf16}, 0x1.0p126F), "made");
  EXPECT_EQ(code({.kind = CodecKind::low_rank}, 0x1.0p96F), "made");
  EXPECT_EQ(code({.kind = CodecKind::low_rank}, 0x1.000002p96F), "value_out_of_range");
}

TEST(CodecHostile, ParametersOneBeyondTheirLimits) {
  const auto refused = [](const Codec& codec) { return !check_codec(codec); };
  using enum CodecKind;
  EXPECT_TRUE(refused({.kind = uniform, .bits = 0}));
  EXPECT_TRUE(refused({.kind = uniform, .bits = 9}));
  EXPECT_TRUE(refused({.kind = qsgd, .bits = 1}));
  EXPECT_TRUE(refused({.kind = qsgd, .bits = 9}));
  EXPECT_TRUE(refused({.kind = rotated, .bits = 0}));
  EXPECT_TRUE(refused({.kind = rotated, .bits = 5}));
  EXPECT_TRUE(refused({.kind = sign, .bucket = limits::kCodecBucketMin / 2}));
  EXPECT_TRUE(refused({.kind = sign, .bucket = limits::kCodecBucketMax * 2}));
  EXPECT_TRUE(refused({.kind = sign, .bucket = 100}));
  EXPECT_TRUE(refused({.kind = top_k, .density = 0.0}));
  EXPECT_TRUE(refused({.kind = top_k, .density = 1.001}));
  EXPECT_TRUE(refused({.kind = ternary, .density = std::nan("")}));
  EXPECT_TRUE(refused({.kind = low_rank, .rank = 0}));
  EXPECT_TRUE(refused({.kind = low_rank, .rank = limits::kCodecRankMax + 1}));
  EXPECT_TRUE(check_codec({.kind = low_rank, .rank = limits::kCodecRankMax}));
  EXPECT_TRUE(refused({.kind = static_cast<CodecKind>(77)}));
  EXPECT_TRUE(check_codec({.kind = rotated, .bits = 4, .bucket = limits::kCodecBucketMax}));
  EXPECT_TRUE(check_codec({.kind = top_k, .density = 1.0}));
}

}  // namespace
}  // namespace chorus::codec
