// Who is let in, and what those who are not learn: handshakes of TlsStream.
#include <future>
#include <optional>
#include <thread>

#include <boost/asio/write.hpp>
#include <gmock/gmock.h>
#include <openssl/err.h>

#include "common/base/limits.hpp"
#include "common/crypto/digest.hpp"
#include "common/crypto/openssl.hpp"
#include "common/net/async.hpp"
#include "tests/unit/common/net/net_fixture.hpp"

namespace chorus::net::test {
namespace {

using testing::HasSubstr;

struct Outcome {
  std::optional<Result<void>> server;
  std::optional<Result<void>> client;
  std::optional<Result<std::size_t>> client_read;  ///< where a TLS 1.3 client learns of a refusal
  std::optional<CertificateInfo> seen_by_server;
  std::optional<CertificateInfo> seen_by_client;
};

/// Both sides shake hands; the client then reads, the server says one byte to those it lets in.
Outcome meet(Stage& stage, Pair pair) {
  Outcome outcome;
  const auto hello = pattern(1);
  stage.play({[&]() -> Work {
                pair.server.expires_after(10s);
                outcome.server = co_await pair.server.handshake();
                if (*outcome.server) {
                  EXPECT_TRUE(co_await pair.server.write_all(hello));
                }
                outcome.seen_by_server = pair.server.peer_certificate();
              },
              [&]() -> Work {
                pair.client.expires_after(10s);
                outcome.client = co_await pair.client.handshake();
                outcome.seen_by_client = pair.client.peer_certificate();
                std::array<std::byte, 1> byte{};
                outcome.client_read = co_await pair.client.read_some(byte);
              }});
  return outcome;
}

Outcome meet(const std::shared_ptr<const TlsContext>& server,
             const std::shared_ptr<const TlsContext>& client,
             const std::string& name = "localhost") {
  Stage stage;
  return meet(stage, make_pair(stage, server, client, 0, name));
}

TEST(TlsHandshake, MutualShowsBothCertificates) {
  const auto outcome = meet(federation().server(), federation().device());
  ASSERT_TRUE(*outcome.server) << outcome.server->error().to_string();
  ASSERT_TRUE(*outcome.client);
  ASSERT_TRUE(*outcome.client_read);
  EXPECT_EQ(outcome.seen_by_server->common_name, "gate-7");
  EXPECT_EQ(outcome.seen_by_server->role, Role::device);
  EXPECT_EQ(outcome.seen_by_server->organisation, "clinic");
  EXPECT_EQ(outcome.seen_by_client->role, Role::server);
}

TEST(TlsHandshake, ClientWithoutCertificateIsLetInAndVisibleAsSuch) {
  const auto outcome = meet(federation().server(), federation().stranger());
  ASSERT_TRUE(*outcome.server);
  ASSERT_TRUE(*outcome.client_read);
  EXPECT_FALSE(outcome.seen_by_server.has_value());
}

TEST(TlsHandshake, ClientOfAnotherFederationIsRefusedAndToldWhy) {
  const Federation other("clinic");  // the same name, another authority
  auto options = other.device_options();
  options.ca_pem = federation().ca_pem();
  const auto outcome = meet(federation().server(), TlsContext::client(options).value());
  EXPECT_EQ(outcome.server->error().code, errc::unauthenticated);
  EXPECT_THAT(outcome.server->error().detail, HasSubstr("'gate-7'"));
  EXPECT_THAT(outcome.server->error().detail, HasSubstr("not issued by this federation"));
  EXPECT_EQ(outcome.client_read->error().code, errc::unauthenticated);
  EXPECT_THAT(outcome.client_read->error().detail, HasSubstr("the server refused our certificate"));
}

TEST(TlsHandshake, SelfSignedClientIsRefused) {
  const Federation other("nowhere");
  TlsClientOptions options{
      federation().ca_pem(), std::nullopt, other.ca_pem(), other.ca.key().to_pem().value()};
  const auto outcome = meet(federation().server(), TlsContext::client(options).value());
  EXPECT_EQ(outcome.server->error().code, errc::unauthenticated);
}

TEST(TlsHandshake, ExpiredClientIsRefusedAndToldWhy) {
  const auto options = federation().device_options(validity(-2h, 1h));
  const auto outcome = meet(federation().server(), TlsContext::client(options).value());
  EXPECT_EQ(outcome.server->error().code, errc::certificate_expired);
  EXPECT_THAT(outcome.server->error().detail, HasSubstr("'gate-7') has expired"));
  EXPECT_EQ(outcome.client_read->error().code, errc::certificate_expired);
}

TEST(TlsHandshake, ClientFromTheFutureIsRefused) {
  const auto options = federation().device_options(validity(2h, 1h));
  const auto outcome = meet(federation().server(), TlsContext::client(options).value());
  EXPECT_EQ(outcome.server->error().code, errc::certificate_expired);
  EXPECT_THAT(outcome.server->error().detail, HasSubstr("not valid yet"));
}

TEST(TlsHandshake, ServerCertificateIsNoClientCertificate) {
  auto server = federation().server_options();
  TlsClientOptions options{
      federation().ca_pem(), std::nullopt, server.certificate_pem, server.key_pem};
  const auto outcome = meet(federation().server(), TlsContext::client(options).value());
  EXPECT_EQ(outcome.server->error().code, errc::unauthenticated);
  EXPECT_THAT(outcome.server->error().detail, HasSubstr("is not a client's"));
}

TEST(TlsHandshake, DeviceCannotPlayTheServer) {
  const auto device = federation().device_options();
  TlsServerOptions options{device.certificate_pem, device.key_pem, federation().ca_pem()};
  const auto outcome = meet(TlsContext::server(options).value(), federation().device());
  EXPECT_EQ(outcome.client->error().code, errc::unauthenticated);
  EXPECT_THAT(outcome.client->error().detail, HasSubstr("is not a server's"));
}

TEST(TlsHandshake, WrongHostNameIsRefusedByTheClient) {
  const auto outcome = meet(federation().server(), federation().device(), "example.org");
  EXPECT_EQ(outcome.client->error().code, errc::unauthenticated);
  EXPECT_THAT(outcome.client->error().detail, HasSubstr("not for the name or address"));
  EXPECT_EQ(outcome.server->error().code, errc::unauthenticated);
  EXPECT_THAT(outcome.server->error().detail, HasSubstr("the client refused our certificate"));
}

TEST(TlsHandshake, IpAddressesAreCheckedToo) {
  EXPECT_TRUE(*meet(federation().server(), federation().device(), "127.0.0.1").client);
  const auto outcome = meet(federation().server(), federation().device(), "127.0.0.2");
  EXPECT_EQ(outcome.client->error().code, errc::unauthenticated);
}

TEST(TlsHandshake, ServerOfAnotherFederationIsRefusedByTheClient) {
  const Federation other("clinic");
  const auto outcome = meet(other.server(), federation().device());
  EXPECT_EQ(outcome.client->error().code, errc::unauthenticated);
  EXPECT_THAT(outcome.client->error().detail, HasSubstr("the server's certificate (of "));
}

std::shared_ptr<const TlsContext> pinned(const Sha256& pin) {
  return TlsContext::client({"", pin, "", ""}).value();
}

TEST(TlsHandshake, PinnedAuthorityIsEnoughToEnrol) {
  const Sha256 pin = federation().ca.certificate().info()->fingerprint;
  const auto outcome = meet(federation().server(), pinned(pin), "any.name.at.all");
  ASSERT_TRUE(*outcome.client) << outcome.client->error().to_string();
  EXPECT_TRUE(*outcome.server);
  EXPECT_TRUE(*meet(federation().server(), pinned(pin), "").client);
}

TEST(TlsHandshake, WrongPinIsRefused) {
  Sha256 pin = federation().ca.certificate().info()->fingerprint;
  pin.bytes[31] ^= std::byte{1};
  const auto outcome = meet(federation().server(), pinned(pin));
  EXPECT_EQ(outcome.client->error().code, errc::unauthenticated);
  EXPECT_FALSE(*outcome.server);
}

TEST(TlsHandshake, PinOfTheServersOwnCertificateIsRefused) {
  const auto options = federation().server_options();
  const Sha256 leaf = Certificate::from_pem(options.certificate_pem)->info()->fingerprint;
  const auto outcome = meet(TlsContext::server(options).value(), pinned(leaf));
  EXPECT_EQ(outcome.client->error().code, errc::unauthenticated);
}

TEST(TlsHandshake, PinnedAuthorityThatDidNotSignTheServerIsRefused) {
  // A stranger's server that shows the federation's authority beside its own certificate.
  const Federation other("clinic");
  auto options = other.server_options();
  options.ca_pem = federation().ca_pem();
  const Sha256 pin = federation().ca.certificate().info()->fingerprint;
  const auto outcome = meet(TlsContext::server(options).value(), pinned(pin));
  EXPECT_EQ(outcome.client->error().code, errc::unauthenticated);
}

TEST(TlsHandshake, OverlongCertificateChainIsRefused) {
  ServerNames names{{"localhost"}, {}};
  while (names.dns_names.size() * 30 < limits::kPeerChainBytesMax + 1000) {
    names.dns_names.push_back("n" + std::to_string(100000 + names.dns_names.size()) +
                              ".padding.example.org");
  }
  const auto server = TlsContext::server(federation().server_options(names)).value();
  const auto outcome = meet(server, federation().device());
  EXPECT_EQ(outcome.client->error().code, errc::tls_failed);
  EXPECT_THAT(outcome.client->error().detail, HasSubstr("too long"));
}

/// A peer made of plain OpenSSL on a thread of its own.
struct RawPeer {
  int version_min = TLS1_2_VERSION;
  int version_max = TLS1_3_VERSION;
  std::string protocol;  ///< offered by ALPN; empty: no ALPN
};

/// Shakes hands as `peer` over a blocking socket; gives OpenSSL's reason, empty if all went well.
std::string shake_raw(tcp::socket& socket, const RawPeer& peer, bool as_server) {
  socket.native_non_blocking(false);
  const openssl::SslContext context(
      SSL_CTX_new(as_server ? TLS_server_method() : TLS_client_method()));
  SSL_CTX_set_min_proto_version(context.get(), peer.version_min);
  SSL_CTX_set_max_proto_version(context.get(), peer.version_max);
  if (as_server) {
    const auto identity = federation().ca.issue_server({{"localhost"}, {}}, valid_for(1h)).value();
    SSL_CTX_use_certificate(context.get(), identity.certificate.get());
    SSL_CTX_use_PrivateKey(context.get(), identity.key.get());
  }
  const openssl::Ssl ssl(SSL_new(context.get()));
  if (!peer.protocol.empty()) {
    std::string list(1, static_cast<char>(peer.protocol.size()));
    list += peer.protocol;
    SSL_set_alpn_protos(ssl.get(),
                        reinterpret_cast<const unsigned char*>(list.data()),
                        static_cast<unsigned>(list.size()));
  }
  SSL_set_fd(ssl.get(), socket.native_handle());
  ERR_clear_error();
  char byte = 0;
  const int shaken = as_server ? SSL_accept(ssl.get()) : SSL_connect(ssl.get());
  if (shaken == 1 && SSL_read(ssl.get(), &byte, 1) == 1) return "";
  socket.shutdown(tcp::socket::shutdown_both);
  return openssl::last_error();
}

struct RawOutcome {
  Result<void> ours;
  std::string theirs;
};

RawOutcome meet_raw(const RawPeer& peer, bool raw_is_server) {
  Stage stage;
  auto [accepted, connected] = connected_sockets(stage.io);
  tcp::socket& theirs = raw_is_server ? accepted : connected;
  tcp::socket& ours = raw_is_server ? connected : accepted;
  auto raw = std::async(std::launch::async, [&] { return shake_raw(theirs, peer, raw_is_server); });
  std::optional<Result<void>> result;
  {
    auto stream = TlsStream::create(std::move(ours),
                                    raw_is_server ? federation().device() : federation().server(),
                                    "localhost")
                      .value();
    stage.play({[&]() -> Work {
      stream.expires_after(10s);
      result = co_await stream.handshake();
      const auto data = pattern(1);
      if (*result) {
        EXPECT_TRUE(co_await stream.write_all(data));
      }
    }});
  }
  return {*result, raw.get()};
}

TEST(TlsHandshake, RawClientWithOurProtocolIsLetIn) {
  const auto outcome = meet_raw({.protocol = "chorus/1"}, false);
  EXPECT_TRUE(outcome.ours);
  EXPECT_EQ(outcome.theirs, "");
}

TEST(TlsHandshake, Tls12ClientIsRefusedClearly) {
  const auto outcome = meet_raw({.version_max = TLS1_2_VERSION, .protocol = "chorus/1"}, false);
  EXPECT_EQ(outcome.ours.error().code, errc::tls_failed);
  EXPECT_THAT(outcome.ours.error().detail,
              HasSubstr("the client speaks only TLS 1.2; chorus needs TLS 1.3"));
  EXPECT_THAT(outcome.theirs, HasSubstr("alert protocol version"));
}

TEST(TlsHandshake, Tls12ServerIsRefusedClearly) {
  const auto outcome = meet_raw({.version_max = TLS1_2_VERSION, .protocol = ""}, true);
  EXPECT_EQ(outcome.ours.error().code, errc::tls_failed);
  EXPECT_THAT(outcome.ours.error().detail, HasSubstr("TLS 1.3"));
}

TEST(TlsHandshake, WrongOrMissingProtocolIsRefusedByTheServer) {
  for (const char* protocol : {"", "h2", "chorus/2", "chorus/10"}) {
    const auto outcome = meet_raw({.protocol = protocol}, false);
    EXPECT_EQ(outcome.ours.error().code, errc::tls_failed) << protocol;
    EXPECT_THAT(outcome.ours.error().detail, HasSubstr("did not offer the protocol 'chorus/1'"));
    EXPECT_THAT(outcome.theirs, HasSubstr("no application protocol")) << protocol;
  }
}

TEST(TlsHandshake, ServerWithoutOurProtocolIsRefusedByTheClient) {
  const auto outcome = meet_raw({.protocol = ""}, true);
  EXPECT_EQ(outcome.ours.error().code, errc::tls_failed);
  EXPECT_THAT(outcome.ours.error().detail, HasSubstr("does not speak the protocol 'chorus/1'"));
}

TEST(TlsHandshake, PlainTextIsRefused) {
  for (const std::string& text : {std::string("GET / HTTP/1.1\r\n\r\n"),
                                  std::string("CHRS\1\0\0\0", 8),
                                  std::string(200, '\xff'),
                                  std::string(200, '\0')}) {
    Stage stage;
    auto [accepted, connected] = connected_sockets(stage.io);
    boost::asio::write(connected, boost::asio::buffer(text));
    auto stream = TlsStream::create(std::move(accepted), federation().server()).value();
    connected.shutdown(tcp::socket::shutdown_send);
    stage.play({[&]() -> Work {
      const auto result = co_await stream.handshake();
      EXPECT_EQ(result.error().code, errc::tls_failed) << result.error().detail;
      EXPECT_THAT(result.error().detail, HasSubstr("not TLS"));
    }});
  }
}

TEST(TlsHandshake, PeerThatGoesAwayIsAFailedConnection) {
  Stage stage;
  auto [accepted, connected] = connected_sockets(stage.io);
  auto stream = TlsStream::create(std::move(accepted), federation().server()).value();
  connected.close();
  stage.play({[&]() -> Work {
    const auto result = co_await stream.handshake();
    EXPECT_EQ(result.error().code, errc::connection_failed) << result.error().detail;
  }});
}

TEST(TlsHandshake, SilentPeerMeetsTheDeadline) {
  Stage stage;
  auto [accepted, connected] = connected_sockets(stage.io);
  auto stream = TlsStream::create(std::move(accepted), federation().server()).value();
  stage.play({[&]() -> Work {
    stream.expires_after(30ms);
    const auto result = co_await stream.handshake();
    EXPECT_EQ(result.error().code, errc::timed_out);
    EXPECT_THAT(result.error().detail, HasSubstr("handshake"));
    EXPECT_FALSE(stream.is_open());
  }});
}

TEST(TlsHandshake, CancelledHandshakeLeavesNothingToGoOnWith) {
  Stage stage;
  auto [accepted, connected] = connected_sockets(stage.io);
  auto stream = TlsStream::create(std::move(accepted), federation().server()).value();
  stage.play({[&]() -> Work {
                EXPECT_EQ((co_await stream.handshake()).error().code, errc::cancelled);
                EXPECT_EQ((co_await stream.handshake()).error().code, errc::connection_failed);
                const auto data = pattern(1);
                EXPECT_FALSE(co_await stream.write_all(data));
              },
              [&]() -> Work {
                stream.cancel();
                co_return;
              }});
}

TEST(TlsContext, RefusesMalformedTexts) {
  const auto good = federation().server_options();
  auto bad = good;
  bad.certificate_pem = "nonsense";
  EXPECT_THAT(TlsContext::server(bad).error().detail, HasSubstr("our certificate in PEM"));
  bad = good;
  bad.key_pem = "";
  EXPECT_THAT(TlsContext::server(bad).error().detail, HasSubstr("private key"));
  bad = good;
  bad.key_pem = federation().ca.key().to_pem().value();
  EXPECT_EQ(TlsContext::server(bad).error().code, errc::malformed_file);
  EXPECT_THAT(TlsContext::server(bad).error().detail, HasSubstr("do not belong together"));
  bad = good;
  bad.ca_pem = good.key_pem;
  EXPECT_THAT(TlsContext::server(bad).error().detail, HasSubstr("authority"));
  EXPECT_FALSE(TlsContext::server({}));
  EXPECT_FALSE(TlsContext::client({}));
  auto device = federation().device_options();
  device.certificate_pem.clear();
  EXPECT_EQ(TlsContext::client(device).error().code, errc::malformed_file);
}

TEST(TlsStream, ClientNeedsAPossibleServerName) {
  Stage stage;
  for (const std::string& name : {std::string(), std::string(300, 'a')}) {
    auto [accepted, connected] = connected_sockets(stage.io);
    const auto made = TlsStream::create(std::move(connected), federation().device(), name);
    EXPECT_EQ(made.error().code, errc::invalid_argument) << name;
  }
}

}  // namespace
}  // namespace chorus::net::test
