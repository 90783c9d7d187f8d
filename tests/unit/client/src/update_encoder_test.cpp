// What a device makes of y − x, and what it keeps of it.
#include "client/src/update_encoder.hpp"

#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "common/codec/update.hpp"

namespace chorus::client {
namespace {

TensorLayout layout() {
  TensorLayout layout;
  layout.tensors = {{"a.weight", {3}, 0, 3, false}, {"b.weight", {2}, 3, 2, false}};
  layout.parameters = 5;
  return layout;
}

TrainPlan plan_of(const Codec& codec, Feedback feedback) {
  TrainPlan plan;
  plan.compression =
      Compression{.codec = codec, .tensors = {{"b.*", Codec{}}}, .feedback = feedback, .seed = 3};
  return plan;
}

std::vector<float> decoded(const TrainPlan& plan, const std::vector<std::byte>& body) {
  const auto form = codec::UpdateForm::of(plan, layout()).value();
  std::vector<float> values(5);
  EXPECT_TRUE(codec::decode_update(form, body, 1e9F, values));
  return values;
}

constexpr Codec kTopOne{.kind = CodecKind::top_k, .density = 0.3};

// The specification's vector: top-1 of a constant input [1, .6, -.5].
TEST(UpdateEncoder, WhatIsLeftOutComesLater) {
  const TrainPlan plan = plan_of(kTopOne, Feedback::error);
  const std::vector<float> delta{1.0F, 0.6F, -0.5F, 4.0F, -4.0F};
  const std::vector<std::vector<float>> sent{
      {1, 0, 0, 4, -4}, {0, 1.2F, 0, 4, -4}, {2, 0, 0, 4, -4}, {0, 0, -2, 4, -4}};
  const std::vector<std::vector<float>> kept{
      {0, 0.6F, -0.5F, 0, 0}, {1, 0, -1, 0, 0}, {0, 0.6F, -1.5F, 0, 0}, {1, 1.2F, 0, 0, 0}};
  MemoryState memory;
  for (std::size_t round = 0; round < sent.size(); ++round) {
    const auto values = decoded(plan, encode_update(plan, layout(), delta, &memory).value().body);
    memory.accept();
    const auto error = memory.load(kErrorMemory).value().value();
    ASSERT_EQ(error.size(), 5U);
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_FLOAT_EQ(values[i], sent[round][i]) << round << " " << i;
      EXPECT_NEAR(error[i], kept[round][i], 1e-6F) << round << " " << i;
    }
  }
}

TEST(UpdateEncoder, TheRunningSumOfMomentumIsKeptToo) {
  TrainPlan plan = plan_of(kTopOne, Feedback::error);
  plan.compression->momentum = 0.9;
  const std::vector<float> delta{1.0F, 0.6F, -0.5F, 4.0F, -4.0F};
  const std::vector<std::vector<float>> sent{
      {1, 0, 0, 4, -4}, {0, 1.74F, 0, 4, -4}, {2.9F, 0, 0, 4, -4}, {0, 0, -4.5245F, 4, -4}};
  MemoryState memory;
  for (std::size_t round = 0; round < sent.size(); ++round) {
    const auto values = decoded(plan, encode_update(plan, layout(), delta, &memory).value().body);
    memory.accept();
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_FLOAT_EQ(values[i], sent[round][i]) << round << " " << i;
    }
  }
  EXPECT_TRUE(memory.load(kErrorMemory).value());
  const auto velocity = memory.load(kVelocity).value().value();
  EXPECT_FLOAT_EQ(velocity[1], 1.14F);
  EXPECT_EQ(velocity[2], 0.0F);
  EXPECT_EQ(velocity[3], 0.0F) << "another codec keeps nothing";
}

// The specification's vector: after three rounds the server has all of it.
TEST(UpdateEncoder, DifferencesToWhatWasSentReachAConstant) {
  TrainPlan plan = plan_of(kTopOne, Feedback::difference);
  plan.compression->since = 5;
  const std::vector<float> delta{1.0F, 0.6F, -0.5F, 4.0F, -4.0F};
  const std::vector<std::vector<float>> sent{
      {1, 0, 0, 4, -4}, {0, 0.6F, 0, 0, 0}, {0, 0, -0.5F, 0, 0}, {0, 0, 0, 0, 0}};
  MemoryState memory;
  for (std::size_t round = 0; round < sent.size(); ++round) {
    const auto refused = encode_update(plan, layout(), delta, &memory).value();
    memory.discard();
    const auto update = encode_update(plan, layout(), delta, &memory).value();
    memory.accept();
    EXPECT_EQ(update.body, refused.body) << "what is not accepted does not count";
    EXPECT_EQ(update.state_epoch, round);
    const auto values = decoded(plan, update.body);
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_FLOAT_EQ(values[i], sent[round][i]) << round << " " << i;
    }
  }
  EXPECT_EQ(memory.load(kSent).value().value(), delta);
}

