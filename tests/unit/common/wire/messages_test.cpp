#include "common/wire/messages.hpp"

#include <limits>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "common/base/rng.hpp"
#include "tests/support/messages.hpp"

namespace chorus::wire {
namespace {

using ::testing::HasSubstr;

std::span<const std::byte> message_part(const std::vector<std::byte>& frame) {
  return std::span(frame).subspan(kHeaderBytes);
}

Result<Message> through_the_wire(const Message& message) {
  auto frame = encode(message);
  if (!frame) return std::move(frame).error();
  const auto header = decode_header(std::span(*frame).first<kHeaderBytes>());
  if (!header) return header.error();
  EXPECT_EQ(header->message_bytes, frame->size() - kHeaderBytes);
  return decode(header->kind, message_part(*frame));
}

TEST(Messages, EveryKindSurvivesTheWire) {
  std::set<FrameKind> kinds;
  for (const auto& message : test::every_message()) {
    const auto back = through_the_wire(message);
    ASSERT_TRUE(back) << name_of(kind_of(message)) << ": " << back.error().detail;
    EXPECT_EQ(*back, message) << name_of(kind_of(message));
    kinds.insert(kind_of(message));
  }
  EXPECT_EQ(kinds.size(), std::variant_size_v<MessageKinds>);
}

TEST(Messages, EveryKindHasAName) {
  std::set<std::string_view> names;
  for (const auto& message : test::every_message()) names.insert(name_of(kind_of(message)));
  EXPECT_EQ(names.size(), std::variant_size_v<MessageKinds>);
  EXPECT_EQ(name_of(static_cast<FrameKind>(21)), "");
}

TEST(Messages, ExtremeNumbersSurviveTheWire) {
  Offer offer = test::some_offer();
  offer.bytes = limits::kModelBytesMax;
  offer.examples.value = std::numeric_limits<std::uint64_t>::max();
  offer.steps = std::numeric_limits<std::uint64_t>::max();
  offer.metrics = {{"tiny", std::numeric_limits<double>::denorm_min()}, {"minus", -0.0}};
  EXPECT_EQ(through_the_wire(offer).value(), Message(offer));
  offer.bytes = 408;
  offer.parts = {{ReportKind::delta, 100}, {ReportKind::representations, 2}};
  offer.epochs = 1.5;
  offer.ending = Ending::device;
  offer.state_epoch = 0;
  EXPECT_EQ(through_the_wire(offer).value(), Message(offer));

  const Ping ping{std::numeric_limits<std::uint64_t>::max()};
  EXPECT_EQ(through_the_wire(ping).value(), Message(ping));

  const ComeBack year{std::chrono::duration_cast<Duration>(limits::kSpanMax), ""};
  EXPECT_EQ(through_the_wire(year).value(), Message(year));
}

TEST(Messages, EvaluateOfferHasNoDigest) {
  Offer offer = test::some_offer();
  offer.task.kind = TaskKind::evaluate;
  offer.bytes = 0;
  offer.digest = {};
  EXPECT_EQ(through_the_wire(offer).value(), Message(offer));
}

TEST(Messages, AnErrorCodeOfANewerBuildIsInternal) {
  Error error{static_cast<errc>(4711), "from the future", Duration(1), true};
  const auto back = through_the_wire(error);
  ASSERT_TRUE(back);
  EXPECT_EQ(std::get<Error>(*back).code, errc::internal);
}

TEST(Messages, LongTextIsCutAtACharacterBorder) {
  std::string detail(limits::kDetailBytesMax - 1, 'a');
  detail += "é and more";
  const auto back = through_the_wire(Error{errc::busy, detail, Duration(0), false});
  ASSERT_TRUE(back);
  EXPECT_EQ(std::get<Error>(*back).detail, std::string(limits::kDetailBytesMax - 1, 'a'));
}

TEST(Messages, TextThatIsNotUtf8StillArrives) {
  const std::string detail = "file '\xff\xc0\x80\xed\xa0\x80' näher";
  const auto back = through_the_wire(Error{errc::busy, detail, Duration(0), false});
  ASSERT_TRUE(back) << back.error().detail;
  EXPECT_EQ(std::get<Error>(*back).detail, "file '" + std::string(6, '?') + "' näher");
}

TEST(Messages, SpansOutsideTheRangeAreClampedOnTheWayOut) {
  const auto back = through_the_wire(ComeBack{Duration(-5), ""});
  ASSERT_TRUE(back);
  EXPECT_EQ(std::get<ComeBack>(*back).after, Duration(0));
}

TEST(Messages, AModelThatDoesNotFitOneMessageIsRefusedWhenEncoding) {
  Work work = test::some_work();
  work.spec.layers.assign(limits::kLayersMax, Dense{std::string(100, 'n'), 10});
  const auto frame = encode(work);
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error().code, errc::frame_too_large);
}

TEST(Messages, OnlyAChunkMayAnnounceABody) {
  EXPECT_TRUE(encode(Chunk{0}, static_cast<std::uint32_t>(limits::kChunkBytesMax)));
  EXPECT_FALSE(encode(Chunk{0}, static_cast<std::uint32_t>(limits::kChunkBytesMax) + 1));
  EXPECT_FALSE(encode(Ready{}, 1));
}

TEST(Messages, AdminBytesAreBounded) {
  EXPECT_TRUE(encode(AdminReply{std::string(limits::kMessageBytesMax, 'x')}));
  const auto frame = encode(AdminReply{std::string(limits::kMessageBytesMax + 1, 'x')});
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error().code, errc::frame_too_large);
}

