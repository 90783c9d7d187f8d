// Join tokens and what may be had for them.
#include "common/base/limits.hpp"
#include "common/crypto/digest.hpp"
#include "tests/unit/server/net/net_daemon.hpp"

namespace chorus::server::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class Enrolling : public testing::Test {
 protected:
  /// The clock that tokens expire by; daemon.context.now is not touched before there are threads.
  Enrolling() {
    server.daemon.context.now = [this] { return TimePoint(Duration(clock.load())); };
  }
  Result<Enrollment::Token> token(const std::string& device, std::uint32_t uses, Duration valid) {
    Enrollment::TokenRequest request;
    request.device = device;
    request.uses = uses;
    request.valid_for = valid;
    return server.daemon.play(server.enrollment->create_token(std::move(request)));
  }
  std::string secret(const std::string& device = "", std::uint32_t uses = 1) {
    return token(device, uses, 1h).value().secret;
  }
  Result<wire::Enrolled> enroll(const std::string& secret_text,
                                const PrivateKey& key,
                                const std::string& name = "") {
    wire::Enroll request;
    request.token = secret_text;
    request.csr = make_csr(key, "whatever").value();
    request.name = name;
    return server.daemon.play(server.enrollment->enroll(std::move(request), "192.0.2.1:5"));
  }
  errc refused(const std::string& secret_text,
               const PrivateKey& key,
               const std::string& name = "") {
    const auto reply = enroll(secret_text, key, name);
    EXPECT_FALSE(reply);
    return reply ? errc::internal : reply.error().code;
  }
  static PrivateKey new_key() { return PrivateKey::generate().value(); }

  std::atomic<std::int64_t> clock{1'000'000};
  NetDaemon server;
};

TEST_F(Enrolling, ANamedTokenGivesThatName) {
  const auto made = token("gate-1", 1, 1h).value();
  EXPECT_EQ(made.expires_at, TimePoint(Duration(1'000'000) + 1h));
  EXPECT_EQ(made.ca_sha256, federation().ca.certificate().info()->fingerprint);
  EXPECT_GE(made.secret.size(), 32U);
  const auto enrolled = enroll(made.secret, new_key());
  ASSERT_TRUE(enrolled) << enrolled.error().to_string();
  EXPECT_EQ(enrolled->name, "gate-1");
  const auto info = Certificate::from_der(enrolled->certificate)->info().value();
  EXPECT_EQ(info.common_name, "gate-1");
  EXPECT_EQ(info.organisation, "clinic");
  EXPECT_EQ(info.role, Role::device);
  const auto row =
      server.daemon.ask([&] { return server.daemon.ledger->device(ClientId{"gate-1"}); }).value();
  EXPECT_EQ(row.state, DeviceState::enrolled);
  EXPECT_EQ(row.certificate_sha256, hex(info.fingerprint));
  EXPECT_EQ(row.enrolled_at, TimePoint(Duration(1'000'000)));
}

TEST_F(Enrolling, ANamedTokenGivesNoOtherName) {
  const std::string named = secret("gate-1");
  EXPECT_EQ(refused(named, new_key(), "gate-2"), errc::token_invalid);
  EXPECT_TRUE(enroll(named, new_key(), "gate-1"));  // the refusal has not used it up
}

TEST_F(Enrolling, AnUnnamedTokenTakesTheDevicesWish) {
  const auto enrolled = enroll(secret(), new_key(), "gate-5");
  ASSERT_TRUE(enrolled);
  EXPECT_EQ(enrolled->name, "gate-5");
}

TEST_F(Enrolling, WithoutAnyNameTheKeyGivesOne) {
  const auto key = new_key();
  const std::string shared = secret("", 2);
  const auto enrolled = enroll(shared, key);
  ASSERT_TRUE(enrolled);
  EXPECT_THAT(enrolled->name, StartsWith("device-"));
  EXPECT_EQ(enroll(shared, key)->name, enrolled->name);
  EXPECT_NE(enroll(shared, new_key())->name, enrolled->name);
}

TEST_F(Enrolling, ATokenIsUsedUp) {
  const std::string twice = secret("", 2);
  EXPECT_TRUE(enroll(twice, new_key(), "gate-1"));
  EXPECT_TRUE(enroll(twice, new_key(), "gate-2"));
  EXPECT_EQ(refused(twice, new_key(), "gate-3"), errc::token_invalid);
  EXPECT_TRUE(server.audited("enrolment_refused", "192.0.2.1:5", "used up"));
}

TEST_F(Enrolling, TheSameKeyMayRepeatWhatItDid) {
  const auto key = new_key();
  const std::string once = secret();
  ASSERT_TRUE(enroll(once, key, "gate-1"));
  const auto again = enroll(once, key, "gate-1");  // the reply was lost
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(again->name, "gate-1");
  EXPECT_EQ(refused(once, key, "gate-2"), errc::already_exists);
}