TEST(UpdateEncoder, BuffersAreNoDifferences) {
  TensorLayout with_buffer = layout();
  with_buffer.tensors[1] = {"b.running_var", {2}, 3, 2, true};
  TrainPlan plan = plan_of(kTopOne, Feedback::difference);
  plan.compression->tensors.clear();
  plan.compression->since = 1;
  MemoryState memory;
  for (int round = 0; round < 3; ++round) {
    const std::vector<float> delta{1.0F, 0.6F, -0.5F, 4.0F, -4.0F};
    const auto update = encode_update(plan, with_buffer, delta, &memory).value();
    memory.accept();
    const auto form = codec::UpdateForm::of(plan, with_buffer).value();
    std::vector<float> values(5);
    ASSERT_TRUE(codec::decode_update(form, update.body, 1e9F, values));
    EXPECT_EQ(values[3], 4.0F);
    EXPECT_EQ(values[4], -4.0F);
    EXPECT_EQ(memory.load(kSent).value()->back(), 0.0F);
  }
}

TEST(UpdateEncoder, DifferencesBeginAnewWhenThePlanSaysSo) {
  TrainPlan plan = plan_of(kTopOne, Feedback::difference);
  const std::vector<float> delta{1.0F, 0.6F, -0.5F, 4.0F, -4.0F};
  const auto send = [&](std::uint64_t since, MemoryState& memory) {
    plan.compression->since = since;
    auto update = encode_update(plan, layout(), delta, &memory).value();
    memory.accept();
    return update;
  };
  MemoryState memory;
  const auto first = send(1, memory);
  EXPECT_NE(send(1, memory).body, first.body);
  const auto anew = send(limits::kRoundsMax, memory);
  EXPECT_EQ(anew.body, first.body);
  EXPECT_EQ(anew.state_epoch, 0U);
  EXPECT_EQ(send(limits::kRoundsMax, memory).state_epoch, 1U);
  MemoryState of_another_model;
  ASSERT_TRUE(of_another_model.store(kSent, std::vector<float>{100, 100}));
  of_another_model.accept();
  EXPECT_EQ(send(1, of_another_model).body, first.body);
}

TEST(UpdateEncoder, KeepsNothingUnlessAsked) {
  MemoryState memory;
  const TrainPlan plan = plan_of(kTopOne, Feedback::none);
  const std::vector<float> delta{1.0F, 0.6F, -0.5F, 4.0F, -4.0F};
  EXPECT_TRUE(encode_update(plan, layout(), delta, &memory));
  EXPECT_EQ(encode_update(plan, layout(), delta, nullptr)->state_epoch, std::nullopt);
  EXPECT_FALSE(memory.load(kErrorMemory).value());
}

// Random-k sends d/k times too much of what it sends: fed back, that would grow without end.
TEST(UpdateEncoder, UnbiasedCodecsAreNotFedBack) {
  const std::vector<float> delta{1.0F, 0.6F, -0.5F, 4.0F, -4.0F};
  for (const Codec& codec : {Codec{.kind = CodecKind::random_k, .density = 0.3},
                             Codec{.kind = CodecKind::uniform, .bits = 1},
                             Codec{.kind = CodecKind::rotated, .bits = 1, .bucket = 64}}) {
    MemoryState memory;
    const TrainPlan plan = plan_of(codec, Feedback::error);
    const auto first = encode_update(plan, layout(), delta, &memory).value().body;
    memory.accept();
    EXPECT_EQ(encode_update(plan, layout(), delta, &memory).value().body, first);
    EXPECT_FALSE(memory.load(kErrorMemory).value());
  }
}

TEST(UpdateEncoder, AMemoryOfAnotherModelBeginsAnew) {
  MemoryState memory;
  ASSERT_TRUE(memory.store(kErrorMemory, std::vector<float>{100, 100}));
  memory.accept();
  const TrainPlan plan = plan_of(kTopOne, Feedback::error);
  const auto body = encode_update(plan, layout(), std::vector<float>(5), &memory).value();
  EXPECT_EQ(decoded(plan, body.body), std::vector<float>(5));
}

TEST(UpdateEncoder, SaysWhatItCannotDo) {
  const std::vector<float> delta{1.0F, 1e38F, -0.5F, 4.0F, -4.0F};
  const auto without = encode_update(plan_of(kTopOne, Feedback::error), layout(), delta, nullptr);
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error().code, errc::unsupported_feature);
  TrainPlan differences = plan_of(kTopOne, Feedback::difference);
  differences.compression->since = 1;
  EXPECT_EQ(encode_update(differences, layout(), delta, nullptr).error().code,
            errc::unsupported_feature);
  const auto large =
      encode_update(plan_of({.kind = CodecKind::f16}, Feedback::none), layout(), delta, nullptr);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, errc::value_out_of_range);
  EXPECT_NE(large.error().detail.find("elements 0 to 2"), std::string::npos);
}

TEST(UpdateEncoder, IsAFunctionOfItsArguments) {
  TrainPlan plan = plan_of({.kind = CodecKind::uniform, .bits = 2}, Feedback::none);
  const std::vector<float> delta{0.3F, 0.6F, -0.5F, 4.0F, -4.0F};
  const auto body = encode_update(plan, layout(), delta, nullptr).value().body;
  EXPECT_EQ(encode_update(plan, layout(), delta, nullptr).value().body, body);
}

}  // namespace
}  // namespace chorus::client
