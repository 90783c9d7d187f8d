// Who may say what, when: the order of a conversation, and what each kind of peer is allowed.
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/write.hpp>

#include "common/base/limits.hpp"
#include "common/crypto/digest.hpp"
#include "tests/unit/server/net/net_daemon.hpp"

namespace chorus::server::test {
namespace {

using testing::HasSubstr;

class Conversation : public testing::Test {
 protected:
  NetDaemon server;
};

TEST_F(Conversation, ADeviceIsWelcomedByName) {
  server.play([&]() -> Work {
    auto client = co_await Client::connect(server, device_tls("gate-1"));
    const auto welcome = co_await client->greet();
    EXPECT_EQ(welcome.protocol, 1U);
    EXPECT_EQ(welcome.name, "gate-1");
    EXPECT_EQ(welcome.heartbeat, 15s);
    EXPECT_THAT(welcome.software, HasSubstr("chorusd"));
    co_await client->say(goodbye());
    const auto more = co_await client->hear();
    EXPECT_FALSE(more.has_value());
  });
  EXPECT_TRUE(server.run_until([&] { return server.daemon.board->devices_connected() == 0; }));
}

TEST_F(Conversation, HelloComesFirst) {
  for (const bool administrator : {false, true}) {
    server.play([&]() -> Work {
      auto tls = administrator ? admin_tls("ann", Role::owner) : device_tls("gate-1");
      auto client = co_await Client::connect(server, std::move(tls));
      co_await client->ready();
      const auto error = co_await client->hear_the_end(errc::unexpected_message);
      EXPECT_THAT(error.detail, HasSubstr("'ready'"));
      EXPECT_THAT(error.detail, HasSubstr("begins with hello"));
    });
  }
  EXPECT_TRUE(server.audited("session_refused", "gate-1", "unexpected_message"));
}

TEST_F(Conversation, HelloComesOnce) {
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    co_await client->say(hello());
    co_await client->hear_the_end(errc::unexpected_message);
  });
}

TEST_F(Conversation, WithoutACommonProtocolThereIsNone) {
  struct Versions {
    std::uint32_t min;
    std::uint32_t max;
  };
  for (const auto& [min, max] : {Versions{2, 9}, Versions{2, 2}}) {
    server.play([&, lowest = min, highest = max]() -> Work {
      auto client = co_await Client::connect(server, device_tls("gate-1"));
      co_await client->say(hello(lowest, highest));
      const auto error = co_await client->hear_the_end(errc::unsupported_version);
      EXPECT_THAT(error.detail, HasSubstr("this server 1 to 1"));
    });
  }
  server.play([&]() -> Work {  // a range that holds ours is fine
    auto client = co_await Client::connect(server, device_tls("gate-1"));
    co_await client->say(hello(1, 7));
    const auto welcome = co_await client->hear_a<wire::Welcome>();
    EXPECT_EQ(welcome.protocol, 1U);
  });
}

TEST_F(Conversation, ADeviceMayNotAdminister) {
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    co_await client->say(admin_request("\x12"));
    co_await client->hear_the_end(errc::unexpected_message);
  });
  EXPECT_TRUE(server.audited("session_refused", "gate-1", "admin_request"));
}

TEST_F(Conversation, AnAdministratorIsNoDevice) {
  server.play([&]() -> Work {
    auto client = co_await Client::connect(server, admin_tls("ann", Role::owner));
    co_await client->greet();
    co_await client->ready();
    co_await client->hear_the_end(errc::unexpected_message);
  });
  EXPECT_EQ(server.daemon.board->devices_connected(), 0U);
}

