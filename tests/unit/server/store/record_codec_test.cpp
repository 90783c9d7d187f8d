#include "server/store/record_codec.hpp"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "common/base/limits.hpp"
#include "tests/unit/server/store/journal_fixture.hpp"

namespace chorus::server {
namespace {

using journal_format::RecordKind;

UpdateMeta some_meta() {
  return meta_of("device-1", body_of(10, 1));
}

TEST(RecordCodec, MetadataComesBack) {
  const UpdateMeta meta = some_meta();
  EXPECT_EQ(parse_meta(encode_meta(meta)).value(), meta);
  UpdateMeta largest = meta;
  largest.client.value.assign(limits::kNameBytesMax, 'x');
  largest.bytes = limits::kModelBytesMax;
  largest.examples.value = ~0ULL;
  largest.metrics.assign(limits::kMetricsMax,
                         Metric{std::string(limits::kNameBytesMax, 'm'), -1e300});
  EXPECT_EQ(parse_meta(encode_meta(largest)).value(), largest);
}

TEST(RecordCodec, NotANumberComesBack) {
  UpdateMeta meta = some_meta();
  meta.metrics = {{"loss", std::numeric_limits<double>::quiet_NaN()}};
  EXPECT_TRUE(std::isnan(parse_meta(encode_meta(meta)).value().metrics[0].value));
}

TEST(RecordCodec, TruncatedOrLongerMetadataIsRefused) {
  auto bytes = encode_meta(some_meta());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto parsed = parse_meta(std::span(bytes).first(size));
    ASSERT_FALSE(parsed) << size;
    ASSERT_EQ(parsed.error().code, errc::corrupt_data);
  }
  bytes.push_back(std::byte{0});
  EXPECT_EQ(parse_meta(bytes).error().code, errc::corrupt_data);
}

TEST(RecordCodec, MetadataBeyondLimitsIsRefused) {
  UpdateMeta meta = some_meta();
  meta.client.value.assign(limits::kNameBytesMax + 1, 'x');
  EXPECT_EQ(parse_meta(encode_meta(meta)).error().code, errc::corrupt_data);
  meta = some_meta();
  meta.client.value.clear();
  EXPECT_EQ(parse_meta(encode_meta(meta)).error().code, errc::corrupt_data);
  meta = some_meta();
  meta.bytes = limits::kModelBytesMax + 1;
  EXPECT_EQ(parse_meta(encode_meta(meta)).error().code, errc::corrupt_data);
  meta = some_meta();
  meta.metrics.assign(limits::kMetricsMax + 1, Metric{"m", 1.0});
  EXPECT_EQ(parse_meta(encode_meta(meta)).error().code, errc::corrupt_data);
}

TEST(RecordCodec, RandomBytesNeverCrash) {
  Rng rng(7);
  for (int i = 0; i < 20'000; ++i) {
    Body bytes = body_of(rng.below(200), rng.next_u64());
    static_cast<void>(parse_meta(bytes).has_value());
    static_cast<void>(parse_commit(bytes).has_value());
    RecordHeaderBytes header{};
    std::copy_n(bytes.begin(), std::min(bytes.size(), header.size()), header.begin());
    EXPECT_FALSE(parse_record_header(header));
  }
}

TEST(RecordCodec, DamagedMetadataNeverCrashes) {
  const auto good = encode_meta(some_meta());
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      auto bad = good;
      bad[at] ^= static_cast<std::byte>(flip);
      const auto parsed = parse_meta(bad);
      EXPECT_FALSE(parsed && parsed.value() == some_meta());
    }
  }
}

TEST(RecordCodec, CommitsComeBack) {
  const std::vector<std::uint64_t> ids{1, 7, ~0ULL};
  EXPECT_EQ(parse_commit(encode_commit(ids)).value(), ids);
  EXPECT_EQ(parse_commit({}).error().code, errc::corrupt_data);
  const Body odd(12);
  EXPECT_EQ(parse_commit(odd).error().code, errc::corrupt_data);
}

TEST(RecordCodec, RecordHeaderComesBack) {
  const Body payload = body_of(100, 1);
  const RecordHeader header{
      .kind = RecordKind::chunk, .update = 5, .body_offset = 1ULL << 33U, .payload_bytes = 100};
  const auto bytes = encode_record_header(header, payload, 42);
  const auto parsed = parse_record_header(bytes);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->kind, RecordKind::chunk);
  EXPECT_EQ(parsed->update, 5U);
  EXPECT_EQ(parsed->body_offset, 1ULL << 33U);
  EXPECT_EQ(parsed->payload_bytes, 100U);
  EXPECT_TRUE(checksum_matches(bytes, payload, 42));
  EXPECT_FALSE(checksum_matches(bytes, payload, 43)) << "another place or another segment";
}

TEST(RecordCodec, EveryFlippedBitOfARecordIsNoticed) {
  const Body payload = body_of(64, 1);
  const auto good = encode_record_header(
      {.kind = RecordKind::chunk, .update = 5, .body_offset = 9, .payload_bytes = 64}, payload, 1);
  for (std::size_t bit = 0; bit < 8 * (good.size() + payload.size()); ++bit) {
    RecordHeaderBytes header = good;
    Body body = payload;
    const auto flip = static_cast<std::byte>(1U << (bit % 8));
    const std::size_t at = bit / 8;
    (at < header.size() ? header[at] : body[at - header.size()]) ^= flip;
    const auto parsed = parse_record_header(header);
    EXPECT_FALSE(parsed && parsed->payload_bytes == 64 && checksum_matches(header, body, 1)) << bit;
  }
}

TEST(RecordCodec, PayloadBeyondTheLimitIsRefused) {
  const Body payload(journal_format::kPayloadBytesMax + 1);
  const auto bytes = encode_record_header(
      {.kind = RecordKind::chunk, .payload_bytes = static_cast<std::uint32_t>(payload.size())},
      payload,
      1);
  EXPECT_FALSE(parse_record_header(bytes));
}

TEST(RecordCodec, SegmentHeaderIsBoundToItsNumber) {
  const auto good = encode_segment_header(5, 7, 99);
  EXPECT_EQ(parse_segment_header(good, 5, 7), 99U);
  EXPECT_FALSE(parse_segment_header(good, 5, 8));
  EXPECT_FALSE(parse_segment_header(good, 6, 7)) << "of another journal";
  for (std::size_t at = 0; at < good.size(); ++at) {
    auto bad = good;
    bad[at] ^= std::byte{1};
    EXPECT_FALSE(parse_segment_header(bad, 5, 7)) << at;
  }
}

TEST(RecordCodec, MarkComesBack) {
  const journal_format::Position position{.segment = 3, .offset = 77};
  EXPECT_EQ(parse_mark(encode_mark(position)), position);
  EXPECT_FALSE(parse_mark(MarkBytes{}));
}

}  // namespace
}  // namespace chorus::server
