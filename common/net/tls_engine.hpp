// One TLS connection over a non-blocking socket, without waiting: each step goes as far as it can
// and says what it needs. For sources of common/net only; TlsStream does the waiting.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "chorus/result.hpp"
#include "common/crypto/openssl.hpp"
#include "common/net/socket_bio.hpp"
#include "common/net/tls_context.hpp"
#include "common/net/tls_error.hpp"

namespace chorus::net {

/// What a step needs before it can go on.
enum class Need {
  nothing,   ///< it is done
  turn,      ///< it could go on, and lets others have their turn
  readable,  ///< the socket to become readable
  writable,  ///< the socket to become writable
  failure,   ///< see TlsEngine::failure()
};

class TlsEngine {
 public:
  using Bytes = std::span<const std::byte>;

  /// @param fd  non-blocking, connected; outlives the engine or is announced by forget_socket()
  static Result<std::unique_ptr<TlsEngine>> create(int fd,
                                                   std::shared_ptr<const TlsContext> context,
                                                   const std::string& server_name);

  Need handshake();
  /// Adds to `moved` until `into` is full; with `some`, until no more is there.
  Need read(std::span<std::byte> into, std::size_t& moved, bool some);
  /// Adds to `moved` until head and body are sent. @pre a repeated step has the same arguments
  Need write(Bytes head, Bytes body, std::size_t& moved);
  /// Sends close_notify.
  Need say_goodbye();
  Result<void> update_key(bool peer_too);

  /// Why the last step failed.
  const Failure& failure() const noexcept { return failure_; }
  /// The last failure concerns both directions, not only that of its step.
  bool failed_for_good() const noexcept { return failed_for_good_; }
  /// The peer may still be there to read why we leave.
  bool peer_may_listen() const noexcept { return !socket_.end_of_file && socket_.error == 0; }

  const std::optional<CertificateInfo>& peer() const noexcept { return peer_; }
  bool handshaken() const noexcept { return SSL_is_init_finished(ssl_.get()) == 1; }
  std::size_t pending() const noexcept;
  void forget_socket() noexcept { socket_.fd = -1; }

 private:
  explicit TlsEngine(std::shared_ptr<const TlsContext> context);
  Result<void> expect_server(const std::string& server_name);
  Result<void> check_peer();
  Need classify(int returned, bool is_write);
  Need flush();
  std::optional<Failure> reason_from_peer();
  void update_key_if_due();

  // In this order: the context goes last, and what callbacks look at after what calls them.
  const std::shared_ptr<const TlsContext> context_;
  SocketState socket_;
  HandshakeNotes notes_;
  openssl::Ssl ssl_;
  std::optional<CertificateInfo> peer_;
  Failure failure_;
  bool failed_for_good_ = false;
  std::uint64_t key_bytes_ = 0;
};

}  // namespace chorus::net
