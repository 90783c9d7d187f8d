// What carries frames: bytes both ways, with deadlines. TLS over TCP (TlsStream), or a simulation's
// network.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "chorus/result.hpp"
#include "common/base/clock.hpp"
#include "common/crypto/x509.hpp"

namespace chorus::net {

/// One reader and one writer may be in flight at the same time, on the stream's executor;
/// everything else is called from that executor, too. A failure closes the direction for good:
/// later calls give the same failure.
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
class Stream {
 public:
  using Clock = SteadyClock;
  using Bytes = std::span<const std::byte>;
  template <class T>
  using Awaitable = boost::asio::awaitable<Result<T>>;

  virtual ~Stream() = default;

  /// @errors unauthenticated, certificate_expired, tls_failed (each saying whose fault and why),
  ///         connection_failed, timed_out, cancelled. In TLS 1.3 a client has finished before the
  ///         server has seen its certificate: a refusal comes with the client's first read.
  virtual Awaitable<void> handshake() = 0;

  /// At least one byte, at most into.size(): what is there. @pre !into.empty()
  /// @errors connection_failed (the peer closed the connection, or it broke off), tls_failed, …
  virtual Awaitable<std::size_t> read_some(std::span<std::byte> into) = 0;
  /// Exactly into.size() bytes. @errors as read_some
  virtual Awaitable<void> read_exactly(std::span<std::byte> into) = 0;

  /// `head`, then `body`; a short head shares its record with the body's beginning.
  virtual Awaitable<void> write_all(Bytes head, Bytes body) = 0;
  Awaitable<void> write_all(Bytes data) { return write_all(data, {}); }

  /// Ends in good order: tells the peer that nothing follows, and gives it a second to read that
  /// (a socket closed over unread data would take back what was sent). Closes in any case; a
  /// failure says why the end was not in good order.
  /// @pre no other operation is in flight
  virtual Awaitable<void> shutdown() = 0;
  /// Closes at once; operations in flight end with cancelled.
  virtual void close() = 0;
  /// Ends operations in flight with cancelled.
  virtual void cancel() = 0;

  /// For one direction, when reader and writer keep their own time. A handshake is a read.
  virtual void read_expires_at(Clock::time_point instant) = 0;
  virtual void write_expires_at(Clock::time_point instant) = 0;
  /// For both; replaces what was set before.
  void expires_at(Clock::time_point instant) {
    read_expires_at(instant);
    write_expires_at(instant);
  }
  void expires_after(Clock::duration duration) { expires_at(Clock::now() + duration); }
  void expires_never() { expires_at(Clock::time_point::max()); }

  /// What the peer's certificate says, once the handshake is done; none if it showed none.
  virtual const std::optional<CertificateInfo>& peer_certificate() const noexcept = 0;
  /// "192.0.2.7:51234".
  virtual const std::string& remote() const noexcept = 0;
  virtual boost::asio::any_io_executor get_executor() const = 0;

 protected:
  Stream() = default;
  Stream(const Stream&) = default;
  Stream& operator=(const Stream&) = default;
};

}  // namespace chorus::net
