#include "common/wire/frame.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "common/base/rng.hpp"
#include "common/wire/messages.hpp"

namespace chorus::wire {
namespace {

using ::testing::HasSubstr;
using Header = std::array<std::byte, kHeaderBytes>;

Header chunk_header(std::uint32_t message_bytes, std::uint32_t body_bytes) {
  return encode_header({FrameKind::chunk, message_bytes, body_bytes});
}

void expect_failure(const Header& bytes, errc code, const std::string& words) {
  const auto decoded = decode_header(bytes);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, code);
  EXPECT_THAT(decoded.error().detail, HasSubstr(words));
}

TEST(FrameHeader, HasTheDocumentedLayout) {
  const Header bytes = encode_header({FrameKind::chunk, 0x0102, 0x00040506});
  const std::array<unsigned, kHeaderBytes> expected{
      'C', 'H', 'R', 'S', 1, 7, 0, 0, 0x02, 0x01, 0, 0, 0x06, 0x05, 0x04, 0};
  for (std::size_t i = 0; i < kHeaderBytes; ++i) {
    EXPECT_EQ(std::to_integer<unsigned>(bytes[i]), expected[i]) << "byte " << i;
  }
}

TEST(FrameHeader, RoundTripsAtItsLimits) {
  const FrameHeader largest{FrameKind::chunk,
                            static_cast<std::uint32_t>(limits::kMessageBytesMax),
                            static_cast<std::uint32_t>(limits::kChunkBytesMax)};
  const auto decoded = decode_header(encode_header(largest));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(*decoded, largest);
}

TEST(FrameHeader, RefusesEveryWrongByteOfTheMagic) {
  for (std::size_t i = 0; i < 4; ++i) {
    Header bytes = chunk_header(1, 1);
    bytes[i] ^= std::byte{0x20};
    expect_failure(bytes, errc::malformed_frame, "CHRS");
  }
}

TEST(FrameHeader, RefusesAnotherVersion) {
  Header bytes = chunk_header(1, 1);
  bytes[4] = std::byte{2};
  expect_failure(bytes, errc::unsupported_version, "frame version 2");
}

TEST(FrameHeader, RefusesEveryUnknownKind) {
  for (unsigned kind = 0; kind < 256; ++kind) {
    Header bytes = encode_header({static_cast<FrameKind>(kind), 1, 0});
    const bool known = (kind >= 1 && kind <= 20) || kind == 30 || kind == 31;
    if (known) {
      EXPECT_TRUE(decode_header(bytes)) << kind;
    } else {
      expect_failure(bytes, errc::malformed_frame, "unknown kind " + std::to_string(kind));
    }
  }
}

TEST(FrameHeader, RefusesFlags) {
  for (const std::size_t at : {std::size_t{6}, std::size_t{7}}) {
    Header bytes = chunk_header(1, 1);
    bytes[at] = std::byte{1};
    expect_failure(bytes, errc::malformed_frame, "flags");
  }
}

TEST(FrameHeader, RefusesAMessageOneBeyondTheLimit) {
  expect_failure(chunk_header(static_cast<std::uint32_t>(limits::kMessageBytesMax) + 1, 0),
                 errc::frame_too_large,
                 "65537");
  expect_failure(chunk_header(0xFFFFFFFFU, 0), errc::frame_too_large, "4294967295");
}

TEST(FrameHeader, RefusesABodyOneBeyondTheLimit) {
  expect_failure(chunk_header(1, static_cast<std::uint32_t>(limits::kChunkBytesMax) + 1),
                 errc::frame_too_large,
                 "1048577");
}

TEST(FrameHeader, RefusesABodyOnEveryKindButChunk) {
  for (unsigned kind = 1; kind <= 31; ++kind) {
    const auto frame_kind = static_cast<FrameKind>(kind);
    if (name_of(frame_kind).empty() || frame_kind == FrameKind::chunk) continue;
    expect_failure(encode_header({frame_kind, 0, 1}), errc::malformed_frame, "only chunk");
  }
}

// Feeds a reader piece by piece as a session does; returns the failure, if any.
struct Fed {
  FrameReader reader;
  std::vector<std::byte> body_buffer{};  // made when a body comes: thousands of runs have none
  std::size_t used = 0;