TEST_F(Conversation, WhatOnlyServersSayEndsTheConnection) {
  const std::vector<wire::Message> wrong{wire::Welcome{1, "x", "y", 1s},
                                         wire::Take{TaskRef{JobId{"job"}, RoundId{1}}, 0},
                                         wire::Accepted{TaskRef{JobId{"job"}, RoundId{1}}},
                                         wire::ComeBack{1s, "x"},
                                         wire::Enroll{"t", std::vector<std::byte>(8), ""}};
  for (const wire::Message& message : wrong) {
    server.play([&]() -> Work {
      auto client = co_await Client::device(server, "gate-1");
      wire::Message copy = message;
      co_await client->say(std::move(copy));
      const auto error = co_await client->hear_the_end(errc::unexpected_message);
      EXPECT_THAT(error.detail, HasSubstr(std::string(wire::name_of(wire::kind_of(message)))));
    });
  }
}

TEST_F(Conversation, PingIsAnsweredWithItsNumber) {
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    for (const std::uint64_t number : {1ULL, ~0ULL}) {
      wire::Message ping(wire::Ping{number});
      co_await client->say(std::move(ping));
      const auto pong = co_await client->hear_a<wire::Pong>();
      EXPECT_EQ(pong.number, number);
    }
    wire::Message pong(wire::Pong{1});  // nobody asked; no harm
    co_await client->say(std::move(pong));
    wire::Message ping(wire::Ping{3});
    co_await client->say(std::move(ping));
    co_await client->hear_a<wire::Pong>();
  });
}

// ---- without a certificate ----

TEST_F(Conversation, WithoutCertificateOneMayOnlyEnrol) {
  server.play([&]() -> Work {
    auto client = co_await Client::connect(server, stranger_tls());
    const auto welcome = co_await client->greet();
    EXPECT_EQ(welcome.name, "");
    co_await client->ready();
    const auto error = co_await client->hear_the_end(errc::unauthenticated);
    EXPECT_THAT(error.detail, HasSubstr("may only enrol"));
  });
  server.play([&]() -> Work {
    auto client = co_await Client::connect(server, stranger_tls());
    co_await client->greet();
    co_await client->say(admin_request("\x12"));
    co_await client->hear_the_end(errc::unauthenticated);
  });
  EXPECT_EQ(server.daemon.board->devices_connected(), 0U);
}

TEST_F(Conversation, AnUnknownTokenIsRefused) {
  server.play([&]() -> Work {
    auto client = co_await Client::connect(server, stranger_tls());
    co_await client->greet();
    wire::Enroll request;
    request.token = "guess";
    request.csr = make_csr(PrivateKey::generate().value(), "x").value();
    wire::Message message(std::move(request));
    co_await client->say(std::move(message));
    co_await client->hear_the_end(errc::token_invalid);
  });
  EXPECT_TRUE(server.audited("enrolment_refused", "", "token_invalid"));
}

TEST_F(Conversation, ADeviceEnrolsAndIsADevice) {
  const auto key = PrivateKey::generate().value();
  std::shared_ptr<const net::TlsContext> enrolled_tls;
  server.play([&]() -> Work {
    Enrollment::TokenRequest ask;
    ask.device = "gate-9";
    ask.valid_for = 1h;
    const auto token = co_await server.enrollment->create_token(std::move(ask));
    auto client = co_await Client::connect(server, stranger_tls());
    co_await client->greet();
    wire::Enroll request;
    request.token = token->secret;
    request.csr = make_csr(key, "whatever").value();
    wire::Message message(std::move(request));
    co_await client->say(std::move(message));
    const auto enrolled = co_await client->hear_a<wire::Enrolled>();
    EXPECT_EQ(enrolled.name, "gate-9");
    const auto certificate = Certificate::from_der(enrolled.certificate).value();
    net::TlsClientOptions options;
    options.ca_pem = Certificate::from_der(enrolled.ca_certificate).value().to_pem().value();
    options.certificate_pem = certificate.to_pem().value();
    options.key_pem = key.to_pem().value();
    enrolled_tls = net::TlsContext::client(options).value();
  });
  server.play([&]() -> Work {
    auto client = co_await Client::connect(server, enrolled_tls);
    const auto welcome = co_await client->greet();
    EXPECT_EQ(welcome.name, "gate-9");
    wire::Renew renew;
    renew.csr = make_csr(PrivateKey::generate().value(), "x").value();
    wire::Message message(std::move(renew));
    co_await client->say(std::move(message));
    const auto again = co_await client->hear_a<wire::Enrolled>();
    EXPECT_EQ(again.name, "gate-9");
    EXPECT_EQ(Certificate::from_der(again.certificate)->info()->common_name, "gate-9");
  });
}

