#include "server/net/listener.hpp"

#include <algorithm>
#include <utility>

#include "common/base/log.hpp"
#include "common/net/async.hpp"
#include "common/net/tls_stream.hpp"
#include "server/driver/audit_log.hpp"

namespace chorus::server {

namespace asio = boost::asio;

namespace {

constexpr auto kExhaustedPause = std::chrono::milliseconds(100);

using Count = std::shared_ptr<std::atomic<std::uint64_t>>;

asio::awaitable<void> serve(std::shared_ptr<Session> session, Count sessions) {
  co_await session->run();
  --*sessions;
}

}  // namespace

SessionListener::SessionListener(net::Listener listener,
                                 std::vector<IoThread> threads,
                                 SessionServices& services,
                                 std::uint32_t connections_max)
    : listener_(std::move(listener)),
      threads_(std::move(threads)),
      services_(services),
      connections_max_(connections_max) {
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    sessions_.push_back(std::make_shared<std::atomic<std::uint64_t>>(0));
  }
}

std::uint64_t SessionListener::sessions() const noexcept {
  std::uint64_t sum = 0;
  for (const Count& count : sessions_) sum += *count;
  return sum;
}

std::size_t SessionListener::least_busy() const noexcept {
  const auto fewer = [](const Count& a, const Count& b) { return *a < *b; };
  const auto least = std::min_element(sessions_.begin(), sessions_.end(), fewer);
  return static_cast<std::size_t>(least - sessions_.begin());
}

asio::awaitable<void> SessionListener::run() {
  for (;;) {
    const std::size_t chosen = least_busy();
    const IoThread& thread = threads_[chosen];
    auto socket = co_await listener_.accept(thread.executor);
    if (!socket) {
      if (socket.error().code == errc::cancelled) co_return;
      spdlog::warn("accepting connections: {}", socket.error().to_string());
      (void)co_await net::sleep_for(kExhaustedPause);
      continue;
    }
    if (sessions() >= connections_max_) {
      services_.context->audit->add(
          net::peer_of(*socket),
          "connection_refused",
          "limits.connections_max = " + std::to_string(connections_max_) + " is reached");
      continue;  // the socket closes: the peer backs off and tries again
    }
    auto stream = net::TlsStream::create(std::move(*socket), thread.tls);
    if (!stream) {
      spdlog::error("a new connection: {}", stream.error().to_string());
      continue;
    }
    auto session = std::make_shared<Session>(services_,
                                             thread.executor,
                                             std::make_unique<net::TlsStream>(std::move(*stream)),
                                             ++serial_);
    ++*sessions_[chosen];
    net::spawn(thread.executor, serve(std::move(session), sessions_[chosen]), "a session");
  }
}

}  // namespace chorus::server
