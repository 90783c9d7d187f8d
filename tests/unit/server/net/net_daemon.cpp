#include "tests/unit/server/net/net_daemon.hpp"

#include "common/base/limits.hpp"
#include "common/base/rng.hpp"
#include "common/crypto/digest.hpp"

namespace chorus::server::test {

namespace asio = boost::asio;

const Federation& federation() {
  static const Federation kFederation("clinic");
  return kFederation;
}

std::shared_ptr<const net::TlsContext> device_tls(const std::string& name, const Federation& of) {
  const auto key = PrivateKey::generate().value();
  const auto csr = make_csr(key, name).value();
  const auto certificate = of.ca.sign_device(csr, ClientId{name}, valid_for(1h)).value();
  return net::TlsContext::client({federation().ca_pem(),
                                  std::nullopt,
                                  certificate.to_pem().value(),
                                  key.to_pem().value()})
      .value();
}

std::shared_ptr<const net::TlsContext> admin_tls(const std::string& name, Role role) {
  const auto identity = federation().ca.issue_admin(name, role, valid_for(1h)).value();
  return net::TlsContext::client({federation().ca_pem(),
                                  std::nullopt,
                                  identity.certificate.to_pem().value(),
                                  identity.key.to_pem().value()})
      .value();
}

std::shared_ptr<const net::TlsContext> stranger_tls() {
  return federation().stranger();
}

NetDaemon::NetDaemon(const NetOptions& options)
    : daemon(folder.path(), options.daemon),
      access(std::make_unique<Access>("clinic", options.revoked)) {
  std::unique_ptr<CertificateAuthority> authority;
  if (options.enrollment) authority = std::make_unique<CertificateAuthority>(federation().ca);
  enrollment =
      std::make_unique<Enrollment>(daemon.context, std::move(authority), EnrollmentConfig{});
  DaemonFacts facts;
  facts.started_at = daemon.context.now();
  facts.sessions = [this] { return listener ? listener->sessions() : 0; };
  admin =
      std::make_unique<AdminHandler>(daemon.context, *daemon.board, *access, *enrollment, facts);
  services.context = &daemon.context;
  services.board = daemon.board.get();
  services.access = access.get();
  services.enrollment = enrollment.get();
  services.admin = admin.get();
  services.heartbeat = 15s;
  services.idle_deadline = options.idle_deadline;
  services.memory_deadline = options.memory_deadline;
  const auto executor = daemon.control.get_executor();
  auto socket = net::Listener::bind(executor, {"127.0.0.1", 0}).value();
  std::vector<IoThread> threads{{executor, federation().server()}};
  listener = std::make_unique<SessionListener>(
      std::move(socket), std::move(threads), services, options.connections_max);
  net::spawn(executor, listener->run(), "listening");
}

NetDaemon::~NetDaemon() {
  listener->close();
  // Sessions end before what they refer to: their clients are gone.
  EXPECT_TRUE(run_until([this] { return listener->sessions() == 0; }));
}

void NetDaemon::play(Scene scene) {
  bool done = false;
  asio::co_spawn(daemon.control, scene, [&done](const std::exception_ptr& thrown) {
    done = true;
    if (thrown) std::rethrow_exception(thrown);
  });
  EXPECT_TRUE(run_until([&done] { return done; })) << "the scene has not ended";
}

bool NetDaemon::audited(const std::string& what,
                        const std::string& who,
                        const std::string& detail) {
  const auto end = std::chrono::steady_clock::now() + 10s;
  do {  // the peer learns of a refusal before the entry is written
    for (const AuditRow& row : daemon.audit()) {
      const bool by = who.empty() || row.who == who;
      if (row.what == what && by && row.detail.find(detail) != std::string::npos) return true;
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

// ---- clients ----

asio::awaitable<std::unique_ptr<Client>> Client::connect(
    NetDaemon& server, std::shared_ptr<const net::TlsContext> tls) {
  Address address;
  address.host = "127.0.0.1";
  address.port = server.listener->port();
  auto socket = co_await net::connect(std::move(address), 10s);
  if (!socket) co_return nullptr;
  auto stream = net::TlsStream::create(std::move(*socket), std::move(tls), "localhost").value();
  stream.expires_after(10s);
  const auto shaken = co_await stream.handshake();
  if (!shaken) co_return nullptr;
  co_return std::make_unique<Client>(std::make_unique<net::TlsStream>(std::move(stream)));
}

asio::awaitable<std::unique_ptr<Client>> Client::device(NetDaemon& server, std::string name) {
  auto client = co_await connect(server, device_tls(name));
  EXPECT_NE(client, nullptr);
  const auto welcome = co_await client->greet();
  EXPECT_EQ(welcome.name, name);
  co_return client;
}

asio::awaitable<void> Client::say(wire::Message message, std::span<const std::byte> with) {
  const auto written = co_await frames.write(std::move(message), with);
  EXPECT_TRUE(written) << written.error().to_string();
}

asio::awaitable<void> Client::shout(std::vector<std::byte> bytes) {
  frames.stream().expires_after(10s);
  const auto written = co_await frames.stream().write_all(bytes);
  EXPECT_TRUE(written) << written.error().to_string();
}

asio::awaitable<std::optional<wire::Message>> Client::hear() {
  body.resize(limits::kChunkBytesMax);
  auto incoming = co_await frames.read(30s, std::span<std::byte>(body));
  if (!incoming) {
    ended = std::move(incoming).error();
    co_return std::nullopt;
  }
  body.resize(incoming->body.size());
  co_return std::move(incoming->message);
}

asio::awaitable<wire::Error> Client::hear_the_end(errc code) {
  auto error = co_await hear_a<wire::Error>();
  EXPECT_EQ(to_string(error.code), to_string(code)) << error.detail;
  EXPECT_TRUE(error.fatal);
  const auto more = co_await hear();
  EXPECT_FALSE(more.has_value());
  EXPECT_EQ(to_string(ended.code), to_string(errc::connection_failed)) << ended.detail;
  co_return error;
}

asio::awaitable<wire::Welcome> Client::greet() {
  co_await say(hello());
  co_return co_await hear_a<wire::Welcome>();
}

asio::awaitable<void> Client::ready() {
  wire::Message message{wire::Ready{}};
  co_await say(std::move(message));
}

asio::awaitable<wire::Work> Client::get_work() {
  co_await ready();
  co_return co_await hear_a<wire::Work>();
}

asio::awaitable<std::vector<std::byte>> Client::fetch(wire::ModelRef model, std::uint64_t offset) {
  wire::Message message(wire::Fetch{model.sha256, offset});
  co_await say(std::move(message));
  std::vector<std::byte> file;
  while (file.size() + offset < model.bytes) {
    const auto chunk = co_await hear_a<wire::Chunk>();
    EXPECT_EQ(chunk.offset, file.size() + offset);
    if (body.empty()) break;
    file.insert(file.end(), body.begin(), body.end());
  }
  co_return file;
}

asio::awaitable<wire::Take> Client::offer(wire::Work work) {
  if (values.empty()) {
    values.resize(93);
    Rng rng(std::get<TrainPlan>(work.plan).seed);
    for (float& value : values) value = static_cast<float>(rng.uniform() - 0.5);
  }
  wire::Offer made;
  made.task = work.task;
  made.bytes = update().size();
  made.digest = digest ? *digest : body_digest(update());
  made.base = work.model.sha256;
  made.examples = Examples{10};
  wire::Message message(std::move(made));
  co_await say(std::move(message));
  co_return co_await hear_a<wire::Take>();
}

asio::awaitable<void> Client::send_chunk(std::uint64_t offset, std::size_t length) {
  wire::Message message(wire::Chunk{offset});
  co_await say(std::move(message), update().subspan(static_cast<std::size_t>(offset), length));
}

wire::Message hello(std::uint32_t protocol_min, std::uint32_t protocol_max) {
  wire::Hello hello;
  hello.protocol_min = protocol_min;
  hello.protocol_max = protocol_max;
  hello.software = "test 1";
  return hello;
}

wire::Message goodbye() {
  return wire::Goodbye{"done", Duration{}};
}

wire::Message admin_request(const std::string& bytes) {
  return wire::AdminRequest{bytes};
}

std::string one_device_job(int rounds, const std::string& rest) {
  return job_toml(
      "[pace]\ncohort = 1\nmin_reports = 1\ndeadline = \"0s\"\n"
      "selection_deadline = \"0s\"\n[evaluation]\nfraction = 0\n" +
          rest,
      "job",
      rounds);
}

}  // namespace chorus::server::test
