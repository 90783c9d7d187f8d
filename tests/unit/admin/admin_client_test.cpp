// The AdminLink over real TLS on loopback.
#include <fstream>

#include <gtest/gtest.h>

#include "admin/admin_link.hpp"
#include "chorus/v1/admin.pb.h"
#include "common/crypto/digest.hpp"
#include "tests/support/fake_server.hpp"
#include "tests/support/temp_folder.hpp"

namespace chorus::admin {
namespace {

using test::FakeServer;
using test::Peer;
template <class T>
using Awaitable = boost::asio::awaitable<T>;

class AdminClient : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(temp_.path() / "admin");
    const auto owner =
        authority_.authority().issue_admin("ann", Role::owner, valid_for(std::chrono::hours(1)));
    ASSERT_TRUE(owner);
    write("admin.pem", owner->certificate.to_pem().value());
    write("admin.key", owner->key.to_pem().value());
    write("ca.pem", authority_.ca_pem());
  }
  void write(const char* name, const std::string& text) {
    std::ofstream(temp_.path() / "admin" / name) << text;
  }
  Result<std::unique_ptr<AdminLink>> connect(const std::string& server) {
    return connect_admin({temp_.path(), server, "ann"});
  }

  test::TempFolder temp_;
  test::FakeFederation authority_;
};

// Answers every request with the jobs' names it was told.
Awaitable<void> answer_jobs(Peer& peer) {
  const auto hello = co_await peer.greet();
  EXPECT_EQ(hello.software.rfind("chorus ", 0), 0U);
  EXPECT_EQ(peer.certificate()->common_name, "ann");
  EXPECT_EQ(peer.certificate()->role, Role::owner);
  for (int i = 0; i < 2; ++i) {
    const auto request = co_await peer.expect<wire::AdminRequest>();
    v1::AdminRequest call;
    EXPECT_TRUE(call.ParseFromString(request.bytes));
    EXPECT_TRUE(call.has_list_jobs());
    wire::Message ping = wire::Ping{7};
    co_await peer.send(std::move(ping));
    co_await peer.expect<wire::Pong>();
    v1::AdminReply reply;
    reply.mutable_jobs()->add_jobs()->set_job("digits");
    wire::Message message = wire::AdminReply{reply.SerializeAsString()};
    co_await peer.send(std::move(message));
  }
}

TEST_F(AdminClient, AsksAndIsAnswered) {
  FakeServer server(authority_, {answer_jobs});
  auto link = connect(server.address());
  ASSERT_TRUE(link) << link.error().detail;
  v1::AdminRequest request;
  request.mutable_list_jobs();
  for (int i = 0; i < 2; ++i) {
    const auto reply = (*link)->call(request);
    ASSERT_TRUE(reply) << reply.error().detail;
    EXPECT_EQ(reply->jobs().jobs(0).job(), "digits");
  }
}

TEST_F(AdminClient, TheServersErrorIsTheFailure) {
  FakeServer server(authority_, {[](Peer& peer) -> Awaitable<void> {
                      co_await peer.greet();
                      co_await peer.expect<wire::AdminRequest>();
                      wire::Error error;
                      error.code = errc::permission_denied;
                      error.detail = "a viewer may not";
                      error.fatal = false;
                      wire::Message message = std::move(error);
                      co_await peer.send(std::move(message));
                    }});
  auto link = connect(server.address());
  ASSERT_TRUE(link);
  const auto reply = (*link)->call(v1::AdminRequest());
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, errc::permission_denied);
  EXPECT_EQ(reply.error().detail, "a viewer may not");
}

TEST_F(AdminClient, RefusedAtTheDoor) {
  FakeServer server(authority_, {[](Peer& peer) -> Awaitable<void> {
                      co_await peer.expect<wire::Hello>();
                      wire::Error error;
                      error.code = errc::revoked;
                      error.detail = "not any more";
                      wire::Message message = std::move(error);
                      co_await peer.send(std::move(message));
                    }});
  const auto link = connect(server.address());
  ASSERT_FALSE(link);
  EXPECT_EQ(link.error().code, errc::revoked);
}

TEST_F(AdminClient, NonsenseForAnAnswerIsRefused) {
  FakeServer server(authority_, {[](Peer& peer) -> Awaitable<void> {
                      co_await peer.greet();
                      co_await peer.expect<wire::AdminRequest>();
                      wire::Message garbage = wire::AdminReply{std::string("\xff\xff\xff")};
                      co_await peer.send(std::move(garbage));
                      co_await peer.expect<wire::AdminRequest>();
                      wire::Message other = wire::Ready{};
                      co_await peer.send(std::move(other));
                    }});
  auto link = connect(server.address());
  ASSERT_TRUE(link);
  EXPECT_EQ((*link)->call(v1::AdminRequest()).error().code, errc::malformed_message);
  EXPECT_EQ((*link)->call(v1::AdminRequest()).error().code, errc::unexpected_message);
}

