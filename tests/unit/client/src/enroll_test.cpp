// Enrolment against a scripted server over TLS.
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chorus/client/client.hpp"
#include "client/src/state_folder.hpp"
#include "common/base/files.hpp"
#include "common/wire/join_token.hpp"
#include "tests/support/fake_server.hpp"
#include "tests/support/messages.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus::client {
namespace {

using boost::asio::awaitable;
using test::Peer;
using ::testing::HasSubstr;
using Script = test::FakeServer::Script;

class EnrollTest : public ::testing::Test {
 protected:
  void serve(std::vector<Script> scripts) {
    server_ = std::make_unique<test::FakeServer>(federation_, std::move(scripts));
  }
  EnrollOptions options(const std::string& name = {}) const {
    return {
        wire::encode_join_token({server_->address(), federation_.ca_sha256(), "s3cret"}).value(),
        state_,
        name};
  }
  wire::Enrolled answer(std::span<const std::byte> csr) const {
    const auto certificate =
        federation_.authority()
            .sign_device(csr, ClientId{"device-9"}, valid_for(std::chrono::hours(1)))
            .value();
    return {certificate.to_der().value(),
            federation_.authority().certificate().to_der().value(),
            "device-9"};
  }
  // Receives the request, sends what `reply` makes of it.
  Script answering(std::function<wire::Message(const wire::Enroll&)> reply) {
    return [this, reply = std::move(reply)](Peer& peer) -> awaitable<void> {
      EXPECT_FALSE(peer.certificate().has_value());
      co_await peer.greet();
      request_ = co_await peer.expect<wire::Enroll>();
      wire::Message message = reply(request_);
      co_await peer.send(std::move(message));
      try {
        for (;;) co_await peer.receive();
      } catch (const std::exception&) {
      }
    };
  }
  void TearDown() override {
    if (server_ != nullptr) {
      EXPECT_EQ(server_->complaints(), "");
    }
  }

  test::TempFolder folder_;
  std::filesystem::path state_ = folder_.path() / "device";
  test::FakeFederation federation_;
  std::unique_ptr<test::FakeServer> server_;
  wire::Enroll request_;
};

TEST_F(EnrollTest, TurnsATokenIntoAnIdentity) {
  serve({answering([&](const wire::Enroll& e) { return answer(e.csr); })});
  const auto name = enroll(options("wanted"));
  ASSERT_TRUE(name) << name.error().to_string();
  EXPECT_EQ(*name, "device-9");
  EXPECT_EQ(request_.token, "s3cret");
  EXPECT_EQ(request_.name, "wanted");
  {
    const auto state = StateFolder::open(state_).value();
    const auto identity = state.identity().value();
    EXPECT_EQ(identity.name, "device-9");
    EXPECT_EQ(identity.server, server_->address());
    EXPECT_EQ(identity.ca_pem, federation_.ca_pem());
    const auto certificate = Certificate::from_pem(identity.certificate_pem).value();
    EXPECT_TRUE(certificate.belongs_to(PrivateKey::from_pem(identity.key_pem).value()));
  }
  // The address comes with the identity.
  ClientOptions client;
  client.state = state_;
  EXPECT_TRUE(Client::create(client));
  const auto again = enroll(options());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, errc::already_exists);
}

TEST_F(EnrollTest, UsesTheSameKeyAfterALostAnswer) {
  std::vector<std::byte> first;
  serve({[&](Peer& peer) -> awaitable<void> {
           co_await peer.greet();
           first = (co_await peer.expect<wire::Enroll>()).csr;
         },
         answering([&](const wire::Enroll& e) { return answer(e.csr); })});
  EXPECT_EQ(enroll(options()).error().code, errc::connection_failed);
  const auto key = read_text(state_ / "key.pem", 1U << 16U).value();
  ASSERT_TRUE(enroll(options()));
  EXPECT_EQ(read_text(state_ / "key.pem", 1U << 16U).value(), key);
  EXPECT_FALSE(first.empty());
}

TEST_F(EnrollTest, SaysWhatTheServerSays) {
  serve({answering([](const wire::Enroll&) {
    return wire::Error{errc::token_invalid, "used up", Duration(0), true};
  })});
  const auto name = enroll(options());
  ASSERT_FALSE(name);
  EXPECT_EQ(name.error().code, errc::token_invalid);
  EXPECT_THAT(name.error().detail, HasSubstr("used up"));
  EXPECT_FALSE(StateFolder::open(state_).value().has_identity());
}

TEST_F(EnrollTest, RefusesAServerThatTheTokenDoesNotName) {
  serve({[](Peer&) -> awaitable<void> { co_return; }});
  EnrollOptions wrong = options();
  wrong.token =
      wire::encode_join_token({server_->address(), test::sha256_of_byte(1), "s3cret"}).value();
  const auto name = enroll(wrong);
  ASSERT_FALSE(name);
  EXPECT_EQ(name.error().code, errc::unauthenticated) << name.error().detail;
}

TEST_F(EnrollTest, RefusesACertificateForAnotherKey) {
  const auto other = make_csr(PrivateKey::generate().value(), "x").value();
  serve({answering([&](const wire::Enroll&) { return answer(other); })});
  const auto name = enroll(options());
  ASSERT_FALSE(name);
  EXPECT_THAT(name.error().detail, HasSubstr("another key"));
}

TEST_F(EnrollTest, RefusesAnotherAuthority) {
  const test::FakeFederation foreign;
  serve({answering([&](const wire::Enroll& e) {
    auto enrolled = answer(e.csr);
    enrolled.ca_certificate = foreign.authority().certificate().to_der().value();
    return enrolled;
  })});
  const auto name = enroll(options());
  ASSERT_FALSE(name);
  EXPECT_EQ(name.error().code, errc::unauthenticated);
}

TEST_F(EnrollTest, RefusesAnswersThatMakeNoSense) {
  serve({answering([](const wire::Enroll&) { return wire::Ready{}; }),
         answering([](const wire::Enroll&) {
           const std::vector<std::byte> rubbish(8, std::byte{1});
           return wire::Enrolled{rubbish, rubbish, "device-9"};
         })});
  EXPECT_EQ(enroll(options()).error().code, errc::unexpected_message);
  EXPECT_EQ(enroll(options()).error().code, errc::malformed_message);
}

TEST_F(EnrollTest, ChecksWhatItIsGiven) {
  serve({});
  EnrollOptions bad = options();
  bad.token = "hello";
  EXPECT_EQ(enroll(bad).error().code, errc::token_invalid);
  bad = options("Bad Name");
  EXPECT_EQ(enroll(bad).error().code, errc::invalid_argument);
  bad = options();
  bad.token = wire::encode_join_token({"127.0.0.1:1", federation_.ca_sha256(), "s3cret"}).value();
  EXPECT_EQ(enroll(bad).error().code, errc::connection_failed);
  bad.token = wire::encode_join_token({"no port", federation_.ca_sha256(), "s3cret"}).value();
  EXPECT_EQ(enroll(bad).error().code, errc::invalid_argument);
}

}  // namespace
}  // namespace chorus::client
