// Coroutines over loopback for the tests of common/net.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include "common/crypto/x509.hpp"
#include "common/net/tls_context.hpp"
#include "common/net/tls_stream.hpp"

namespace chorus::net::test {

using namespace std::chrono_literals;
using Work = boost::asio::awaitable<void>;
using Scene = std::function<Work()>;
using tcp = boost::asio::ip::tcp;

/// Plays coroutines on one thread until all have ended.
class Stage {
 public:
  boost::asio::io_context io;

  void play(std::vector<Scene> scenes) {
    int left = static_cast<int>(scenes.size());
    for (auto& scene : scenes) {
      boost::asio::co_spawn(io, scene, [&left](const std::exception_ptr& thrown) {
        --left;
        if (thrown) std::rethrow_exception(thrown);
      });
    }
    io.restart();
    const auto end = std::chrono::steady_clock::now() + 60s;
    while (left > 0 && std::chrono::steady_clock::now() < end) io.run_one_for(1s);
    ASSERT_EQ(left, 0) << "coroutines that have not ended within a minute";
  }
};

/// Two ends of a TCP connection over loopback: {accepted, connected}.
/// @param down_bytes  of the buffers from server to client; 0: the system's choice
inline std::pair<tcp::socket, tcp::socket> connected_sockets(boost::asio::io_context& io,
                                                             int down_bytes = 0) {
  tcp::acceptor acceptor(io, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
  tcp::socket client(io);
  client.connect(acceptor.local_endpoint());
  tcp::socket server = acceptor.accept();
  if (down_bytes > 0) {
    server.set_option(boost::asio::socket_base::send_buffer_size(down_bytes));
    client.set_option(boost::asio::socket_base::receive_buffer_size(down_bytes));
  }
  return {std::move(server), std::move(client)};
}

inline Validity validity(std::chrono::seconds from_now, std::chrono::seconds length) {
  Validity value = valid_for(length);
  value.from += from_now;
  return value;
}

/// A federation's certificates and contexts.
class Federation {
 public:
  Federation() : Federation("clinic") {}
  explicit Federation(const std::string& name)
      : ca(CertificateAuthority::create(name, validity(-48h, 100h)).value()) {}

  std::string ca_pem() const { return ca.certificate().to_pem().value(); }

  TlsServerOptions server_options(const ServerNames& names = {{"localhost"}, {"127.0.0.1"}}) const {
    const auto identity = ca.issue_server(names, valid_for(1h)).value();
    return {identity.certificate.to_pem().value(), identity.key.to_pem().value(), ca_pem()};
  }
  std::shared_ptr<const TlsContext> server() const {
    return TlsContext::server(server_options()).value();
  }

  TlsClientOptions device_options(const Validity& when) const {
    const auto key = PrivateKey::generate().value();
    const auto csr = make_csr(key, "x").value();
    const auto certificate = ca.sign_device(csr, ClientId{"gate-7"}, when).value();
    return {ca_pem(), std::nullopt, certificate.to_pem().value(), key.to_pem().value()};
  }
  TlsClientOptions device_options() const { return device_options(valid_for(1h)); }
  std::shared_ptr<const TlsContext> device() const {
    return TlsContext::client(device_options()).value();
  }
  /// A client that shows no certificate.
  std::shared_ptr<const TlsContext> stranger() const {
    return TlsContext::client({ca_pem(), std::nullopt, "", ""}).value();
  }

  CertificateAuthority ca;
};

/// One federation for all tests of a program: making certificates is slow under sanitizers.
inline const Federation& federation() {
  static const Federation kFederation;
  return kFederation;
}

struct Pair {
  TlsStream server;
  TlsStream client;
};

inline Pair make_pair(Stage& stage,
                      std::shared_ptr<const TlsContext> server,
                      std::shared_ptr<const TlsContext> client,
                      int down_bytes = 0,
                      const std::string& name = "localhost") {
  auto [accepted, connected] = connected_sockets(stage.io, down_bytes);
  return {TlsStream::create(std::move(accepted), std::move(server)).value(),
          TlsStream::create(std::move(connected), std::move(client), name).value()};
}

/// A pair that has done its handshake.
inline Pair ready_pair(Stage& stage, int down_bytes = 0) {
  Pair pair = make_pair(stage, federation().server(), federation().device(), down_bytes);
  stage.play({[&]() -> Work { EXPECT_TRUE(co_await pair.server.handshake()); },
              [&]() -> Work { EXPECT_TRUE(co_await pair.client.handshake()); }});
  return pair;
}

/// Deterministic bytes.
inline std::vector<std::byte> pattern(std::size_t count, std::uint64_t seed = 1) {
  std::vector<std::byte> bytes(count);
  std::uint64_t state = seed;
  for (auto& value : bytes) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    value = static_cast<std::byte>(state >> 56U);
  }
  return bytes;
}

}  // namespace chorus::net::test