TEST_F(AdminClient, ABrokenConnectionIsAFailure) {
  FakeServer server(authority_, {[](Peer& peer) -> Awaitable<void> {
                      co_await peer.greet();
                      co_await peer.expect<wire::AdminRequest>();
                    }});
  auto link = connect(server.address());
  ASSERT_TRUE(link);
  EXPECT_EQ((*link)->call(v1::AdminRequest()).error().code, errc::connection_failed);
}

std::vector<std::byte> model_bytes() {
  std::vector<std::byte> model(2'500'000);
  for (std::size_t i = 0; i < model.size(); ++i) model[i] = std::byte(i * 7 % 253);
  return model;
}

TEST_F(AdminClient, FetchesAModelInPieces) {
  const auto model = model_bytes();
  FakeServer server(authority_, {[&model](Peer& peer) -> Awaitable<void> {
                      co_await peer.greet();
                      co_await peer.serve(model, 1U << 20U);
                      co_await peer.receive();
                    }});
  auto link = connect(server.address());
  ASSERT_TRUE(link);
  std::vector<std::byte> got;
  const AdminLink::Sink sink = [&](std::span<const std::byte> data) -> Result<void> {
    got.insert(got.end(), data.begin(), data.end());
    return {};
  };
  const auto fetched = (*link)->fetch(sha256(model), model.size(), sink);
  ASSERT_TRUE(fetched) << fetched.error().detail;
  EXPECT_EQ(got, model);
}

TEST_F(AdminClient, PiecesThatDoNotFollowAreRefused) {
  const auto model = model_bytes();
  for (const std::uint64_t offset : {1ULL, 100ULL}) {
    FakeServer server(authority_, {[&model, offset](Peer& peer) -> Awaitable<void> {
                        co_await peer.greet();
                        co_await peer.expect<wire::Fetch>();
                        wire::Message chunk = wire::Chunk{offset};
                        const std::span<const std::byte> body(model.data(), 1000);
                        co_await peer.send(std::move(chunk), body);
                      }});
    auto link = connect(server.address());
    ASSERT_TRUE(link);
    const AdminLink::Sink sink = [](std::span<const std::byte>) { return Result<void>(); };
    EXPECT_EQ((*link)->fetch(sha256(model), model.size(), sink).error().code,
              errc::unexpected_message);
  }
}

TEST_F(AdminClient, MoreThanAnnouncedIsRefused) {
  const auto model = model_bytes();
  FakeServer server(authority_, {[&model](Peer& peer) -> Awaitable<void> {
                      co_await peer.greet();
                      co_await peer.serve(model, 1000, 2000);
                    }});
  auto link = connect(server.address());
  ASSERT_TRUE(link);
  const AdminLink::Sink sink = [](std::span<const std::byte>) { return Result<void>(); };
  EXPECT_EQ((*link)->fetch(sha256(model), 1500, sink).error().code, errc::unexpected_message);
}

TEST_F(AdminClient, AFullDiskEndsTheDownload) {
  const auto model = model_bytes();
  FakeServer server(authority_, {[&model](Peer& peer) -> Awaitable<void> {
                      co_await peer.greet();
                      co_await peer.serve(model, 1000, 1000);
                    }});
  auto link = connect(server.address());
  ASSERT_TRUE(link);
  const AdminLink::Sink sink = [](std::span<const std::byte>) -> Result<void> {
    return fail(errc::disk_full, "no space");
  };
  EXPECT_EQ((*link)->fetch(sha256(model), model.size(), sink).error().code, errc::disk_full);
}

TEST_F(AdminClient, WithoutItsFilesItDoesNotConnect) {
  for (const auto* name : {"admin.key", "admin.pem", "ca.pem"}) {
    std::filesystem::remove(temp_.path() / "admin" / name);
    EXPECT_EQ(connect("127.0.0.1:1").error().code, errc::not_found) << name;
    write(name, "not PEM");
    EXPECT_EQ(connect("127.0.0.1:1").error().code, errc::malformed_file) << name;
    SetUp();
  }
}

TEST_F(AdminClient, NobodyListens) {
  const auto link = connect("127.0.0.1:1");
  ASSERT_FALSE(link);
  EXPECT_EQ(link.error().code, errc::connection_failed);
  EXPECT_NE(link.error().detail.find("127.0.0.1:1"), std::string::npos);
}

TEST_F(AdminClient, AServerOfAnotherFederationIsNotTrusted) {
  const test::FakeFederation other;
  FakeServer server(other, {[](Peer& peer) -> Awaitable<void> { co_await peer.greet(); }});
  const auto link = connect(server.address());
  ASSERT_FALSE(link);
  EXPECT_EQ(link.error().code, errc::unauthenticated) << link.error().detail;
}

}  // namespace
}  // namespace chorus::admin