  // Takes what the reader wants out of `bytes`; true when a frame is complete.
  Result<bool> feed(std::span<const std::byte> bytes) {
    while (reader.stage() != FrameReader::Stage::complete) {
      if (reader.stage() == FrameReader::Stage::body) {
        body_buffer.resize(limits::kChunkBytesMax);
        reader.set_body_buffer(body_buffer);
      }
      const auto want = reader.want();
      if (bytes.size() - used < want.size()) return false;
      std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(used), want.size(), want.begin());
      used += want.size();
      if (auto stage = reader.filled(); !stage) return std::move(stage).error();
    }
    return true;
  }
};

std::vector<std::byte> chunk_frame(std::size_t body_bytes) {
  auto frame = encode(Chunk{77}, static_cast<std::uint32_t>(body_bytes)).value();
  for (std::size_t i = 0; i < body_bytes; ++i) frame.push_back(static_cast<std::byte>(i));
  return frame;
}

TEST(FrameReader, ReadsAChunkWithItsBody) {
  const auto frame = chunk_frame(300);
  Fed fed;
  ASSERT_TRUE(fed.feed(frame).value());
  EXPECT_EQ(fed.reader.header().kind, FrameKind::chunk);
  ASSERT_EQ(fed.reader.body().size(), 300U);
  EXPECT_TRUE(std::equal(fed.reader.body().begin(), fed.reader.body().end(), frame.end() - 300));
  const auto message = decode(fed.reader.header().kind, fed.reader.message());
  ASSERT_TRUE(message);
  EXPECT_EQ(*message, Message(Chunk{77}));
}

TEST(FrameReader, PassesOverEmptyParts) {
  Fed fed;
  ASSERT_TRUE(fed.feed(encode(Ready{}).value()).value());
  EXPECT_TRUE(fed.reader.message().empty());
  EXPECT_TRUE(fed.reader.body().empty());
  EXPECT_TRUE(fed.reader.want().empty());
}

TEST(FrameReader, ReadsABodyBehindAnEmptyMessage) {
  auto frame = encode(Chunk{0}, 4).value();  // offset 0 has no bytes in protobuf
  ASSERT_EQ(frame.size(), kHeaderBytes);
  frame.insert(frame.end(), 4, std::byte{5});
  Fed fed;
  ASSERT_TRUE(fed.feed(frame).value());
  EXPECT_EQ(fed.reader.body().size(), 4U);
}

TEST(FrameReader, ReadsManyFramesInARow) {
  Fed fed;
  for (std::size_t i = 0; i < 50; ++i) {
    fed.used = 0;
    ASSERT_TRUE(fed.feed(chunk_frame(i)).value());
    EXPECT_EQ(fed.reader.body().size(), i);
    fed.reader.reset();
    EXPECT_EQ(fed.reader.stage(), FrameReader::Stage::header);
  }
}

TEST(FrameReader, WaitsForMoreWhenAFrameIsCutAnywhere) {
  const auto frame = chunk_frame(40);
  for (std::size_t cut = 0; cut < frame.size(); ++cut) {
    Fed fed;
    const auto complete = fed.feed(std::span(frame).first(cut));
    ASSERT_TRUE(complete) << "cut at " << cut;
    EXPECT_FALSE(*complete) << "cut at " << cut;
  }
}

TEST(FrameReader, StopsAtAMalformedHeader) {
  auto frame = chunk_frame(4);
  frame[0] = std::byte{'X'};
  Fed fed;
  const auto complete = fed.feed(frame);
  ASSERT_FALSE(complete);
  EXPECT_EQ(complete.error().code, errc::malformed_frame);
}

TEST(FrameReader, SurvivesRandomBytes) {
  Rng rng(2026);
  std::vector<std::byte> bytes(512);
  for (int run = 0; run < 20'000; ++run) {
    for (auto& b : bytes) b = static_cast<std::byte>(rng.next_u32());
    if (run % 2 == 0) {  // half of the runs get past the header
      const auto header = encode_header({static_cast<FrameKind>(1 + rng.below(20)),
                                         static_cast<std::uint32_t>(rng.below(300)),
                                         0});
      std::copy(header.begin(), header.end(), bytes.begin());
    }
    Fed fed;
    const auto complete = fed.feed(bytes);
    if (!complete || !*complete) continue;
    const auto message = decode(fed.reader.header().kind, fed.reader.message());
    if (message) {
      EXPECT_EQ(kind_of(*message), fed.reader.header().kind);
    }
  }
}

}  // namespace
}  // namespace chorus::wire
