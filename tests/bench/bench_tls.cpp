// TLS as sessions use it, over loopback, two threads:
//
//   send, receive   1 GiB in frames of 1 MiB over one connection; bytes / CPU second of that side
//   wall            the same by the clock
//   raw_…           the same with OpenSSL alone on blocking sockets: the limit of any such stream
//   idle            resident memory of the server per idle connection, mutual TLS, in KiB
//   accept          server CPU microseconds per accepted connection, mutual TLS
//
// The clients of the idle connections are another process, so that only one end is counted.
#include <chrono>
#include <cstdio>
#include <fstream>
#include <malloc.h>
#include <signal.h>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <time.h>
#include <unistd.h>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <openssl/ssl.h>

#include "common/crypto/x509.hpp"
#include "common/net/tcp.hpp"
#include "common/net/tls_stream.hpp"

namespace {

using namespace std::chrono_literals;
using namespace chorus;       // NOLINT(google-build-using-namespace): one short program
using namespace chorus::net;  // NOLINT(google-build-using-namespace)
using Work = boost::asio::awaitable<void>;

constexpr std::size_t kFrame = 1U << 20U;
constexpr std::size_t kFrames = 1024;
constexpr int kIdle = 1000;

double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Texts {
  TlsServerOptions server;
  TlsClientOptions client;
};

Texts make_texts() {
  const auto ca = CertificateAuthority::create("bench", valid_for(1h)).value();
  const auto ca_pem = ca.certificate().to_pem().value();
  const auto server = ca.issue_server({{"localhost"}, {}}, valid_for(1h)).value();
  const auto key = PrivateKey::generate().value();
  const auto csr = make_csr(key, "bench").value();
  const auto device = ca.sign_device(csr, ClientId{"bench"}, valid_for(1h)).value();
  return {{server.certificate.to_pem().value(), server.key.to_pem().value(), ca_pem},
          {ca_pem, std::nullopt, device.to_pem().value(), key.to_pem().value()}};
}

void report(const char* name, double value, const char* unit) {
  std::printf("%-12s %10.2f %s\n", name, value, unit);
}

Work send(TlsStream& stream, double& cpu) {
  const std::vector<std::byte> frame(kFrame);
  const std::vector<std::byte> head(48);
  (co_await stream.handshake()).value();
  const double start = cpu_seconds();
  for (std::size_t i = 0; i < kFrames; ++i) (co_await stream.write_all(head, frame)).value();
  cpu = cpu_seconds() - start;
}

Work receive(TlsStream& stream, double& cpu) {
  std::vector<std::byte> frame(kFrame);
  std::vector<std::byte> head(48);
  (co_await stream.handshake()).value();
  const double start = cpu_seconds();
  for (std::size_t i = 0; i < kFrames; ++i) {
    stream.expires_after(60s);
    (co_await stream.read_exactly(head)).value();
    (co_await stream.read_exactly(frame)).value();
  }
  cpu = cpu_seconds() - start;
  stream.close();
}

/// One side with nothing but OpenSSL: CPU seconds for all the data.
double raw_side(const TlsContext& context, int fd, bool sends) {
  SSL* ssl = SSL_new(context.get());
  SSL_set_fd(ssl, fd);
  std::vector<char> buffer(kFrame);
  const int shaken = sends ? SSL_connect(ssl) : SSL_accept(ssl);
  const double start = cpu_seconds();
  for (std::size_t left = kFrames * kFrame; shaken == 1 && left > 0;) {
    std::size_t moved = 0;
    const std::size_t want = std::min(left, buffer.size());
    const int ok = sends ? SSL_write_ex(ssl, buffer.data(), want, &moved)
                         : SSL_read_ex(ssl, buffer.data(), want, &moved);
    if (ok != 1) break;
    left -= moved;
  }
  const double cpu = cpu_seconds() - start;
  SSL_free(ssl);
  return cpu;
}

void measure_raw(const Texts& texts) {
  boost::asio::io_context io(1);
  boost::asio::ip::tcp::acceptor acceptor(io, {boost::asio::ip::address_v4::loopback(), 0});
  boost::asio::ip::tcp::socket client(io);
  client.connect(acceptor.local_endpoint());
  auto server = acceptor.accept();
  const auto server_context = TlsContext::server(texts.server).value();
  const auto client_context = TlsContext::client(texts.client).value();
  double send_cpu = 0.0;
  std::thread other([&] { send_cpu = raw_side(*client_context, client.native_handle(), true); });
  const double receive_cpu = raw_side(*server_context, server.native_handle(), false);
  other.join();
  const double gigabytes = static_cast<double>(kFrames * kFrame) * 1e-9;
  report("raw_send", gigabytes / send_cpu, "GB/s per core");
  report("raw_receive", gigabytes / receive_cpu, "GB/s per core");
}

void measure_throughput(const Texts& texts) {
  boost::asio::io_context here(1);
  boost::asio::io_context there(1);
  boost::asio::ip::tcp::acceptor acceptor(here, {boost::asio::ip::address_v4::loopback(), 0});
  boost::asio::ip::tcp::socket client(there);
  client.connect(acceptor.local_endpoint());
  auto receiver = TlsStream::create(acceptor.accept(), TlsContext::server(texts.server).value());
  auto sender =
      TlsStream::create(std::move(client), TlsContext::client(texts.client).value(), "localhost");
  double receive_cpu = 0.0;
  double send_cpu = 0.0;
  boost::asio::co_spawn(here, receive(*receiver, receive_cpu), boost::asio::detached);
  boost::asio::co_spawn(there, send(*sender, send_cpu), boost::asio::detached);
  const auto start = std::chrono::steady_clock::now();
  std::thread other([&there] { there.run(); });
  here.run();
  other.join();
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  const double gigabytes = static_cast<double>(kFrames * kFrame) * 1e-9;
  report("send", gigabytes / send_cpu, "GB/s per core");
  report("receive", gigabytes / receive_cpu, "GB/s per core");
  report("wall", gigabytes / wall.count(), "GB/s");
}

double resident_kib() {
  ::malloc_trim(0);
  std::ifstream statm("/proc/self/statm");
  long total = 0;
  long resident = 0;
  statm >> total >> resident;
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1024.0;
}

/// The clients' process: opens all connections, says one byte on each, waits for the other's end.
Work open_connections(const Texts& texts, Address server) {
  const auto context = TlsContext::client(texts.client).value();
  std::vector<TlsStream> streams;
  const std::vector<std::byte> byte(1);
  for (int i = 0; i < kIdle; ++i) {
    auto socket = (co_await net::connect(server, 10s)).value();
    streams.push_back(TlsStream::create(std::move(socket), context, "localhost").value());
    (co_await streams.back().handshake()).value();
    (co_await streams.back().write_all(byte)).value();
  }
  std::vector<std::byte> end(1);
  (void)co_await streams.front().read_some(end);
}

/// A session: takes the client's byte, then waits.
Work serve(TlsStream stream, int& ready) {
  std::vector<std::byte> byte(1);
  (co_await stream.handshake()).value();
  (co_await stream.read_exactly(byte)).value();
  ++ready;
  (void)co_await stream.read_some(byte);
}

Work accept_all(Listener& listener,
                std::shared_ptr<const TlsContext> context,
                boost::asio::any_io_executor executor,
                int& ready) {
  for (int i = 0; i < kIdle; ++i) {
    auto socket = (co_await listener.accept(executor)).value();
    auto stream = TlsStream::create(std::move(socket), context).value();
    boost::asio::co_spawn(executor, serve(std::move(stream), ready), boost::asio::detached);
  }
}

void measure_idle(const Texts& texts) {
  boost::asio::io_context io(1);
  const auto context = TlsContext::server(texts.server).value();
  auto listener = Listener::bind(io.get_executor(), {"127.0.0.1", 0}).value();
  const Address address{"127.0.0.1", listener.port()};
  std::fflush(stdout);
  io.notify_fork(boost::asio::execution_context::fork_prepare);
  const pid_t child = ::fork();
  if (child == 0) {
    boost::asio::io_context clients(1);
    boost::asio::co_spawn(clients, open_connections(texts, address), boost::asio::detached);
    clients.run();
    ::_exit(0);
  }
  io.notify_fork(boost::asio::execution_context::fork_parent);
  int ready = 0;
  boost::asio::co_spawn(
      io, accept_all(listener, context, io.get_executor(), ready), boost::asio::detached);
  // The first tenth warms what is shared; it is not counted.
  while (ready < kIdle / 10) io.run_one();
  const double before = resident_kib();
  const double cpu = cpu_seconds();
  while (ready < kIdle) io.run_one();
  const int counted = kIdle - kIdle / 10;
  report("accept", 1e6 * (cpu_seconds() - cpu) / counted, "us of server CPU");
  report("idle", (resident_kib() - before) / counted, "KiB per connection");
  std::fflush(stdout);
  ::kill(child, SIGTERM);
  ::waitpid(child, nullptr, 0);
}

}  // namespace

int main() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  const Texts texts = make_texts();
  for (int i = 0; i < 3; ++i) {
    measure_throughput(texts);
    measure_raw(texts);
  }
  measure_idle(texts);
  return 0;
}
