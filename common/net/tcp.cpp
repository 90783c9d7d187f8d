#include "common/net/tcp.hpp"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/base/try.hpp"
#include "common/net/async.hpp"

namespace chorus::net {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

namespace {

using Clock = std::chrono::steady_clock;
using Endpoints = std::vector<tcp::endpoint>;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

std::string text_of(const tcp::endpoint& endpoint) {
  return to_string(Address{endpoint.address().to_string(), endpoint.port()});
}

/// The resolver cannot be interrupted, it may sit in the system's library for half a minute. So its
/// answer goes into a channel, and a caller whose deadline has passed leaves both behind.
asio::awaitable<Result<Endpoints>> resolve(Address address) {
  error_code not_numeric;
  const auto numeric = asio::ip::make_address(address.host, not_numeric);
  if (!not_numeric) co_return Endpoints(1, tcp::endpoint(numeric, address.port));

  const auto resolver = std::make_shared<tcp::resolver>(co_await asio::this_coro::executor);
  Channel<Result<Endpoints>> answer(1);
  auto deliver = [resolver, answer, address](const error_code& error,
                                             const tcp::resolver::results_type& found) mutable {
    if (error) {
      answer.try_send(
          fail(errc::connection_failed,
               "the name '" + address.host + "' cannot be resolved: " + error.message()));
    } else {
      answer.try_send(Endpoints(found.begin(), found.end()));
    }
  };
  resolver->async_resolve(address.host, std::to_string(address.port), std::move(deliver));
  CHORUS_CO_TRY(auto endpoints, co_await answer.receive());
  co_return endpoints;
}

void tune(tcp::socket& socket) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
}

asio::awaitable<Result<tcp::socket>> connect_to(tcp::endpoint endpoint) {
  tcp::socket socket(co_await asio::this_coro::executor);
  const auto [error] = co_await socket.async_connect(endpoint, kTuple);
  if (error == asio::error::operation_aborted) {
    co_return fail(errc::cancelled, "connecting to " + text_of(endpoint) + " was cancelled");
  }
  if (error) co_return fail(errc::connection_failed, error.message());
  tune(socket);
  co_return socket;
}

}  // namespace

asio::awaitable<Result<tcp::socket>> connect(Address address, Clock::duration deadline) {
  const std::string target = to_string(address);
  const auto last = Clock::now() + deadline;
  auto resolving = resolve(std::move(address));
  auto resolved = co_await with_deadline(std::move(resolving), deadline);
  if (!resolved) co_return std::move(resolved).error().during("connecting to " + target);

  std::string reasons;
  bool all_timed_out = true;
  for (std::size_t i = 0; i < resolved->size(); ++i) {
    // Each address gets its share of what is left, so that a dead first one leaves time for others.
    const auto share = (last - Clock::now()) / static_cast<long>(resolved->size() - i);
    auto connecting = connect_to((*resolved)[i]);
    auto socket =
        co_await with_deadline(std::move(connecting), std::max(share, Clock::duration(0)));
    if (socket) co_return socket;
    const Failure why = std::move(socket).error();
    if (why.code == errc::cancelled) co_return why;
    all_timed_out = all_timed_out && why.code == errc::timed_out;
    reasons += (i == 0 ? "" : "; ") + text_of((*resolved)[i]) + " (" + why.detail + ")";
  }
  co_return fail(all_timed_out ? errc::timed_out : errc::connection_failed,
                 "connecting to " + target + ": tried " + reasons);
}

Result<Listener> Listener::bind(const asio::any_io_executor& executor, const Address& address) {
  error_code error;
  const auto ip = asio::ip::make_address(address.host, error);
  if (error) {
    return fail(errc::invalid_argument,
                "'" + address.host +
                    "' is no IP address to listen on; expected e.g. 0.0.0.0, 127.0.0.1 or ::");
  }
  const tcp::endpoint endpoint(ip, address.port);
  tcp::acceptor acceptor(executor);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && ip.is_v6() && ip.is_unspecified()) {
    acceptor.set_option(asio::ip::v6_only(false), error);
  }
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  const auto bound = error ? tcp::endpoint() : acceptor.local_endpoint(error);
  if (error) {
    return fail(errc::io_failed, "listening on " + to_string(address) + ": " + error.message());
  }
  return Listener(std::move(acceptor), bound.port());
}

asio::awaitable<Result<tcp::socket>> Listener::accept(asio::any_io_executor executor) {
  for (;;) {
    tcp::socket socket(executor);
    const auto [error] = co_await acceptor_.async_accept(socket, kTuple);
    if (!error) {
      tune(socket);
      co_return socket;
    }
    // The peer was gone before we looked: not our trouble.
    if (error == asio::error::connection_aborted) continue;
    const bool closed = !acceptor_.is_open() || error == asio::error::operation_aborted;
    if (closed) co_return fail(errc::cancelled, "the listener was closed");
    const bool exhausted = error == asio::error::no_descriptors ||
                           error == asio::error::no_memory ||
                           error == asio::error::no_buffer_space ||
                           error == boost::system::errc::too_many_files_open_in_system;
    co_return fail(exhausted ? errc::busy : errc::io_failed,
                   "accepting a connection: " + error.message());
  }
}

void Listener::close() {
  error_code ignored;
  acceptor_.close(ignored);
}

std::string peer_of(const tcp::socket& socket) {
  error_code error;
  const auto endpoint = socket.remote_endpoint(error);
  return error ? "(not connected)" : text_of(endpoint);
}

}  // namespace chorus::net
