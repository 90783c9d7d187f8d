// Frames that are none, peers that do not read or do not speak, memory that runs out.
#include <boost/asio/post.hpp>

#include "common/base/limits.hpp"
#include "common/wire/frame.hpp"
#include "tests/unit/server/net/net_daemon.hpp"

namespace chorus::server::test {
namespace {

using testing::HasSubstr;

std::vector<std::byte> frame(wire::FrameKind kind,
                             std::uint32_t message_bytes,
                             std::uint32_t body_bytes) {
  wire::FrameHeader header;
  header.kind = kind;
  header.message_bytes = message_bytes;
  header.body_bytes = body_bytes;
  const auto bytes = wire::encode_header(header);
  return {bytes.begin(), bytes.end()};
}

struct BadBytes {
  const char* name;
  std::vector<std::byte> bytes;
  errc code;
};

std::vector<BadBytes> bad_frames() {
  auto magic = frame(wire::FrameKind::ready, 0, 0);
  magic[0] = std::byte{'X'};
  auto version = frame(wire::FrameKind::ready, 0, 0);
  version[4] = std::byte{9};
  auto kind = frame(wire::FrameKind::ready, 0, 0);
  kind[5] = std::byte{200};
  auto flags = frame(wire::FrameKind::ready, 0, 0);
  flags[6] = std::byte{1};
  auto garbage = frame(wire::FrameKind::offer, 4, 0);
  garbage.insert(garbage.end(), 4, std::byte{0xFF});
  return {
      {"magic", magic, errc::malformed_frame},
      {"version", version, errc::unsupported_version},
      {"kind", kind, errc::malformed_frame},
      {"flags", flags, errc::malformed_frame},
      {"message one byte too long",
       frame(wire::FrameKind::offer, limits::kMessageBytesMax + 1, 0),
       errc::frame_too_large},
      {"body one byte too long",
       frame(wire::FrameKind::chunk, 0, limits::kChunkBytesMax + 1),
       errc::frame_too_large},
      {"body on a kind that has none", frame(wire::FrameKind::ready, 0, 4), errc::malformed_frame},
      {"a message that does not parse", garbage, errc::malformed_message},
      {"an offer of nothing", frame(wire::FrameKind::offer, 0, 0), errc::malformed_message}};
}

TEST(Hostile, BadFramesEndTheirOwnConnectionOnly) {
  NetDaemon server;
  server.daemon.submit(one_device_job());
  server.play([&]() -> Work {
    auto bystander = co_await Client::device(server, "bystander");
    const auto work = co_await bystander->get_work();
    co_await bystander->offer(work);
    co_await bystander->send_chunk(0, 100);
    for (const BadBytes& bad : bad_frames()) {
      auto client = co_await Client::device(server, "gate-1");
      std::vector<std::byte> bytes = bad.bytes;
      co_await client->shout(std::move(bytes));
      const auto error = co_await client->hear_a<wire::Error>();
      EXPECT_EQ(to_string(error.code), to_string(bad.code)) << bad.name << ": " << error.detail;
      EXPECT_TRUE(error.fatal);
      const auto more = co_await client->hear();
      EXPECT_FALSE(more.has_value()) << bad.name;
    }
    co_await bystander->send_chunk(100, 93 * sizeof(float) - 100);
    co_await bystander->hear_a<wire::Accepted>();
  });
  for (const BadBytes& bad : bad_frames()) {
    EXPECT_TRUE(server.audited("session_refused", "gate-1", to_string(bad.code).data()))
        << bad.name;
  }
}

TEST(Hostile, BadFramesBeforeHelloAreAnsweredToo) {
  NetDaemon server;
  for (const BadBytes& bad : bad_frames()) {
    server.play([&]() -> Work {
      auto client = co_await Client::connect(server, stranger_tls());
      std::vector<std::byte> bytes = bad.bytes;
      co_await client->shout(std::move(bytes));
      co_await client->hear_the_end(bad.code);
    });
  }
}

TEST(Hostile, ATruncatedFrameIsAConnectionThatBroke) {
  NetDaemon server;
  for (const std::size_t kept : {1U, 15U, 16U, 17U}) {
    server.play([&]() -> Work {
      auto client = co_await Client::device(server, "gate-1");
      auto bytes = frame(wire::FrameKind::offer, 40, 0);
      bytes.resize(40);
      bytes.resize(kept);
      co_await client->shout(std::move(bytes));
      client->frames.stream().close();
    });
    EXPECT_TRUE(server.run_until([&] { return server.listener->sessions() == 0; }));
  }
  for (const AuditRow& row : server.daemon.audit()) EXPECT_NE(row.what, "session_refused");
}

TEST(Hostile, ABodyWhereNoneIsExpectedIsNotRead) {
  NetDaemon server;
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    // A megabyte is announced; not a byte of it follows, and none is waited for.
    auto bytes = frame(wire::FrameKind::chunk, 0, limits::kChunkBytesMax);
    co_await client->shout(std::move(bytes));
    co_await client->hear_the_end(errc::unexpected_message);
  });
}