TEST(Messages, AMessageOneBeyondTheLimitIsRefusedWhenDecoding) {
  const std::vector<std::byte> bytes(limits::kMessageBytesMax + 1);
  const auto message = decode(FrameKind::admin_reply, bytes);
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().code, errc::frame_too_large);
}

TEST(Messages, CuttingAMessageNeverCrashesAndNeverGivesAnother) {
  for (const auto& message : test::every_message()) {
    const auto frame = encode(message).value();
    const auto bytes = message_part(frame);
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
      const auto part = decode(kind_of(message), bytes.first(cut));
      if (!part) continue;  // some cuts fall between two fields
      EXPECT_EQ(kind_of(*part), kind_of(message));
      EXPECT_NE(*part, message) << name_of(kind_of(message)) << " cut at " << cut;
    }
  }
}

TEST(Messages, WhateverDecodesEncodesToTheSameValue) {
  Rng rng(77);
  const auto all = test::every_message();
  for (int run = 0; run < 20'000; ++run) {
    const auto& message = all[rng.below(all.size())];
    auto frame = encode(message).value();
    const std::size_t bytes = frame.size() - kHeaderBytes;
    if (bytes == 0) continue;
    const auto flips = 1 + rng.below(3);
    for (std::uint64_t i = 0; i < flips; ++i) {
      const auto at = kHeaderBytes + rng.below(bytes);
      frame[at] = static_cast<std::byte>(rng.next_u32());
    }
    const auto decoded = decode(kind_of(message), message_part(frame));
    if (!decoded) continue;
    const auto again = through_the_wire(*decoded);
    ASSERT_TRUE(again) << name_of(kind_of(message)) << ": " << again.error().detail;
    EXPECT_EQ(*again, *decoded) << name_of(kind_of(message));
  }
}

TEST(Names, FollowTheGrammar) {
  for (const char* good : {"a", "0", "digits", "device-1", "a.b_c-d", "9lives"}) {
    EXPECT_TRUE(valid_name(good)) << good;
  }
  for (const char* bad : {"", "-a", ".a", "_a", "A", "a b", "a/b", "ä", "a\n", "a:b"}) {
    EXPECT_FALSE(valid_name(bad)) << bad;
  }
  EXPECT_FALSE(valid_name(std::string_view("a\0b", 3)));
  EXPECT_TRUE(valid_name(std::string(limits::kNameBytesMax, 'a')));
  EXPECT_FALSE(valid_name(std::string(limits::kNameBytesMax + 1, 'a')));
}

}  // namespace
}  // namespace chorus::wire
