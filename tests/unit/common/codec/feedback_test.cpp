#include "common/codec/feedback.hpp"

#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/common/codec/samples.hpp"

namespace chorus::codec {
namespace {

constexpr Keys kKeys{.round = 1, .device = 2};
constexpr Codec kLargestOfThree{.kind = CodecKind::top_k, .density = 1.0 / 3.0};
const std::vector<float> kGradient{1.0F, 0.6F, -0.5F};

std::vector<float> values_of(const Codec& codec, const WithMemory& sent) {
  std::vector<float> x(sent.memory.size());
  EXPECT_TRUE(decode(codec, sent.payload, kKeys, 1e6F, x));
  return x;
}

void expect_near(const std::vector<float>& values, const std::vector<float>& expected) {
  ASSERT_EQ(values.size(), expected.size());
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], 1e-6) << i;
}

TEST(Feedback, WhatTopOneLeavesOutComesLater) {
  const std::vector<std::vector<float>> sent{
      {1.0F, 0.0F, 0.0F}, {0.0F, 1.2F, 0.0F}, {2.0F, 0.0F, 0.0F}, {0.0F, 0.0F, -2.0F}};
  const std::vector<std::vector<float>> kept{
      {0.0F, 0.6F, -0.5F}, {1.0F, 0.0F, -1.0F}, {0.0F, 0.6F, -1.5F}, {1.0F, 1.2F, 0.0F}};
  std::vector<float> memory;
  for (std::size_t round = 0; round < sent.size(); ++round) {
    const auto made = encode_with_error(kLargestOfThree, kGradient, memory, kKeys).value();
    expect_near(values_of(kLargestOfThree, made), sent[round]);
    expect_near(made.memory, kept[round]);
    memory = made.memory;
  }
}

// By hand: u' = 0.9·u + x, p = u' + e; what is sent leaves both.
TEST(Feedback, MomentumGathersWhereNothingWasSent) {
  const std::vector<std::vector<float>> sent{
      {1.0F, 0.0F, 0.0F}, {0.0F, 1.74F, 0.0F}, {2.9F, 0.0F, 0.0F}, {0.0F, 0.0F, -4.5245F}};
  const std::vector<std::vector<float>> kept{
      {0.0F, 0.6F, -0.5F}, {1.0F, 0.0F, -1.45F}, {0.0F, 0.6F, -2.805F}, {1.0F, 1.74F, 0.0F}};
  const std::vector<std::vector<float>> sums{
      {0.0F, 0.6F, -0.5F}, {1.0F, 0.0F, -0.95F}, {0.0F, 0.6F, -1.355F}, {1.0F, 1.14F, 0.0F}};
  std::vector<float> memory;
  std::vector<float> velocity(3);
  for (std::size_t round = 0; round < sent.size(); ++round) {
    const auto made =
        encode_with_momentum(kLargestOfThree, kGradient, memory, 0.9, velocity, kKeys).value();
    expect_near(values_of(kLargestOfThree, made), sent[round]);
    expect_near(made.memory, kept[round]);
    expect_near(velocity, sums[round]);
    memory = made.memory;
  }
}

TEST(Feedback, WithoutMomentumItIsErrorFeedback) {
  for (const Codec& codec : {kLargestOfThree, Codec{.kind = CodecKind::ternary, .density = 0.4}}) {
    std::vector<float> memory;
    std::vector<float> velocity(3);
    for (std::size_t round = 0; round < 4; ++round) {
      const auto plain = encode_with_error(codec, kGradient, memory, kKeys).value();
      std::fill(velocity.begin(), velocity.end(), 0.0F);
      const auto made =
          encode_with_momentum(codec, kGradient, memory, 0.0, velocity, kKeys).value();
      EXPECT_EQ(made.payload, plain.payload);
      EXPECT_EQ(made.memory, plain.memory);
      memory = made.memory;
    }
  }
}

TEST(Feedback, Ef21ReachesAConstantAfterThreeRounds) {
  const std::vector<std::vector<float>> sent{
      {1.0F, 0.0F, 0.0F}, {0.0F, 0.6F, 0.0F}, {0.0F, 0.0F, -0.5F}, {0.0F, 0.0F, 0.0F}};
  std::vector<float> memory;
  for (const std::vector<float>& expected : sent) {
    const auto made = encode_difference(kLargestOfThree, kGradient, memory, kKeys).value();
    expect_near(values_of(kLargestOfThree, made), expected);
    memory = made.memory;
  }
  expect_near(memory, kGradient);
}

TEST(Feedback, NothingIsLostByAnyCodec) {
  // Σ sent + memory = Σ updates, whatever the codec.
  for (const auto& [name, codec] : test::every_codec()) {
    if (codec.kind == CodecKind::random_k) continue;  // sends up to 1 / density times too much
    std::vector<float> memory;
    std::vector<double> balance(500);
    for (std::uint64_t round = 0; round < 5; ++round) {
      const auto x = test::gaussian(500, round);
      const auto made = encode_with_error(codec, x, memory, kKeys).value();
      const auto sent = values_of(codec, made);
      memory = made.memory;
      for (std::size_t i = 0; i < x.size(); ++i) {
        balance[i] += static_cast<double>(x[i]) - static_cast<double>(sent[i]);
      }
    }
    for (std::size_t i = 0; i < balance.size(); ++i) {
      const double size = 1.0 + std::fabs(static_cast<double>(memory[i]));
      ASSERT_NEAR(balance[i], memory[i], 1e-4 * size) << name;
    }
  }
}

TEST(Feedback, AMemoryOfAnotherModelIsRefused) {
  const std::vector<float> memory(4);
  const auto ef = encode_with_error(kLargestOfThree, kGradient, memory, kKeys);
  ASSERT_FALSE(ef);
  EXPECT_EQ(ef.error().code, errc::shape_mismatch);
  EXPECT_FALSE(encode_difference(kLargestOfThree, kGradient, memory, kKeys));
}

}  // namespace
}  // namespace chorus::codec
