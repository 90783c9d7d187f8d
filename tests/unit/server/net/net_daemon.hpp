// A whole daemon with its network, on loopback and on one thread; and clients that speak frames.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/net/frame_stream.hpp"
#include "common/net/tcp.hpp"
#include "common/net/tls_stream.hpp"
#include "server/admin/admin_handler.hpp"
#include "server/net/listener.hpp"
#include "tests/unit/common/net/net_fixture.hpp"
#include "tests/unit/server/driver/daemon.hpp"

namespace chorus::server::test {

using net::test::Federation;
using net::test::Scene;
using net::test::Work;

/// One authority for all tests of a program: making certificates is slow under sanitizers.
const Federation& federation();

std::shared_ptr<const net::TlsContext> device_tls(const std::string& name,
                                                  const Federation& of = federation());
std::shared_ptr<const net::TlsContext> admin_tls(const std::string& name, Role role);
std::shared_ptr<const net::TlsContext> stranger_tls();

struct NetOptions {
  DaemonOptions daemon;
  std::vector<ClientId> revoked;
  Duration idle_deadline = 20s;
  Duration memory_deadline = 20s;
  std::uint32_t connections_max = 100;
  bool enrollment = true;
};

class NetDaemon {
 public:
  explicit NetDaemon(const NetOptions& options = {});
  ~NetDaemon();

  /// Plays a client's part to its end.
  void play(Scene scene);
  bool run_until(const std::function<bool()>& done) { return daemon.run_until(done); }
  /// Whether the audit table gets an entry `what` of `who` whose detail contains `detail`.
  bool audited(const std::string& what, const std::string& who, const std::string& detail);

  Folder folder;
  Daemon daemon;
  std::unique_ptr<Access> access;
  std::unique_ptr<Enrollment> enrollment;
  std::unique_ptr<AdminHandler> admin;
  SessionServices services;
  std::unique_ptr<SessionListener> listener;
};

/// One end of a connection, ours. What it says is right unless a test says otherwise.
class Client {
 public:
  explicit Client(std::unique_ptr<net::Stream> stream) : frames(std::move(stream)) {}

  /// Null when TCP or TLS fail.
  static boost::asio::awaitable<std::unique_ptr<Client>> connect(
      NetDaemon& server, std::shared_ptr<const net::TlsContext> tls);
  /// Connected and welcomed.
  static boost::asio::awaitable<std::unique_ptr<Client>> device(NetDaemon& server,
                                                                std::string name);

  boost::asio::awaitable<void> say(wire::Message message, std::span<const std::byte> body = {});
  /// Bytes that need not be a frame.
  boost::asio::awaitable<void> shout(std::vector<std::byte> bytes);
  /// The next message; none at the end of the connection. A chunk's body is in `body`.
  boost::asio::awaitable<std::optional<wire::Message>> hear();
  template <class M>
  boost::asio::awaitable<M> hear_a() {
    auto message = co_await hear();
    if (!message) {
      ADD_FAILURE() << "the connection ended; " << ended.to_string();
      co_return M{};
    }
    if (M* wanted = std::get_if<M>(&*message)) co_return std::move(*wanted);
    ADD_FAILURE() << "heard '" << wire::name_of(wire::kind_of(*message)) << "' instead"
                  << (std::holds_alternative<wire::Error>(*message)
                          ? ": " + std::get<wire::Error>(*message).detail
                          : "");
    co_return M{};
  }
  /// An Error of this code, fatal, then the end of the connection.
  boost::asio::awaitable<wire::Error> hear_the_end(errc code);

  boost::asio::awaitable<wire::Welcome> greet();
  boost::asio::awaitable<void> ready();
  /// Ready, then the Work that follows.
  boost::asio::awaitable<wire::Work> get_work();
  boost::asio::awaitable<std::vector<std::byte>> fetch(wire::ModelRef model,
                                                       std::uint64_t offset = 0);
  /// Offer, then the Take that follows. The update is update_for() unless `values` is set.
  boost::asio::awaitable<wire::Take> offer(wire::Work work);
  boost::asio::awaitable<void> send_chunk(std::uint64_t offset, std::size_t length);

  std::span<const std::byte> update() const {
    return encoded.empty() ? std::as_bytes(std::span(values)) : std::span(encoded);
  }

  net::FrameStream frames;
  std::vector<std::byte> body;       ///< of the last chunk heard
  Failure ended;                     ///< why hear() gave nothing
  std::vector<float> values;         ///< the update
  std::vector<std::byte> encoded;    ///< the same as its plan wants it; empty: as it is
  std::optional<BodyDigest> digest;  ///< announced instead of the right one
};

wire::Message hello(std::uint32_t protocol_min = 1, std::uint32_t protocol_max = 1);
wire::Message goodbye();
wire::Message admin_request(const std::string& bytes);

/// One device per round, no evaluation.
std::string one_device_job(int rounds = 5, const std::string& rest = "");

}  // namespace chorus::server::test