TEST(Renewal, IsRefusedWithoutSendingTheDeviceAway) {
  NetOptions options;
  options.enrollment = false;
  NetDaemon server(options);
  server.daemon.submit(one_device_job());
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    wire::Renew renew;
    renew.csr = make_csr(PrivateKey::generate().value(), "x").value();
    wire::Message message(std::move(renew));
    co_await client->say(std::move(message));
    const auto error = co_await client->hear_a<wire::Error>();
    EXPECT_EQ(to_string(error.code), "wrong_state");
    EXPECT_FALSE(error.fatal);
    co_await client->get_work();
  });
  EXPECT_TRUE(server.audited("renewal_refused", "gate-1", "enrolment is off"));
}

// ---- who is let in ----

TEST(Entrance, ARevokedDeviceIsToldSo) {
  NetOptions options;
  options.revoked = {ClientId{"gate-1"}};
  NetDaemon server(options);
  server.play([&]() -> Work {
    auto client = co_await Client::connect(server, device_tls("gate-1"));
    co_await client->say(hello());
    const auto error = co_await client->hear_the_end(errc::revoked);
    EXPECT_THAT(error.detail, HasSubstr("gate-1"));
    auto other = co_await Client::device(server, "gate-2");
  });
  EXPECT_TRUE(server.audited("session_refused", "", "revoked"));
}

TEST(Entrance, ADeviceRevokedWhileConnectedIsCutOff) {
  NetDaemon server;
  server.daemon.submit(one_device_job());
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto work = co_await client->get_work();
    server.access->revoke(ClientId{"gate-1"});
    server.daemon.board->expel(ClientId{"gate-1"}, fail(errc::revoked, "the device was revoked"));
    co_await client->hear_the_end(errc::revoked);
    auto again = co_await Client::connect(server, device_tls("gate-1"));
    co_await again->say(hello());
    co_await again->hear_the_end(errc::revoked);
  });
}

// The session is busy, not reading, when it is closed: it must end all the same.
TEST(Entrance, ADeviceRevokedInTheMiddleOfARequestIsCutOff) {
  for (int delay = 0; delay < 12; ++delay) {
    NetDaemon server;
    server.daemon.submit(one_device_job());
    server.play([&]() -> Work {
      auto client = co_await Client::device(server, "gate-1");
      const auto work = co_await client->get_work();
      for (int i = 0; i < 3; ++i) co_await client->ready();
      for (int i = 0; i < delay; ++i) {
        co_await boost::asio::post(server.daemon.control, boost::asio::use_awaitable);
      }
      server.daemon.board->expel(ClientId{"gate-1"}, fail(errc::revoked, "the device was revoked"));
      auto message = co_await client->hear();
      while (message && std::holds_alternative<wire::Work>(*message)) {
        message = co_await client->hear();
      }
      EXPECT_TRUE(message && std::holds_alternative<wire::Error>(*message));
      const auto more = co_await client->hear();
      EXPECT_FALSE(more.has_value());
    });
    EXPECT_TRUE(server.run_until([&] { return server.listener->sessions() == 0; }));
  }
}

TEST(Entrance, AnotherFederationIsRefusedByTls) {
  NetDaemon server;
  const Federation other("clinic");
  server.play([&]() -> Work {
    auto client = co_await Client::connect(server, device_tls("gate-1", other));
    if (client == nullptr) co_return;  // in TLS 1.3 the client learns of it with its first read
    wire::Message greeting = hello();
    (void)co_await client->frames.write(std::move(greeting));
    const auto answer = co_await client->hear();
    EXPECT_FALSE(answer.has_value());
  });
  EXPECT_TRUE(server.audited("handshake_refused", "", ""));
}