TEST(Hostile, SilenceEndsAtTheIdleDeadline) {
  NetOptions options;
  options.idle_deadline = 50ms;
  NetDaemon server(options);
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto silent = co_await client->hear_the_end(errc::timed_out);
    EXPECT_EQ(silent.detail, "waiting for the device's next message: no message came within 50 ms");
    auto admin = co_await Client::connect(server, admin_tls("ann", Role::viewer));
    co_await admin->greet();
    const auto idle = co_await admin->hear_the_end(errc::timed_out);
    EXPECT_THAT(idle.detail, HasSubstr("waiting for the next request"));
  });
  EXPECT_TRUE(server.run_until([&] { return server.listener->sessions() == 0; }));
  EXPECT_EQ(server.daemon.board->devices_connected(), 0U);
}

TEST(Hostile, APingKeepsAConnectionAlive) {
  NetOptions options;
  options.idle_deadline = 200ms;
  NetDaemon server(options);
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    for (std::uint64_t i = 0; i < 8; ++i) {
      (void)co_await net::sleep_for(50ms);
      wire::Message ping(wire::Ping{i});
      co_await client->say(std::move(ping));
      co_await client->hear_a<wire::Pong>();
    }
  });
}

TEST(Hostile, AnUploadThatStopsEndsAtTheIdleDeadline) {
  NetOptions options;
  options.idle_deadline = 50ms;
  NetDaemon server(options);
  const auto job = server.daemon.submit(one_device_job());
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto work = co_await client->get_work();
    co_await client->offer(work);
    co_await client->send_chunk(0, 100);
    const auto stopped = co_await client->hear_the_end(errc::timed_out);
    EXPECT_EQ(stopped.detail, "waiting for the rest of an update: no message came within 50 ms");
  });
  EXPECT_TRUE(server.run_until([&] { return server.listener->sessions() == 0; }));
  EXPECT_EQ(job->machine().members().at(ClientId{"gate-1"}).state, MemberState::invited);
  EXPECT_EQ(server.daemon.memory.granted(), 93 * sizeof(std::int64_t));  // the lane's only
}

// A peer that does not read is let go when more messages wait than the outbox holds, whatever the
// kernel's buffers take.
TEST(Hostile, APeerThatDoesNotReadIsDisconnected) {
  NetDaemon server;
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    while (server.daemon.board->devices_connected() == 0) (void)co_await net::sleep_for(1ms);
    const auto link = server.daemon.board->link_of(ClientId{"gate-1"});
    EXPECT_NE(link, nullptr);
    wire::ComeBack heavy;
    heavy.why = std::string(limits::kDetailBytesMax, 'x');
    int sent = 0;
    while (server.daemon.board->devices_connected() != 0 && sent < 200'000) {
      for (int i = 0; i < 8; ++i, ++sent) link->send(heavy);
      co_await boost::asio::post(server.daemon.control, boost::asio::use_awaitable);
    }
    EXPECT_EQ(server.daemon.board->devices_connected(), 0U);
    EXPECT_GT(sent, 100);  // the kernel took some
  });
  EXPECT_TRUE(server.run_until([&] { return server.listener->sessions() == 0; }));
}

TEST(Hostile, APeerThatReadsGetsEveryMessageInOrder) {
  NetDaemon server;
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    while (server.daemon.board->devices_connected() == 0) (void)co_await net::sleep_for(1ms);
    const auto link = server.daemon.board->link_of(ClientId{"gate-1"});
    for (std::uint64_t i = 0; i < limits::kOutboxMax; ++i) link->send(wire::Ping{i});
    for (std::uint64_t i = 0; i < limits::kOutboxMax; ++i) {
      const auto ping = co_await client->hear_a<wire::Ping>();
      EXPECT_EQ(ping.number, i);
    }
  });
}

