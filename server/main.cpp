// chorusd: reading main() is reading the architecture. Every part is built here and handed what it
// needs; nothing is global.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <sys/resource.h>
#include <thread>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "chorus/kernels/kernels.hpp"
#include "common/base/files.hpp"
#include "common/base/log.hpp"
#include "common/base/try.hpp"
#include "common/net/async.hpp"
#include "server/admin/admin_handler.hpp"
#include "server/config/server_config.hpp"
#include "server/driver/audit_log.hpp"
#include "server/driver/board.hpp"
#include "server/net/listener.hpp"
#include "server/store/spare_segments.hpp"

namespace chorus::server {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kPemBytesMax = 64U << 10U;

struct Arguments {
  std::filesystem::path config = "server.toml";
  std::filesystem::path port_file;
  std::uint32_t threads = 0;
};

/// Milliseconds since the epoch that never step back while this process lives.
std::function<TimePoint()> make_clock() {
  using std::chrono::duration_cast;
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  const auto begin = std::chrono::steady_clock::now();
  return [wall, begin] {
    const auto now = wall + (std::chrono::steady_clock::now() - begin);
    return TimePoint(duration_cast<Duration>(now));
  };
}

/// Each connection is a descriptor: take as many as the system allows.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
  spdlog::info("up to {} open files, so about as many connections", limit.rlim_cur);
}

Result<net::TlsServerOptions> read_tls(const TlsFiles& files) {
  net::TlsServerOptions options;
  CHORUS_TRY(options.certificate_pem, read_text(files.certificate, kPemBytesMax));
  CHORUS_TRY(options.key_pem, read_text(files.key, kPemBytesMax));
  CHORUS_TRY(options.ca_pem, read_text(files.ca, kPemBytesMax));
  return options;
}

Result<std::unique_ptr<CertificateAuthority>> read_authority(const ServerConfig& config) {
  if (!config.enrollment.enabled) return std::unique_ptr<CertificateAuthority>();
  CHORUS_TRY(const std::string certificate, read_text(config.tls.ca, kPemBytesMax));
  CHORUS_TRY(const std::string key, read_text(config.enrollment.ca_key, kPemBytesMax));
  CHORUS_TRY(auto authority, CertificateAuthority::load(certificate, key));
  return std::make_unique<CertificateAuthority>(std::move(authority));
}

/// The threads of the daemon. Destroyed before what the coroutines on them refer to.
struct Threads {
  explicit Threads(unsigned count) : store(1), compute(count) {
    for (unsigned i = 0; i < count; ++i) io.push_back(std::make_unique<asio::io_context>(1));
  }

  void start() {
    for (auto& context : io) {
      guards.push_back(asio::make_work_guard(*context));
      runners.emplace_back([&context = *context] { context.run(); });
    }
  }
  void join() {
    for (auto& context : io) context->stop();
    for (auto& runner : runners) runner.join();
    runners.clear();
    guards.clear();
    store.join();
    compute.join();
  }

  asio::io_context control{1};
  std::vector<std::unique_ptr<asio::io_context>> io;
  asio::thread_pool store;
  asio::thread_pool compute;
  std::vector<asio::executor_work_guard<asio::io_context::executor_type>> guards;
  std::vector<std::thread> runners;
};

asio::awaitable<void> shut_down(SessionListener& listener,
                                Board& board,
                                Duration deadline,
                                asio::io_context& control) {
  spdlog::info("stopping: no new connections or rounds; what is under way is finished");
  listener.close();
  auto wait = [](Board& jobs) -> asio::awaitable<Result<void>> {
    co_await jobs.drain();
    co_return Result<void>();
  };
  const auto drained = co_await net::with_deadline(wait(board), deadline);
  if (!drained)
    spdlog::warn("draining: {}; the journal has what is durable", drained.error().detail);
  control.stop();
}

Result<void> write_port(const std::filesystem::path& file, std::uint16_t port) {
  if (file.empty()) return {};
  return write_durably(file, std::to_string(port) + "\n");
}

