#include "common/net/socket_bio.hpp"

#include <array>
#include <cerrno>
#include <sys/socket.h>
#include <vector>

#include <gtest/gtest.h>

#include "common/base/files.hpp"
#include "tests/unit/common/net/net_fixture.hpp"

namespace chorus::net::test {
namespace {

/// A BIO over one end of a socket pair; the other end is the peer.
class SocketBio : public testing::Test {
 protected:
  SocketBio() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()), 0);
    ours = UniqueFd(ends[0]);
    peer = UniqueFd(ends[1]);
    state.fd = ours.get();
    bio.reset(new_socket_bio(method.get(), state));
  }

  bool write(std::span<const std::byte> data) {
    std::size_t written = 0;
    return BIO_write_ex(bio.get(), data.data(), data.size(), &written) == 1 &&
           written == data.size();
  }

  /// What the peer can read now.
  std::vector<std::byte> peer_reads() {
    std::vector<std::byte> all;
    std::array<std::byte, 4096> piece{};
    for (;;) {
      const ssize_t got = ::recv(peer.get(), piece.data(), piece.size(), 0);
      if (got <= 0) return all;
      all.insert(all.end(), piece.begin(), piece.begin() + got);
    }
  }

  UniqueFd ours;
  UniqueFd peer;
  SocketState state;
  const BioMethod method = make_socket_method();
  openssl::Bio bio;
};

TEST_F(SocketBio, TakesRecordsWholeAndKeepsWhatTheSocketDoesNot) {
  const auto data = pattern(10'000'000);
  const std::size_t record = 16'000;
  std::size_t at = 0;
  while (!state.backlogged()) {
    ASSERT_TRUE(write(std::span(data).subspan(at, record)));
    at += record;
  }
  // A short answer goes behind what waits already.
  ASSERT_TRUE(write(std::span(data).subspan(at, 27)));
  at += 27;
  std::vector<std::byte> received;
  while (received.size() < at) {
    const auto more = peer_reads();
    ASSERT_FALSE(more.empty());
    received.insert(received.end(), more.begin(), more.end());
    flush_backlog(state);
  }
  EXPECT_TRUE(std::equal(received.begin(), received.end(), data.begin()));
  EXPECT_FALSE(state.backlogged());
  EXPECT_EQ(state.backlog.capacity(), 0U);
  EXPECT_EQ(state.error, 0);
}

TEST_F(SocketBio, ABacklogBeyondItsLimitIsAnError) {
  // A peer that asks for key after key and reads no answer.
  const auto answer = pattern(27);
  std::size_t answers = 0;
  while (write(answer)) ASSERT_LT(++answers, 10'000'000U);
  EXPECT_EQ(state.error, ENOBUFS);
  EXPECT_LE(state.backlog.size(), 64U << 10U);
  EXPECT_GT(state.backlog.size(), (64U << 10U) - 27U);
  EXPECT_FALSE(write(answer));
}

TEST_F(SocketBio, APeerWhoIsGoneIsAnErrorAndNoSignal) {
  peer = UniqueFd();
  EXPECT_FALSE(write(pattern(1)));
  EXPECT_EQ(state.error, EPIPE);
  EXPECT_EQ(BIO_should_retry(bio.get()), 0);
}

TEST_F(SocketBio, FlushingToAPeerWhoIsGoneIsAnError) {
  const auto record = pattern(16'000);
  while (!state.backlogged()) ASSERT_TRUE(write(record));
  peer = UniqueFd();
  flush_backlog(state);
  EXPECT_EQ(state.error, EPIPE);
}

TEST_F(SocketBio, ReadsTellEmptyFromEnded) {
  std::array<std::byte, 8> buffer{};
  std::size_t got = 0;
  EXPECT_EQ(BIO_read_ex(bio.get(), buffer.data(), buffer.size(), &got), 0);
  EXPECT_NE(BIO_should_retry(bio.get()), 0);
  EXPECT_EQ(::send(peer.get(), "abc", 3, 0), 3);
  EXPECT_EQ(BIO_read_ex(bio.get(), buffer.data(), buffer.size(), &got), 1);
  EXPECT_EQ(got, 3U);
  peer = UniqueFd();
  EXPECT_EQ(BIO_read_ex(bio.get(), buffer.data(), buffer.size(), &got), 0);
  EXPECT_EQ(BIO_should_retry(bio.get()), 0);
  EXPECT_TRUE(state.end_of_file);
  EXPECT_EQ(BIO_eof(bio.get()), 1);
}

}  // namespace
}  // namespace chorus::net::test
