#include "tests/support/fake_server.hpp"

#include <algorithm>

#include "client/src/state_folder.hpp"
#include "common/base/limits.hpp"
#include "common/net/async.hpp"
#include "common/net/tls_stream.hpp"

namespace chorus::test {

namespace asio = boost::asio;

namespace {

// Longer than any step of a test takes, shorter than a test's time limit.
constexpr Duration kPatience{20'000};

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().to_string());
  return std::move(result).value();
}
void must(const Result<void>& result) {
  if (!result) throw std::runtime_error(result.error().to_string());
}

}  // namespace

// ---- Peer ----

Peer::Awaitable<wire::Message> Peer::receive() {
  for (;;) {
    const std::span<std::byte> buffer(buffer_);
    auto incoming = must(co_await frames_.read(kPatience, buffer));
    body_ = incoming.body;
    if (const auto* ping = std::get_if<wire::Ping>(&incoming.message)) {
      wire::Message pong(wire::Pong{ping->number});
      co_await send(std::move(pong));
      continue;
    }
    co_return std::move(incoming.message);
  }
}

Peer::Awaitable<void> Peer::send(wire::Message message, std::span<const std::byte> body) {
  must(co_await frames_.write(std::move(message), body));
}

Peer::Awaitable<wire::Hello> Peer::greet() {
  auto hello = co_await expect<wire::Hello>();
  const auto& certificate = frames_.stream().peer_certificate();
  const std::string name = certificate ? certificate->common_name : "";
  wire::Message welcome(wire::Welcome{1, "fake 1.0", name, Duration(15'000)});
  co_await send(std::move(welcome));
  co_return hello;
}

Peer::Awaitable<void> Peer::greet_ready() {
  co_await greet();
  co_await expect<wire::Ready>();
}

Peer::Awaitable<std::uint64_t> Peer::serve(std::span<const std::byte> file,
                                           std::size_t chunk_bytes,
                                           std::size_t end) {
  const auto fetch = co_await expect<wire::Fetch>();
  end = std::min(end, file.size());
  for (std::size_t at = fetch.offset; at < end;) {
    const auto part = file.subspan(at, std::min(chunk_bytes, end - at));
    wire::Message chunk(wire::Chunk{at});
    co_await send(std::move(chunk), part);
    at += part.size();
  }
  co_return fetch.offset;
}

Peer::Awaitable<void> Peer::take(std::vector<std::byte>& body,
                                 std::uint64_t from,
                                 std::uint64_t to) {
  while (from < to) {
    const auto chunk = co_await expect<wire::Chunk>();
    if (chunk.offset != from || body_.empty() || body_.size() > body.size() - from) {
      throw std::runtime_error("a chunk at " + std::to_string(chunk.offset) + "; expected " +
                               std::to_string(from));
    }
    std::copy(body_.begin(), body_.end(), body.begin() + static_cast<std::ptrdiff_t>(from));
    from += body_.size();
  }
}

// ---- FakeFederation ----

FakeFederation::FakeFederation()
    : authority_(must(CertificateAuthority::create("test", valid_for(std::chrono::hours(24))))),
      server_(must(authority_.issue_server({{"localhost"}, {"127.0.0.1"}},
                                           valid_for(std::chrono::hours(24))))) {}

Sha256 FakeFederation::ca_sha256() const {
  return must(authority_.certificate().info()).fingerprint;
}

std::string FakeFederation::ca_pem() const {
  return must(authority_.certificate().to_pem());
}

void FakeFederation::give_identity(const std::filesystem::path& folder,
                                   const std::string& server,
                                   Validity validity) const {
  const auto key = must(PrivateKey::generate());
  const auto csr = must(make_csr(key, "device-1"));
  const auto certificate = must(authority_.sign_device(csr, ClientId{"device-1"}, validity));
  const auto state = must(client::StateFolder::open(folder));
  must(state.store_key(must(key.to_pem())));
  client::DeviceIdentity identity;
  identity.server = server;
  identity.name = "device-1";
  identity.certificate_pem = must(certificate.to_pem());
  identity.ca_pem = ca_pem();
  must(state.store_identity(identity));
}

// ---- FakeServer ----

FakeServer::FakeServer(const FakeFederation& federation, std::vector<Script> scripts)
    : scripts_(std::move(scripts)) {
  net::TlsServerOptions options;
  options.certificate_pem = must(federation.server().certificate.to_pem());
  options.key_pem = must(federation.server().key.to_pem());
  options.ca_pem = federation.ca_pem();
  tls_ = must(net::TlsContext::server(options));
  listener_ = std::make_unique<net::Listener>(
      must(net::Listener::bind(context_.get_executor(), {"127.0.0.1", 0})));
  net::spawn(context_.get_executor(), accept_loop(), "fake server");
  thread_ = std::thread([this] { context_.run(); });
}

FakeServer::~FakeServer() {
  context_.stop();
  thread_.join();
}

std::string FakeServer::address() const {
  return "127.0.0.1:" + std::to_string(listener_->port());
}

std::string FakeServer::complaints() {
  const std::lock_guard lock(mutex_);
  return complaints_;
}

void FakeServer::complain(const std::string& text) {
  const std::lock_guard lock(mutex_);
  complaints_ += text + "\n";
}

asio::awaitable<void> FakeServer::accept_loop() {
  for (std::size_t number = 0;; ++number) {
    auto socket = co_await listener_->accept(context_.get_executor());
    if (!socket) co_return;
    if (number >= scripts_.size()) continue;  // closes it
    net::spawn(context_.get_executor(), serve(std::move(*socket), number), "fake session");
  }
}

asio::awaitable<void> FakeServer::serve(asio::ip::tcp::socket socket, std::size_t number) {
  try {
    auto stream =
        std::make_unique<net::TlsStream>(must(net::TlsStream::create(std::move(socket), tls_)));
    if (auto shaken = co_await stream->handshake(); !shaken) co_return;
    Peer peer(std::move(stream));
    co_await scripts_[number](peer);
  } catch (const std::exception& error) {
    complain("connection " + std::to_string(number) + ": " + error.what());
  }
}

}  // namespace chorus::test