// ---- memory ----

TEST(Hostile, WithoutMemoryForABodyTheServerIsBusy) {
  NetOptions options;
  options.memory_deadline = 60ms;
  options.daemon.memory = 100'000;
  NetDaemon server(options);
  const auto job = server.daemon.submit(one_device_job());
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto work = co_await client->get_work();
    auto others = server.daemon.memory.take(100'000 - server.daemon.memory.granted() - 371);
    EXPECT_TRUE(others);
    wire::Offer offer;
    offer.task = work.task;
    offer.bytes = 372;
    offer.base = work.model.sha256;
    offer.examples = Examples{1};
    wire::Message message(std::move(offer));
    co_await client->say(std::move(message));
    const auto error = co_await client->hear_the_end(errc::busy);
    EXPECT_TRUE(may_retry(error.code));
  });
  server.play([&]() -> Work {  // and when there is some again
    auto client = co_await Client::device(server, "gate-1");
    const auto work = co_await client->get_work();
    co_await client->offer(work);
    co_await client->send_chunk(0, 372);
    co_await client->hear_a<wire::Accepted>();
  });
}

TEST(Hostile, ABodyWaitsForMemoryThatOthersGiveBack) {
  NetOptions options;
  options.daemon.memory = 100'000;
  NetDaemon server(options);
  server.daemon.submit(one_device_job());
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto work = co_await client->get_work();
    auto others = server.daemon.memory.take(100'000 - server.daemon.memory.granted());
    auto give_back = [](MemoryBudget::Grant grant) -> Work {
      (void)co_await net::sleep_for(50ms);
      grant = MemoryBudget::Grant();
    };
    net::spawn(server.daemon.context.control, give_back(std::move(others)), "another transfer");
    co_await client->offer(work);
    co_await client->send_chunk(0, 372);
    co_await client->hear_a<wire::Accepted>();
  });
}

// The session waits for memory and does not read when it is closed: it must end all the same, and
// long before its idle deadline.
TEST(Hostile, ADeviceRevokedWhileItWaitsForMemoryIsCutOff) {
  NetOptions options;
  options.daemon.memory = 100'000;
  options.idle_deadline = 50s;
  options.memory_deadline = 50s;
  NetDaemon server(options);
  server.daemon.submit(one_device_job());
  const auto began = std::chrono::steady_clock::now();
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    const auto work = co_await client->get_work();
    auto others = server.daemon.memory.take(100'000 - server.daemon.memory.granted());
    wire::Offer offer;
    offer.task = work.task;
    offer.bytes = 372;
    offer.base = work.model.sha256;
    offer.examples = Examples{1};
    wire::Message message(std::move(offer));
    co_await client->say(std::move(message));
    const auto& members = server.daemon.job()->machine().members();
    while (members.at(ClientId{"gate-1"}).state != MemberState::uploading) {
      (void)co_await net::sleep_for(1ms);
    }
    server.daemon.board->expel(ClientId{"gate-1"}, fail(errc::revoked, "the device was revoked"));
    const auto error = co_await client->hear_a<wire::Error>();
    EXPECT_EQ(error.code, errc::revoked);
    others = MemoryBudget::Grant();
    const auto more = co_await client->hear();
    EXPECT_FALSE(more.has_value());
  });
  EXPECT_LT(std::chrono::steady_clock::now() - began, 20s);
}

// ---- shutting down ----

TEST(Hostile, AServerThatStopsSaysGoodbye) {
  NetDaemon server;
  server.play([&]() -> Work {
    auto client = co_await Client::device(server, "gate-1");
    co_await client->ready();
    wire::Message ping(wire::Ping{1});
    co_await client->say(std::move(ping));
    co_await client->hear_a<wire::Pong>();
    co_await server.daemon.board->drain();
    const auto bye = co_await client->hear_a<wire::Goodbye>();
    EXPECT_EQ(bye.come_back_after, 2s);
    const auto more = co_await client->hear();
    EXPECT_FALSE(more.has_value());
  });
}

}  // namespace
}  // namespace chorus::server::test
