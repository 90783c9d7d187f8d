// A server for client tests: real TLS on loopback, one script per connection.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include "common/crypto/x509.hpp"
#include "common/net/frame_stream.hpp"
#include "common/net/tcp.hpp"
#include "common/net/tls_context.hpp"
#include "common/wire/messages.hpp"

namespace chorus::test {

/// The server's end of one connection. What was not expected throws, which fails the test.
class Peer {
 public:
  template <class T>
  using Awaitable = boost::asio::awaitable<T>;

  explicit Peer(std::unique_ptr<net::Stream> stream) : frames_(std::move(stream)) {}

  net::FrameStream& frames() { return frames_; }
  const std::optional<CertificateInfo>& certificate() {
    return frames_.stream().peer_certificate();
  }

  /// The next message but pings, which are answered. The body of a chunk is in body().
  Awaitable<wire::Message> receive();

  template <class M>
  Awaitable<M> expect() {
    wire::Message message = co_await receive();
    if (auto* found = std::get_if<M>(&message)) co_return std::move(*found);
    throw std::runtime_error("the device sent " + std::string(name_of(wire::kind_of(message))) +
                             "; expected another");
  }
  Awaitable<void> send(wire::Message message, std::span<const std::byte> body = {});

  /// Hello and Welcome. @returns Hello
  Awaitable<wire::Hello> greet();
  /// Hello, Welcome, Ready.
  Awaitable<void> greet_ready();
  /// Answers a Fetch with the bytes of `file` from its offset up to `end`, in chunks.
  /// @returns the offset that was asked for
  Awaitable<std::uint64_t> serve(std::span<const std::byte> file,
                                 std::size_t chunk_bytes,
                                 std::size_t end = static_cast<std::size_t>(-1));
  /// Receives chunks into `body` from `from` up to `to`.
  Awaitable<void> take(std::vector<std::byte>& body, std::uint64_t from, std::uint64_t to);

  std::span<const std::byte> body() const { return body_; }

 private:
  net::FrameStream frames_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(1U << 20U);
  std::span<const std::byte> body_;
};

/// A federation's authority and the certificates tests need.
class FakeFederation {
 public:
  FakeFederation();
  const CertificateAuthority& authority() const { return authority_; }
  const Identity& server() const { return server_; }
  Sha256 ca_sha256() const;
  std::string ca_pem() const;
  /// Puts a device's identity into a state folder, as enrolment would.
  void give_identity(const std::filesystem::path& folder,
                     const std::string& server,
                     Validity validity) const;

 private:
  CertificateAuthority authority_;
  Identity server_;
};

class FakeServer {
 public:
  using Script = std::function<boost::asio::awaitable<void>(Peer&)>;

  /// Connection n is served by scripts[n]; when a script ends its connection is closed. Further
  /// connections are closed at once.
  FakeServer(const FakeFederation& federation, std::vector<Script> scripts);
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;
  ~FakeServer();

  std::string address() const;
  /// What scripts complained about, joined; empty: nothing.
  std::string complaints();

 private:
  boost::asio::awaitable<void> accept_loop();
  boost::asio::awaitable<void> serve(boost::asio::ip::tcp::socket socket, std::size_t number);
  void complain(const std::string& text);

  std::vector<Script> scripts_;
  boost::asio::io_context context_{1};
  std::shared_ptr<const net::TlsContext> tls_;
  std::unique_ptr<net::Listener> listener_;
  std::mutex mutex_;
  std::string complaints_;
  std::thread thread_;
};

}  // namespace chorus::test
