#include "tests/sim/sim_server.hpp"

#include <utility>

#include "common/base/try.hpp"
#include "common/net/async.hpp"

namespace chorus::sim {

namespace asio = boost::asio;

namespace {

constexpr const char* kFederation = "sim";
const std::filesystem::path kStorage = "/srv";

}  // namespace

SimServer::SimServer(World& world,
                     std::shared_ptr<Disk> disk,
                     const ServerOptions& options,
                     TimePoint wall)
    : world_(world),
      disk_(std::move(disk)),
      began_(world.now()),
      wall_(wall),
      vfs_(*disk_, world.stream("sqlite").next_u64()),
      memory_(options.memory) {}

Result<std::unique_ptr<SimServer>> SimServer::start(World& world,
                                                    std::shared_ptr<Disk> disk,
                                                    const ServerOptions& options,
                                                    TimePoint wall) {
  std::unique_ptr<SimServer> server(new SimServer(world, std::move(disk), options, wall));
  CHORUS_OK(server->open(options));
  return server;
}

// As serve() of server/main.cpp does it.
Result<void> SimServer::open(const ServerOptions& options) {
  CHORUS_OK(disk_->make_folder(kStorage));
  CHORUS_TRY(ledger_, server::open_sqlite_ledger(kStorage / "ledger.sqlite", *disk_, vfs_.name()));
  CHORUS_TRY(versions_, server::VersionStore::open(kStorage / "versions", *disk_));
  CHORUS_TRY(changes_, server::ChangeStore::open(kStorage / "changes", *disk_));
  CHORUS_TRY(spare_segments_, server::SpareSegments::open(kStorage / "journal-spare", *disk_));
  context_.control = io_.get_executor();
  context_.store = io_.get_executor();
  context_.compute = io_.get_executor();
  context_.compute_threads = 1;
  context_.ledger = ledger_.get();
  context_.versions = versions_.get();
  context_.changes = changes_.get();
  context_.memory = &memory_;
  context_.spare_segments = &*spare_segments_;
  context_.disk = disk_.get();
  context_.journal_folder = kStorage / "journal";
  context_.journal_segment_bytes = options.segment_bytes;
  context_.checkpoint_after_bytes = options.checkpoint_after;
  context_.durable = options.durable;
  context_.now = [this] {
    return wall_ + std::chrono::duration_cast<Duration>(world_.now() - began_);
  };
  audit_ = std::make_unique<server::AuditLog>(context_.store, *ledger_, context_.now);
  context_.audit = audit_.get();
  board_ = std::make_unique<server::Board>(context_, options.devices_waiting_max);
  CHORUS_TRY(auto revoked, ledger_->revoked());
  access_ = std::make_unique<server::Access>(kFederation, std::move(revoked));
  services_.context = &context_;
  services_.board = board_.get();
  services_.access = access_.get();
  services_.heartbeat = options.heartbeat;
  services_.idle_deadline = options.idle_deadline;
  auto live = [](SimServer& self) -> asio::awaitable<void> {
    if (auto recovered = co_await self.board_->recover(); !recovered) {
      self.unusable_ = std::move(recovered).error();
    } else {
      self.recovered_ = true;
    }
  };
  net::spawn(context_.control, live(*this), "the daemon");
  return {};
}

// Sessions and jobs are held by coroutines that wait in the context: they go with it.
SimServer::~SimServer() {
  if (board_) board_->forget_devices();
  board_.reset();
}

void SimServer::let_timers_go_off() {
  world_.clock().let_timers_go_off(true);
  bool gone_off = false;
  net::Timer first(io_);
  first.expires_at(World::Instant::min());
  first.async_wait([&gone_off](const boost::system::error_code& /*error*/) { gone_off = true; });
  while (!gone_off) io_.poll_one();
  world_.clock().let_timers_go_off(false);
}

void SimServer::accept(std::shared_ptr<Connection> connection) {
  CertificateInfo certificate;
  certificate.common_name = connection->device;
  certificate.organisation = kFederation;
  certificate.role = Role::device;
  auto stream = std::make_unique<SimStream>(
      io_.get_executor(), std::move(connection), std::move(certificate));
  auto session = std::make_shared<server::Session>(
      services_, io_.get_executor(), std::move(stream), ++serial_);
  auto serve = [](std::shared_ptr<server::Session> one,
                  std::uint64_t& count) -> asio::awaitable<void> {
    co_await one->run();
    --count;
  };
  ++sessions_;
  net::spawn(io_.get_executor(), serve(std::move(session), sessions_), "a session");
}

void SimServer::drain() {
  auto draining = [](SimServer& self) -> asio::awaitable<void> {
    co_await self.board_->drain();
    self.drained_ = true;
  };
  draining_ = true;
  net::spawn(io_.get_executor(), draining(*this), "draining");
}

void SimServer::submit(std::string job_toml) {
  auto submitting = [](SimServer& self, std::string text) -> asio::awaitable<void> {
    auto submitted = co_await self.board_->submit(std::move(text), "job.toml");
    if (!submitted) self.refused_ = std::move(submitted).error();
  };
  net::spawn(io_.get_executor(), submitting(*this, std::move(job_toml)), "a job");
}

}  // namespace chorus::sim
