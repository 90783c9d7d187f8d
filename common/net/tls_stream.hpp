// A TLS connection whose operations are awaitable.
#pragma once

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
#include "common/net/stream.hpp"
#include "common/net/tls_context.hpp"

namespace chorus::net {

/// OpenSSL reads and writes the non-blocking socket itself; Asio only waits until that is possible.
/// An idle connection keeps no buffers. Everything on the socket's executor: a strand, or a context
/// run by one thread.
class TlsStream final : public Stream {
 public:
  using Stream::write_all;

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
  ~TlsStream() override;

  Awaitable<void> handshake() override;
  Awaitable<std::size_t> read_some(std::span<std::byte> into) override;
  Awaitable<void> read_exactly(std::span<std::byte> into) override;
  Awaitable<void> write_all(Bytes head, Bytes body) override;
  Awaitable<void> shutdown() override;
  void close() override;
  void cancel() override;
  void read_expires_at(Clock::time_point instant) override;
  void write_expires_at(Clock::time_point instant) override;
  const std::optional<CertificateInfo>& peer_certificate() const noexcept override;
  const std::string& remote() const noexcept override;
  boost::asio::any_io_executor get_executor() const override;

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