TEST_F(Enrolling, ATokenExpires) {
  const std::string brief = token("", 5, 10s)->secret;
  clock += 9'999;
  EXPECT_TRUE(enroll(brief, new_key(), "gate-1"));
  clock += 1;
  EXPECT_EQ(refused(brief, new_key(), "gate-2"), errc::token_invalid);
  EXPECT_TRUE(server.audited("enrolment_refused", "", "expired"));
}

TEST_F(Enrolling, ANameBelongsToItsKey) {
  const std::string many = secret("", 5);
  ASSERT_TRUE(enroll(many, new_key(), "gate-1"));
  EXPECT_EQ(refused(many, new_key(), "gate-1"), errc::already_exists);
}

TEST_F(Enrolling, UnknownTokensAndBadRequestsAreRefused) {
  EXPECT_EQ(refused("guess", new_key()), errc::token_invalid);
  EXPECT_EQ(refused("", new_key()), errc::token_invalid);
  const std::string good = secret("", 5);
  for (const char* name : {"Gate", "a b", "-x", "../x"}) {
    EXPECT_EQ(refused(good, new_key(), name), errc::invalid_argument) << name;
  }
  wire::Enroll request;
  request.token = good;
  request.csr = std::vector<std::byte>(40, std::byte{0x30});
  const auto reply = server.daemon.play(server.enrollment->enroll(std::move(request), "x"));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, errc::malformed_message);
  EXPECT_TRUE(enroll(good, new_key(), std::string(limits::kNameBytesMax, 'a')));
  EXPECT_EQ(refused(good, new_key(), std::string(limits::kNameBytesMax + 1, 'a')),
            errc::invalid_argument);
}

TEST_F(Enrolling, ARevokedDeviceNeitherRenewsNorReturns) {
  const auto key = new_key();
  const std::string many = secret("", 5);
  ASSERT_TRUE(enroll(many, key, "gate-1"));
  const ClientId client{"gate-1"};
  ASSERT_TRUE(server.daemon.ask([&] { return server.daemon.ledger->revoke(client); }));
  EXPECT_EQ(refused(many, key, "gate-1"), errc::revoked);
  EXPECT_EQ(refused(many, new_key(), "gate-1"), errc::revoked);
  wire::Renew renew;
  renew.csr = make_csr(key, "x").value();
  const auto renewed = server.daemon.play(server.enrollment->renew(std::move(renew), client));
  ASSERT_FALSE(renewed);
  EXPECT_EQ(renewed.error().code, errc::revoked);
}

TEST_F(Enrolling, RenewingGivesAFreshCertificate) {
  ASSERT_TRUE(enroll(secret(), new_key(), "gate-1"));
  clock += 5000;
  wire::Renew renew;
  renew.csr = make_csr(new_key(), "x").value();
  const auto renewed =
      server.daemon.play(server.enrollment->renew(std::move(renew), ClientId{"gate-1"}));
  ASSERT_TRUE(renewed) << renewed.error().to_string();
  const auto fingerprint = Certificate::from_der(renewed->certificate)->info()->fingerprint;
  const auto row =
      server.daemon.ask([&] { return server.daemon.ledger->device(ClientId{"gate-1"}); }).value();
  EXPECT_EQ(row.certificate_sha256, hex(fingerprint));
  wire::Renew stranger;
  stranger.csr = make_csr(new_key(), "x").value();
  const auto unknown =
      server.daemon.play(server.enrollment->renew(std::move(stranger), ClientId{"gate-2"}));
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, errc::not_found);
}

TEST_F(Enrolling, TokensHaveBounds) {
  const Duration longest = EnrollmentConfig{}.token_validity_max;
  EXPECT_TRUE(token("", 1, longest));
  for (const Duration valid : {Duration{}, Duration(-1), longest + 1ms, Duration::max()}) {
    const auto made = token("", 1, valid);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, errc::invalid_argument);
  }
  EXPECT_EQ(token("No Name", 1, 1h).error().code, errc::invalid_argument);
  EXPECT_EQ(token("gate-1", 2, 1h).error().code, errc::invalid_argument);  // one name, one device
  EXPECT_EQ(token("", 0, 1h).error().code, errc::invalid_argument);
}

TEST(EnrollingSwitchedOff, SaysSo) {
  NetOptions options;
  options.enrollment = false;
  NetDaemon server(options);
  Enrollment::TokenRequest request;
  request.valid_for = 1h;
  const auto made = server.daemon.play(server.enrollment->create_token(std::move(request)));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, errc::wrong_state);
  EXPECT_THAT(made.error().detail, HasSubstr("enrollment.enabled"));
}

}  // namespace
}  // namespace chorus::server::test
