// Steps from version to version: what is added is what the body says, and which codecs keep what
// they leave out bounded.
#include "common/codec/version_steps.hpp"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "common/base/rng.hpp"
#include "common/codec/names.hpp"
#include "common/codec/update.hpp"

namespace chorus::codec {
namespace {

TensorLayout layout_of_two() {
  TensorLayout layout;
  layout.tensors = {{"body", {3000}, 0, 3000, false}, {"head", {500}, 3000, 500, false}};
  layout.parameters = 3500;
  return layout;
}

std::vector<float> some_values(std::uint64_t seed, std::size_t count) {
  Rng rng(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(rng.normal());
  return values;
}

VersionSteps steps_with(const Codec& codec) {
  VersionSteps steps;
  steps.compression.codec = codec;
  return steps;
}

TEST(VersionSteps, AddWhatTheBodySaysRoundedOnce) {
  const auto layout = layout_of_two();
  for (const Named& kind : all_codecs()) {
    SCOPED_TRACE(kind.name);
    Codec codec = kind.usual;
    codec.density = 0.2;
    const auto form = form_of(steps_with(codec), 7, layout).value();
    const auto delta = some_values(1, 3500);
    const auto body = encode_update(form, delta).value();
    std::vector<float> said(3500);
    ASSERT_TRUE(decode_update(form, body, std::numeric_limits<float>::max(), said));
    auto x = some_values(2, 3500);
    std::vector<float> expected(3500);
    for (std::size_t i = 0; i < x.size(); ++i) expected[i] = x[i] + said[i];
    ASSERT_TRUE(add_update(form, body, x));
    EXPECT_EQ(x, expected);
  }
}

TEST(VersionSteps, LeaveAloneWhatDoesNotChange) {
  VersionSteps steps = steps_with({.kind = CodecKind::bf16});
  steps.trainable.frozen = {"body"};
  const auto form = form_of(steps, 7, layout_of_two()).value();
  EXPECT_EQ(form.lane_elements(), 500U);
  const auto body = encode_update(form, std::vector<float>(3500, 1.0F)).value();
  std::vector<float> x(3500, 0.5F);
  ASSERT_TRUE(add_update(form, body, x));
  EXPECT_EQ(x[2999], 0.5F);
  EXPECT_EQ(x[3000], 1.5F);
}

TEST(VersionSteps, TheSeedIsTheStepsOwn) {
  const auto layout = layout_of_two();
  const auto delta = some_values(1, 3500);
  const VersionSteps steps = steps_with({.kind = CodecKind::rotated, .bits = 4});
  const auto body_of = [&](std::uint64_t seed) {
    return encode_update(form_of(steps, seed, layout).value(), delta).value();
  };
  EXPECT_EQ(body_of(1), body_of(1));
  EXPECT_NE(body_of(1), body_of(2));
}

TEST(VersionSteps, ADamagedBodyIsAnErrorThatNamesTheElements) {
  const auto form = form_of(steps_with({.kind = CodecKind::f32}), 1, layout_of_two()).value();
  auto body = encode_update(form, std::vector<float>(3500, 1.0F)).value();
  std::vector<float> x(3500);
  body[body.size() - 1] = std::byte{0x7F};  // beyond all numbers
  body[body.size() - 2] = std::byte{0x80};
  const auto added = add_update(form, body, x);
  EXPECT_EQ(added.error().code, errc::not_finite);
  EXPECT_NE(added.error().detail.find("elements 0 to 3499"), std::string::npos);
  body.pop_back();
  EXPECT_EQ(add_update(form, body, x).error().code, errc::shape_mismatch);
}

TEST(VersionSteps, CountTheirBytes) {
  std::vector<VersionStep> steps(3);
  for (std::size_t i = 0; i < 3; ++i) steps[i].bytes = 10 * (i + 1);
  EXPECT_EQ(bytes_of(steps), 60U);
  EXPECT_EQ(bytes_of({}), 0U);
}

// One beyond each bound.
TEST(Contracts, ByTheWorstBucket) {
  const auto uniform = [](std::uint32_t bits, std::uint32_t bucket) {
    return contracts({.kind = CodecKind::uniform, .bits = bits, .bucket = bucket});
  };
  EXPECT_TRUE(uniform(8, 65536));  // 2·255² = 130050
  EXPECT_TRUE(uniform(5, 1024));   // 2·31² = 1922
  EXPECT_FALSE(uniform(5, 2048));
  EXPECT_FALSE(uniform(1, 64));
  const auto qsgd = [](std::uint32_t bits, CodecNorm norm) {
    return contracts({.kind = CodecKind::qsgd, .bits = bits, .bucket = 512, .norm = norm});
  };
  EXPECT_TRUE(qsgd(5, CodecNorm::maximum));  // 4·15² = 900
  EXPECT_FALSE(qsgd(4, CodecNorm::maximum));
  EXPECT_TRUE(qsgd(6, CodecNorm::l2));  // √512 = 22.6 of 31
  EXPECT_FALSE(qsgd(5, CodecNorm::l2));
  EXPECT_FALSE(contracts({.kind = CodecKind::random_k, .density = 0.99}));
  EXPECT_TRUE(contracts({.kind = CodecKind::random_k, .density = 1.0}));
  for (const CodecKind kind : {CodecKind::f32,
                               CodecKind::f16,
                               CodecKind::bf16,
                               CodecKind::sign,
                               CodecKind::rotated,
                               CodecKind::top_k,
                               CodecKind::ternary,
                               CodecKind::low_rank}) {
    EXPECT_TRUE(contracts(named(kind).usual)) << named(kind).name;
  }
}

// What the word means: the change is a target that does not move, and what is left out of it goes
// to nothing when it is sent again and again.
TEST(Contracts, WhatIsLeftOutShrinks) {
  for (const Named& kind : all_codecs()) {
    for (const std::uint32_t bits : {1U, 2U, 4U, 8U}) {
      Codec codec = kind.usual;
      if (kind.takes.bits) codec.bits = bits;
      codec.density = 0.05;
      codec.columns = 64;
      if (!contracts(codec) || !check_codec(codec)) continue;
      SCOPED_TRACE(describe(codec));
      const auto x = some_values(3, 4096);
      std::vector<float> rest = x;
      std::vector<float> w(x.size());
      for (std::uint64_t round = 0; round < 80; ++round) {
        const Keys keys{round, round + 1000};
        const auto payload = encode(codec, rest, keys).value();
        std::vector<float> said(x.size());
        ASSERT_TRUE(decode(codec, payload, keys, std::numeric_limits<float>::max(), said));
        for (std::size_t i = 0; i < x.size(); ++i) {
          w[i] += said[i];
          rest[i] = x[i] - w[i];
        }
      }
      double left = 0.0;
      double all = 0.0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        left += static_cast<double>(rest[i]) * static_cast<double>(rest[i]);
        all += static_cast<double>(x[i]) * static_cast<double>(x[i]);
      }
      EXPECT_LT(left, 0.01 * all);
    }
  }
}

}  // namespace
}  // namespace chorus::codec
