// A TLS connection whose operations are awaitable.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "chorus/result.hpp"
#include "common/crypto/x509.hpp"
#include "common/net/tls_context.hpp"

namespace chorus::net {

/// OpenSSL reads and writes the non-blocking socket itself; Asio only waits until that is possible.
/// An idle connection keeps no buffers.
///
/// One reader and one writer may be in flight at the same time, on the socket's executor (a strand,
/// or a context run by one thread); everything else is called from that executor, too. A failure
/// closes the direction for good: later calls give the same failure.
///
/// Deadlines work like those of beast::tcp_stream: they are points in time, not moved by progress,
/// so that a peer who sends a byte a second does not live for ever. Set one before each frame. An
/// operation that meets its deadline ends with errc::timed_out. A read ends reading for good: the
/// peer may still be told why, before the stream is closed by its owner. A write or a handshake
/// closes the stream, because the peer's view of it is then unknown.
///
/// Cancelling (cancel(), or Asio's cancellation by way of with_deadline or ||) ends the operations
/// in flight with errc::cancelled. A cancelled read_some has lost nothing and may be repeated;
/// after a cancelled read_exactly or write_all the stream is good for nothing but being closed.
class TlsStream {
 public:
  using Clock = std::chrono::steady_clock;
  using Bytes = std::span<const std::byte>;
  template <class T>
  using Awaitable = boost::asio::awaitable<Result<T>>;

  /// Takes a connected socket. The context says which side we are.
  /// @param server_name  client only: the host name or IP address that the server's certificate
  ///                     must be for, and that is sent to it (SNI, for names)
  /// @errors invalid_argument (impossible name), internal (out of memory)
  static Result<TlsStream> create(boost::asio::ip::tcp::socket socket,
                                  std::shared_ptr<const TlsContext> context,
                                  const std::string& server_name = {});
  TlsStream(TlsStream&&) noexcept;
  TlsStream& operator=(TlsStream&&) noexcept;
  /// Closes the socket. Operations still in flight keep the connection alive until they end.
  ~TlsStream();

  /// @errors unauthenticated, certificate_expired, tls_failed (each saying whose fault and why),
  ///         connection_failed, timed_out, cancelled. In TLS 1.3 a client has finished before the
  ///         server has seen its certificate: a refusal comes with the client's first read.
  Awaitable<void> handshake();

  /// At least one byte, at most into.size(): what is there. @pre !into.empty()
  /// @errors connection_failed (the peer closed the connection, or it broke off), tls_failed, …
  Awaitable<std::size_t> read_some(std::span<std::byte> into);
  /// Exactly into.size() bytes. @errors as read_some
  Awaitable<void> read_exactly(std::span<std::byte> into);

  Awaitable<void> write_all(Bytes data);
  /// `head`, then `body`; a short head shares its TLS record with the body's beginning.
  Awaitable<void> write_all(Bytes head, Bytes body);

  /// Ends in good order: tells the peer that nothing follows, and gives it a second to read that
  /// (a socket closed over unread data would take back what was sent). Closes in any case; a
  /// failure says why the end was not in good order.
  /// @pre no other operation is in flight
  Awaitable<void> shutdown();
  /// Closes at once; operations in flight end with cancelled.
  void close();
  /// Ends operations in flight with cancelled.
  void cancel();

  /// For both directions; replaces what was set before.
  void expires_after(Clock::duration duration);
  void expires_at(Clock::time_point instant);
  void expires_never();
  /// For one direction, when reader and writer keep their own time. A handshake is a read.
  void read_expires_at(Clock::time_point instant);
  void write_expires_at(Clock::time_point instant);

  /// What the peer's certificate says, once the handshake is done; none if it showed none.
  const std::optional<CertificateInfo>& peer_certificate() const noexcept;
  /// "192.0.2.7:51234".
  const std::string& remote() const noexcept;
  boost::asio::any_io_executor get_executor() const;
  bool is_open() const noexcept;
  /// Decrypted bytes that the next read gets without waiting.
  std::size_t pending() const noexcept;
  /// Plain bytes received and sent so far.
  std::uint64_t received() const noexcept;
  std::uint64_t sent() const noexcept;

  /// Has the next write announce a fresh key first; `peer_too` asks the peer for the same. Done
  /// without being asked every 64 GiB sent, well within what AES-GCM allows under one key.
  Result<void> update_key(bool peer_too);

 private:
  struct Connection;
  explicit TlsStream(std::shared_ptr<Connection> connection);

  std::shared_ptr<Connection> connection_;
};

}  // namespace chorus::net
