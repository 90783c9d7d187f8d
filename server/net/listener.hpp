// Accepts connections and hands each to a session on the I/O thread that has the fewest.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "common/net/tcp.hpp"
#include "common/net/tls_context.hpp"
#include "server/net/session.hpp"

namespace chorus::server {

/// One thread that runs sessions, with a TLS context of its own (see TlsContext).
struct IoThread {
  boost::asio::any_io_executor executor;
  std::shared_ptr<const net::TlsContext> tls;
};

class SessionListener {
 public:
  SessionListener(net::Listener listener,
                  std::vector<IoThread> threads,
                  SessionServices& services,
                  std::uint32_t connections_max);

  /// Until close(). Connections beyond connections_max are closed at once, and counted.
  boost::asio::awaitable<void> run();
  void close() { listener_.close(); }
  std::uint16_t port() const noexcept { return listener_.port(); }
  std::uint64_t sessions() const noexcept;

 private:
  std::size_t least_busy() const noexcept;

  net::Listener listener_;
  std::vector<IoThread> threads_;
  SessionServices& services_;
  const std::uint32_t connections_max_;
  std::vector<std::shared_ptr<std::atomic<std::uint64_t>>> sessions_;  ///< of each thread
  std::uint64_t serial_ = 0;
};

}  // namespace chorus::server
