#include "common/net/tcp.hpp"

#include <optional>
#include <sys/resource.h>
#include <sys/socket.h>

#include <gmock/gmock.h>

#include "common/net/async.hpp"
#include "tests/unit/common/net/net_fixture.hpp"

namespace chorus::net::test {
namespace {

using testing::HasSubstr;

TEST(Listener, BindsAFreePortAndAccepts) {
  Stage stage;
  auto listener = Listener::bind(stage.io.get_executor(), {"127.0.0.1", 0}).value();
  EXPECT_NE(listener.port(), 0);
  std::optional<Result<tcp::socket>> accepted;
  std::optional<Result<tcp::socket>> connected;
  stage.play({[&]() -> Work { accepted = co_await listener.accept(stage.io.get_executor()); },
              [&]() -> Work {
                Address address{"127.0.0.1", listener.port()};
                connected = co_await connect(std::move(address), 10s);
              }});
  ASSERT_TRUE(*accepted);
  ASSERT_TRUE(*connected) << connected->error().to_string();
  EXPECT_EQ(peer_of(**connected), "127.0.0.1:" + std::to_string(listener.port()));
  boost::asio::ip::tcp::no_delay no_delay;
  (**connected).get_option(no_delay);
  EXPECT_TRUE(no_delay.value());
  (**accepted).get_option(no_delay);
  EXPECT_TRUE(no_delay.value());
}

TEST(Listener, RefusesImpossibleAddresses) {
  Stage stage;
  const auto executor = stage.io.get_executor();
  EXPECT_EQ(Listener::bind(executor, {"localhost", 0}).error().code, errc::invalid_argument);
  EXPECT_EQ(Listener::bind(executor, {"", 0}).error().code, errc::invalid_argument);
  EXPECT_EQ(Listener::bind(executor, {"192.0.2.1", 0}).error().code, errc::io_failed);
  const auto first = Listener::bind(executor, {"127.0.0.1", 0}).value();
  const auto second = Listener::bind(executor, {"127.0.0.1", first.port()});
  EXPECT_EQ(second.error().code, errc::io_failed);
  EXPECT_THAT(second.error().detail, HasSubstr(std::to_string(first.port())));
}

TEST(Listener, CloseEndsAccept) {
  Stage stage;
  auto listener = Listener::bind(stage.io.get_executor(), {"127.0.0.1", 0}).value();
  stage.play({[&]() -> Work {
                const auto end = co_await listener.accept(stage.io.get_executor());
                EXPECT_EQ(end.error().code, errc::cancelled);
                const auto again = co_await listener.accept(stage.io.get_executor());
                EXPECT_EQ(again.error().code, errc::cancelled);
              },
              [&]() -> Work {
                listener.close();
                co_return;
              }});
}

#ifndef __SANITIZE_ADDRESS__
// Not with GCC's sanitizers: their check of virtual calls opens a pipe to look whether memory can
// be read, and takes the lack of descriptors for an invalid object.
TEST(Listener, RunningOutOfDescriptorsIsBusy) {
  Stage stage;
  auto listener = Listener::bind(stage.io.get_executor(), {"127.0.0.1", 0}).value();
  tcp::socket client(stage.io);
  client.connect({boost::asio::ip::address_v4::loopback(), listener.port()});
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  std::optional<Result<tcp::socket>> refused;
  stage.play({[&]() -> Work { refused = co_await listener.accept(stage.io.get_executor()); }});
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(refused->error().code, errc::busy);
  // The connection is still waiting, and is accepted once there is room.
  stage.play({[&]() -> Work { EXPECT_TRUE(co_await listener.accept(stage.io.get_executor())); }});
}
#endif

TEST(Connect, RefusedNamesTheAddress) {
  Stage stage;
  std::uint16_t port = 0;
  {
    const auto listener = Listener::bind(stage.io.get_executor(), {"127.0.0.1", 0}).value();
    port = listener.port();
  }
  stage.play({[&]() -> Work {
    Address address{"127.0.0.1", port};
    const auto refused = co_await connect(std::move(address), 10s);
    EXPECT_EQ(refused.error().code, errc::connection_failed);
    EXPECT_THAT(refused.error().detail, HasSubstr("127.0.0.1:" + std::to_string(port)));
    EXPECT_THAT(refused.error().detail, HasSubstr("refused"));
  }});
}

TEST(Connect, ResolvesNamesAndTriesTheirAddresses) {
  Stage stage;
  auto listener = Listener::bind(stage.io.get_executor(), {"127.0.0.1", 0}).value();
  stage.play({[&]() -> Work {
    // localhost may be ::1 first, where nobody listens.
    Address address{"localhost", listener.port()};
    const auto connected = co_await connect(std::move(address), 10s);
    EXPECT_TRUE(connected) << connected.error().to_string();
  }});
}

TEST(Connect, UnknownNamesFail) {
  Stage stage;
  stage.play({[&]() -> Work {
    Address address{"no-such-host.invalid", 4433};
    const auto unknown = co_await connect(std::move(address), 10s);
    EXPECT_FALSE(unknown);
    EXPECT_THAT(unknown.error().detail, HasSubstr("no-such-host.invalid"));
  }});
}

TEST(Connect, AServerThatDoesNotAnswerMeetsTheDeadline) {
  Stage stage;
  // A full queue of connections: Linux then leaves further ones without an answer.
  tcp::acceptor acceptor(stage.io);
  acceptor.open(tcp::v4());
  acceptor.bind({boost::asio::ip::address_v4::loopback(), 0});
  acceptor.listen(0);
  std::vector<tcp::socket> queue;
  for (int i = 0; i < 4; ++i) {
    auto& socket = queue.emplace_back(stage.io);
    socket.open(tcp::v4());
    socket.native_non_blocking(true);
    const auto endpoint = acceptor.local_endpoint();
    (void)::connect(
        socket.native_handle(), endpoint.data(), static_cast<socklen_t>(endpoint.size()));
  }
  stage.play({[&]() -> Work {
    Address address{"127.0.0.1", acceptor.local_endpoint().port()};
    const auto late = co_await connect(std::move(address), 50ms);
    EXPECT_EQ(late.error().code, errc::timed_out);
  }});
}

}  // namespace
}  // namespace chorus::net::test
