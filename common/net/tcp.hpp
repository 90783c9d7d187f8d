// TCP: connecting by name, and listening.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "chorus/result.hpp"
#include "common/base/address.hpp"

namespace chorus::net {

/// Resolves the name and tries each of its addresses in turn until one answers; all of it within
/// `deadline`. The socket has Nagle's delay off and keep-alive on.
/// @errors connection_failed (naming each address and why), timed_out, cancelled
boost::asio::awaitable<Result<boost::asio::ip::tcp::socket>> connect(
    Address address, std::chrono::steady_clock::duration deadline);

/// A listening socket.
class Listener {
 public:
  /// @param address  an IP address; port 0: any free one, see port(). "::" takes IPv4 as well.
  /// @errors invalid_argument (no IP address), io_failed (e.g. the port is taken)
  static Result<Listener> bind(const boost::asio::any_io_executor& executor,
                               const Address& address);

  /// The next connection, as a socket that lives on `executor`.
  /// @errors busy (no descriptor or memory left: wait, then try again), cancelled, io_failed
  boost::asio::awaitable<Result<boost::asio::ip::tcp::socket>> accept(
      boost::asio::any_io_executor executor);

  std::uint16_t port() const noexcept { return port_; }
  /// Ends accept() with cancelled; the port becomes free.
  void close();

 private:
  Listener(boost::asio::ip::tcp::acceptor acceptor, std::uint16_t port)
      : acceptor_(std::move(acceptor)), port_(port) {}

  boost::asio::ip::tcp::acceptor acceptor_;
  std::uint16_t port_ = 0;
};

/// "127.0.0.1:4433", or "(not connected)".
std::string peer_of(const boost::asio::ip::tcp::socket& socket);

}  // namespace chorus::net