Result<void> serve(const ServerConfig& config, const Arguments& arguments) {
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  const unsigned wanted = arguments.threads != 0 ? arguments.threads : config.threads;
  const unsigned count = wanted != 0 ? wanted : cores;

  // Stores.
  CHORUS_OK(make_folders(config.storage));
  CHORUS_TRY(const UniqueFd only_daemon, lock_folder(config.storage));
  CHORUS_TRY(const auto ledger, open_sqlite_ledger(config.storage / "ledger.sqlite"));
  CHORUS_TRY(const auto versions, VersionStore::open(config.storage / "versions"));
  CHORUS_TRY(const auto changes, ChangeStore::open(config.storage / "changes"));

  CHORUS_TRY(auto spare_segments, SpareSegments::open(config.storage / "journal-spare"));

  // What everybody shares.
  MemoryBudget memory(config.limits.memory_budget);
  Threads threads(count);
  Context context;
  context.control = threads.control.get_executor();
  context.store = threads.store.get_executor();
  context.compute = threads.compute.get_executor();
  context.compute_threads = count;
  context.ledger = ledger.get();
  context.versions = versions.get();
  context.changes = changes.get();
  context.memory = &memory;
  context.spare_segments = &spare_segments;
  context.journal_folder = config.storage / "journal";
  context.journal_segment_bytes = config.journal.segment_bytes;
  context.checkpoint_after_bytes = config.journal.checkpoint_after;
  context.durable = config.journal.durability == DurabilityLevel::full;
  context.now = make_clock();
  AuditLog audit(context.store, *ledger, context.now);
  context.audit = &audit;

  // Rounds, devices, administrators.
  Board board(context, config.limits.devices_waiting_max);
  CHORUS_TRY(auto revoked, ledger->revoked());
  Access access(config.federation, std::move(revoked));
  CHORUS_TRY(auto authority, read_authority(config));
  Enrollment enrollment(context, std::move(authority), config.enrollment);
  std::atomic<SessionListener*> listening{nullptr};
  DaemonFacts facts;
  facts.started_at = context.now();
  facts.sessions = [&listening] { return listening.load()->sessions(); };
  AdminHandler admin(context, board, access, enrollment, facts);

  // The network.
  SessionServices services;
  services.context = &context;
  services.board = &board;
  services.access = &access;
  services.enrollment = &enrollment;
  services.admin = &admin;
  services.heartbeat = config.limits.heartbeat;
  services.idle_deadline = config.limits.idle_deadline;
  CHORUS_TRY(const auto tls, read_tls(config.tls));
  std::vector<IoThread> io_threads;
  for (const auto& io : threads.io) {
    CHORUS_TRY(auto tls_context, net::TlsContext::server(tls));
    io_threads.push_back(IoThread{io->get_executor(), std::move(tls_context)});
  }
  CHORUS_TRY(auto socket,
             net::Listener::bind(context.control, {config.listen.host, config.listen.port}));
  SessionListener listener(
      std::move(socket), std::move(io_threads), services, config.limits.connections_max);
  listening = &listener;

  // Life: recover, listen, until a signal.
  Result<void> outcome;
  auto live = [&]() -> asio::awaitable<void> {
    if (outcome = co_await board.recover(); !outcome) {
      threads.control.stop();
      co_return;
    }
    if (outcome = write_port(arguments.port_file, listener.port()); !outcome) {
      threads.control.stop();
      co_return;
    }
    spdlog::info("listening on {}", to_string(Address{config.listen.host, listener.port()}));
    co_await listener.run();
  };
  net::spawn(context.control, live(), "the daemon");
  asio::signal_set signals(threads.control, SIGINT, SIGTERM);
  signals.async_wait([&](boost::system::error_code error, int) {
    if (error) return;
    net::spawn(context.control,
               shut_down(listener, board, config.limits.drain_deadline, threads.control),
               "stopping");
  });
  threads.start();
  threads.control.run();
  threads.join();
  // Nothing runs any more. What waits in one context refers to others: answers for sessions go home
  // first, then the board lets go of the sessions, then their contexts end what is left of them.
  threads.control.restart();
  threads.control.poll();
  board.forget_devices();
  threads.io.clear();
  spdlog::info("stopped");
  return outcome;
}

int run(int argc, char** argv) {
  CLI::App app(
      "chorusd: the aggregation daemon of a federation.\n"
      "Example: chorusd --config federation/server.toml");
  Arguments arguments;
  app.add_option("--config", arguments.config, "server.toml (see 'chorus init')");
  app.add_option("--port-file", arguments.port_file, "write the port that is listened on here");
  app.add_option("--threads", arguments.threads, "network and compute threads; 0: as configured");
  app.set_version_flag("--version", "chorusd " CHORUS_VERSION);
  app.footer("Exit codes: 0 stopped by a signal, 1 failure, 2 usage or configuration.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  const auto config = load_server_config(arguments.config);
  if (!config) {
    std::fprintf(stderr, "chorusd: %s\n", config.error().detail.c_str());
    return 2;
  }
  if (auto logging = start_logging(config->log, "chorusd"); !logging) {
    std::fprintf(stderr, "chorusd: %s\n", logging.error().detail.c_str());
    return 2;
  }
  raise_descriptor_limit();
  spdlog::info("chorusd {}, kernels {}", CHORUS_VERSION, kernels::active_variant());
  if (auto served = serve(*config, arguments); !served) {
    spdlog::error("{}", served.error().to_string());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace chorus::server

int main(int argc, char** argv) {
  try {
    return chorus::server::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "chorusd: %s\n", error.what());
    return 1;
  }
}
