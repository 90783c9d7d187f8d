// Every field of every message, one step outside its range. Messages are made with protobuf here,
// as a faulty or hostile peer would make them.
#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chorus/v1/wire.pb.h"
#include "common/base/limits.hpp"
#include "common/wire/messages.hpp"
#include "tests/support/messages.hpp"

namespace chorus::wire {
namespace {

namespace pb = chorus::v1;
using ::testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

// The valid example of a kind, as protobuf.
template <class Proto>
Proto valid(FrameKind kind) {
  for (const auto& message : test::every_message()) {
    if (kind_of(message) != kind) continue;
    const auto frame = encode(message).value();
    Proto proto;
    EXPECT_TRUE(proto.ParseFromArray(frame.data() + kHeaderBytes,
                                     static_cast<int>(frame.size() - kHeaderBytes)));
    return proto;
  }
  ADD_FAILURE() << "no example";
  return {};
}

template <class Proto>
Result<Message> decoded(FrameKind kind, const Proto& proto) {
  const std::string bytes = proto.SerializeAsString();
  return decode(kind, std::as_bytes(std::span(bytes)));
}

// Changes the valid example and expects malformed_message with `words` in the detail.
template <class Proto>
void refuses(FrameKind kind, const std::string& words, const std::function<void(Proto&)>& change) {
  auto proto = valid<Proto>(kind);
  ASSERT_TRUE(decoded(kind, proto));
  change(proto);
  const auto message = decoded(kind, proto);
  ASSERT_FALSE(message) << "expected an error about " << words;
  EXPECT_EQ(message.error().code, errc::malformed_message);
  EXPECT_THAT(message.error().detail, HasSubstr(words));
}

template <class Proto>
void accepts(FrameKind kind, const std::function<void(Proto&)>& change) {
  auto proto = valid<Proto>(kind);
  change(proto);
  const auto message = decoded(kind, proto);
  EXPECT_TRUE(message) << message.error().detail;
}

constexpr std::uint64_t kYearMs =
    static_cast<std::uint64_t>(std::chrono::duration_cast<Duration>(limits::kSpanMax).count());

TEST(MalformedMessages, BytesThatAreNotProtobuf) {
  const std::array<std::byte, 3> bytes{std::byte{0xFF}, std::byte{0xFF}, std::byte{0xFF}};
  for (const auto& message : test::every_message()) {
    const auto kind = kind_of(message);
    if (kind == FrameKind::admin_request || kind == FrameKind::admin_reply) continue;
    const auto decoded = decode(kind, bytes);
    ASSERT_FALSE(decoded) << name_of(kind);
    EXPECT_EQ(decoded.error().code, errc::malformed_message);
    EXPECT_THAT(decoded.error().detail, HasSubstr(std::string(name_of(kind))));
  }
}

TEST(MalformedMessages, AKindThatDoesNotExist) {
  const auto decoded = decode(static_cast<FrameKind>(99), {});
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, errc::malformed_frame);
}

template <class Proto>
void refuses_bad_tasks(FrameKind kind) {
  refuses<Proto>(kind, ".task: missing", [](Proto& p) { p.clear_task(); });
  refuses<Proto>(kind, ".task.job: ''", [](Proto& p) { p.mutable_task()->clear_job(); });
  refuses<Proto>(kind, ".task.job: 'A'", [](Proto& p) { p.mutable_task()->set_job("A"); });
  refuses<Proto>(kind, ".task.job", [](Proto& p) {
    p.mutable_task()->set_job(std::string(limits::kNameBytesMax + 1, 'a'));
  });
  refuses<Proto>(kind, ".task.round: 0", [](Proto& p) { p.mutable_task()->set_round(0); });
  refuses<Proto>(kind, ".task.kind: 0", [](Proto& p) { p.mutable_task()->clear_kind(); });
  refuses<Proto>(kind, ".task.kind: 3", [](Proto& p) {
    p.mutable_task()->set_kind(static_cast<pb::TaskRef::Kind>(3));
  });
}

TEST(MalformedMessages, Tasks) {
  refuses_bad_tasks<pb::Work>(FrameKind::work);
  refuses_bad_tasks<pb::Offer>(FrameKind::offer);
  refuses_bad_tasks<pb::Take>(FrameKind::take);
  refuses_bad_tasks<pb::Refuse>(FrameKind::refuse);
  refuses_bad_tasks<pb::Accepted>(FrameKind::accepted);
  refuses_bad_tasks<pb::Decline>(FrameKind::decline);
  refuses_bad_tasks<pb::Cancel>(FrameKind::cancel);
}

TEST(MalformedMessages, HelloFields) {
  constexpr auto kKind = FrameKind::hello;
  using P = pb::Hello;
  refuses<P>(kKind, "hello.protocol", [](P& p) { p.set_protocol_min(0); });
  refuses<P>(kKind, "hello.protocol: 2 to 1", [](P& p) { p.set_protocol_min(2); });
  accepts<P>(kKind, [](P& p) { p.set_protocol_max(9); });
  accepts<P>(kKind, [](P& p) { p.set_software(std::string(limits::kSoftwareBytesMax, 's')); });
  refuses<P>(kKind, "hello.software: 65 bytes", [](P& p) {
    p.set_software(std::string(limits::kSoftwareBytesMax + 1, 's'));
  });
  refuses<P>(kKind, "hello.features", [](P& p) { p.add_features("No"); });
  refuses<P>(kKind, "65 features", [](P& p) {
    while (p.features_size() <= static_cast<int>(limits::kFeaturesMax)) p.add_features("f");
  });
  refuses<P>(kKind, "hello.jobs", [](P& p) { p.add_jobs(""); });
  refuses<P>(kKind, "257 jobs", [](P& p) {
    while (p.jobs_size() <= static_cast<int>(limits::kJobsMax)) p.add_jobs("j");
  });
}

TEST(MalformedMessages, WelcomeFields) {
  constexpr auto kKind = FrameKind::welcome;
  using P = pb::Welcome;
  accepts<P>(kKind, [](P& p) { p.clear_name(); });
  refuses<P>(kKind, "welcome.name: 'x y'", [](P& p) { p.set_name("x y"); });
  refuses<P>(kKind, "welcome.heartbeat_ms: 0", [](P& p) { p.set_heartbeat_ms(0); });
  refuses<P>(kKind, "welcome.software", [](P& p) {
    p.set_software(std::string(limits::kSoftwareBytesMax + 1, 's'));
  });
}

TEST(MalformedMessages, SpansOfTime) {
  accepts<pb::ComeBack>(FrameKind::come_back, [](auto& p) { p.set_after_ms(kYearMs); });
  refuses<pb::ComeBack>(
      FrameKind::come_back, "after_ms", [](auto& p) { p.set_after_ms(kYearMs + 1); });
  refuses<pb::Error>(
      FrameKind::error, "retry_after_ms", [](auto& p) { p.set_retry_after_ms(kYearMs + 1); });
  refuses<pb::Refuse>(
      FrameKind::refuse, "retry_after_ms", [](auto& p) { p.set_retry_after_ms(~0ULL); });
  refuses<pb::Goodbye>(FrameKind::goodbye, "come_back_after_ms", [](auto& p) {
    p.set_come_back_after_ms(kYearMs + 1);
  });
  refuses<pb::Work>(FrameKind::work, "deadline_ms", [](auto& p) { p.set_deadline_ms(~0ULL); });
}

TEST(MalformedMessages, TextsForPeople) {
  const std::string longest(limits::kDetailBytesMax, 'd');
  const std::string longer = longest + "d";
  accepts<pb::Error>(FrameKind::error, [&](auto& p) { p.set_detail(longest); });
  refuses<pb::Error>(FrameKind::error, "error.detail: 513", [&](auto& p) { p.set_detail(longer); });
  refuses<pb::Refuse>(FrameKind::refuse, "refuse.detail", [&](auto& p) { p.set_detail(longer); });
  refuses<pb::Decline>(
      FrameKind::decline, "decline.detail", [&](auto& p) { p.set_detail(longer); });
  refuses<pb::Cancel>(FrameKind::cancel, "cancel.why", [&](auto& p) { p.set_why(longer); });
  refuses<pb::ComeBack>(FrameKind::come_back, "come_back.why", [&](auto& p) { p.set_why(longer); });
  refuses<pb::Goodbye>(FrameKind::goodbye, "goodbye.why", [&](auto& p) { p.set_why(longer); });
}

TEST(MalformedMessages, CodesAreNeverZero) {
  refuses<pb::Error>(FrameKind::error, "error.code: 0", [](auto& p) { p.clear_code(); });
  refuses<pb::Refuse>(FrameKind::refuse, "refuse.code: 0", [](auto& p) { p.clear_code(); });
  refuses<pb::Decline>(FrameKind::decline, "decline.code: 0", [](auto& p) { p.clear_code(); });
}

TEST(MalformedMessages, FetchChunkAndTakeOffsets) {
  for (const std::size_t bytes : {0U, 31U, 33U}) {
    refuses<pb::Fetch>(
        FrameKind::fetch, "fetch.sha256", [&](auto& p) { p.set_sha256(std::string(bytes, 's')); });
  }
  const auto beyond = limits::kModelBytesMax + 1;
  accepts<pb::Fetch>(FrameKind::fetch, [](auto& p) { p.set_offset(limits::kModelBytesMax); });
  refuses<pb::Fetch>(FrameKind::fetch, "fetch.offset", [&](auto& p) { p.set_offset(beyond); });
  refuses<pb::Chunk>(FrameKind::chunk, "chunk.offset", [&](auto& p) { p.set_offset(beyond); });
  refuses<pb::Take>(FrameKind::take, "take.offset", [&](auto& p) { p.set_offset(beyond); });
}

TEST(MalformedMessages, OfferFields) {
  constexpr auto kKind = FrameKind::offer;
  using P = pb::Offer;
  refuses<P>(kKind, "offer.bytes", [](P& p) { p.set_bytes(limits::kModelBytesMax + 1); });
  for (const std::size_t bytes : {0U, 15U, 17U}) {
    refuses<P>(kKind, "offer.digest", [&](P& p) { p.set_digest(std::string(bytes, 'd')); });
  }
  refuses<P>(kKind, "offer.base_sha256", [](P& p) { p.set_base_sha256("short"); });
  for (const double bad : {kNan, kInf, -kInf}) {
    refuses<P>(kKind, "offer.seconds", [&](P& p) { p.set_seconds(bad); });
    refuses<P>(kKind, "offer.metrics.value", [&](P& p) { p.mutable_metrics(0)->set_value(bad); });
  }
  refuses<P>(kKind, "offer.seconds", [](P& p) { p.set_seconds(-0.5); });
  refuses<P>(kKind, "offer.metrics.name", [](P& p) { p.mutable_metrics(1)->set_name("Loss!"); });
  refuses<P>(kKind, "offer.metrics.name", [](P& p) {
    p.mutable_metrics(1)->set_name(std::string(limits::kNameBytesMax + 1, 'm'));
  });
  refuses<P>(kKind, "33 metrics", [](P& p) {
    while (p.metrics_size() <= static_cast<int>(limits::kMetricsMax)) {
      p.add_metrics()->set_name("m");
    }
  });
}

TEST(MalformedMessages, OfferParts) {
  constexpr auto kKind = FrameKind::offer;
  using P = pb::Offer;
  const auto part = [](P& p, int kind, std::uint64_t count) {
    auto* to = p.add_parts();
    to->set_kind(static_cast<pb::ReportKind>(kind));
    to->set_count(count);
  };
  for (const int kind : {0, 10, -1}) {
    refuses<P>(kKind, "offer.parts.kind", [&](P& p) { part(p, kind, 100); });
  }
  refuses<P>(kKind, "offer.parts.count: 0", [&](P& p) { part(p, 2, 0); });
  refuses<P>(kKind, "offer.parts.count", [&](P& p) { part(p, 2, limits::kModelBytesMax / 4 + 1); });
  refuses<P>(kKind, "the 404 bytes of its parts", [&](P& p) { part(p, 2, 101); });
  refuses<P>(kKind, "17 parts", [&](P& p) {
    while (p.parts_size() <= static_cast<int>(limits::kReportPartsMax)) part(p, 2, 1);
  });
  for (const double bad : {kNan, kInf, -1.0}) {
    refuses<P>(kKind, "offer.epochs", [&](P& p) { p.set_epochs(bad); });
  }
  refuses<P>(kKind, "offer.ending: 4", [](P& p) { p.set_ending(static_cast<pb::Ending>(4)); });
}

TEST(MalformedMessages, AnEvaluateOfferCarriesNoBody) {
  constexpr auto kKind = FrameKind::offer;
  using P = pb::Offer;
  const auto evaluate = [](P& p) { p.mutable_task()->set_kind(pb::TaskRef::KIND_EVALUATE); };
  refuses<P>(kKind, "offer.bytes: 400", [&](P& p) { evaluate(p); });
  refuses<P>(kKind, "offer.digest: 16 bytes", [&](P& p) {
    evaluate(p);
    p.set_bytes(0);
  });
}

TEST(MalformedMessages, AcceptedDurability) {
  using P = pb::Accepted;
  refuses<P>(FrameKind::accepted, "durability: 0", [](P& p) { p.clear_durability(); });
  refuses<P>(FrameKind::accepted, "durability: 3", [](P& p) {
    p.set_durability(static_cast<pb::Accepted::Durability>(3));
  });
}

TEST(MalformedMessages, Enrolment) {
  const std::string most(limits::kCertificateBytesMax, 'c');
  const std::string more = most + "c";
  using P = pb::Enroll;
  refuses<P>(FrameKind::enroll, "enroll.token: missing", [](P& p) { p.clear_token(); });
  refuses<P>(FrameKind::enroll, "enroll.token: 257", [](P& p) {
    p.set_token(std::string(limits::kTokenBytesMax + 1, 't'));
  });
  refuses<P>(FrameKind::enroll, "enroll.csr: 0", [](P& p) { p.clear_csr(); });
  accepts<P>(FrameKind::enroll, [&](P& p) { p.set_csr(most); });
  refuses<P>(FrameKind::enroll, "enroll.csr: 16385", [&](P& p) { p.set_csr(more); });
  accepts<P>(FrameKind::enroll, [](P& p) { p.clear_name(); });
  refuses<P>(FrameKind::enroll, "enroll.name", [](P& p) { p.set_name("Device"); });
  using E = pb::Enrolled;
  refuses<E>(FrameKind::enrolled, "certificate: 0", [](E& p) { p.clear_certificate(); });
  refuses<E>(FrameKind::enrolled, "ca_certificate", [&](E& p) { p.set_ca_certificate(more); });
  refuses<E>(FrameKind::enrolled, "enrolled.name: ''", [](E& p) { p.clear_name(); });
  refuses<pb::Renew>(FrameKind::renew, "renew.csr: 0", [](auto& p) { p.clear_csr(); });
  refuses<pb::Renew>(FrameKind::renew, "renew.csr: 16385", [&](auto& p) { p.set_csr(more); });
}

}  // namespace
}  // namespace chorus::wire