TEST(Entrance, OneConnectionMoreThanMayBeIsClosedAtOnce) {
  NetOptions options;
  options.connections_max = 2;
  NetDaemon server(options);
  server.play([&]() -> Work {
    auto first = co_await Client::device(server, "gate-1");
    auto second = co_await Client::device(server, "gate-2");
    auto third = co_await Client::connect(server, device_tls("gate-3"));
    if (third != nullptr) {
      wire::Message greeting = hello();
      (void)co_await third->frames.write(std::move(greeting));
      const auto answer = co_await third->hear();
      EXPECT_FALSE(answer.has_value());
    }
    EXPECT_EQ(server.listener->sessions(), 2U);
  });
  EXPECT_TRUE(server.audited("connection_refused", "", "connections_max = 2"));
  EXPECT_TRUE(server.run_until([&] { return server.listener->sessions() == 0; }));
  server.play([&]() -> Work { auto client = co_await Client::device(server, "gate-4"); });
}

TEST(Entrance, AHandshakeThatIsNoTlsIsAudited) {
  NetDaemon server;
  server.play([&]() -> Work {
    Address address;
    address.host = "127.0.0.1";
    address.port = server.listener->port();
    auto socket = co_await net::connect(std::move(address), 10s);
    const std::string text = "GET / HTTP/1.1\r\n\r\n";
    co_await boost::asio::async_write(
        *socket, boost::asio::buffer(text), boost::asio::use_awaitable);
    char byte = 0;
    boost::system::error_code error;
    while (!error) {
      co_await socket->async_read_some(
          boost::asio::buffer(&byte, 1),
          boost::asio::redirect_error(boost::asio::use_awaitable, error));
    }
  });
  EXPECT_TRUE(server.audited("handshake_refused", "", "tls_failed"));
}

// ---- Access itself ----

CertificateInfo certificate(const std::string& name,
                            const std::string& federation_name,
                            std::optional<Role> role) {
  CertificateInfo info;
  info.common_name = name;
  info.organisation = federation_name;
  info.role = role;
  return info;
}

TEST(Access, KnowsItsFederationAndItsRoles) {
  Access access("clinic", {ClientId{"gate-3"}});
  EXPECT_FALSE(access.admit(std::nullopt)->role);
  EXPECT_EQ(access.admit(certificate("gate-1", "clinic", Role::device))->role, Role::device);
  for (const Role role : {Role::viewer, Role::operator_, Role::owner}) {
    EXPECT_TRUE(access.admit(certificate("ann", "clinic", role))->is_admin());
  }
  EXPECT_FALSE(access.admit(certificate("gate-1", "clinic", Role::device))->is_admin());
  const auto code = [&](const CertificateInfo& info) { return access.admit(info).error().code; };
  EXPECT_EQ(code(certificate("gate-1", "hospital", Role::device)), errc::unauthenticated);
  EXPECT_EQ(code(certificate("gate-1", "", Role::device)), errc::unauthenticated);
  EXPECT_EQ(code(certificate("ann", "hospital", Role::owner)), errc::unauthenticated);
  EXPECT_EQ(code(certificate("host", "clinic", Role::server)), errc::unauthenticated);
  EXPECT_EQ(code(certificate("ca", "clinic", std::nullopt)), errc::unauthenticated);
  EXPECT_EQ(code(certificate("gate-3", "clinic", Role::device)), errc::revoked);
  EXPECT_TRUE(access.admit(certificate("gate-3", "clinic", Role::viewer)));  // another namespace
  access.revoke(ClientId{"gate-1"});
  EXPECT_EQ(code(certificate("gate-1", "clinic", Role::device)), errc::revoked);
  EXPECT_TRUE(access.is_revoked(ClientId{"gate-1"}));
  EXPECT_FALSE(access.is_revoked(ClientId{"gate-2"}));
}

}  // namespace
}  // namespace chorus::server::test
