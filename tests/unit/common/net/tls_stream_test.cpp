// What TlsStream does once two sides know each other: data, deadlines, cancellation, endings.
#include "common/net/tls_stream.hpp"

#include <array>
#include <optional>

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gmock/gmock.h>

#include "common/crypto/digest.hpp"
#include "common/net/async.hpp"
#include "tests/unit/common/net/net_fixture.hpp"

namespace chorus::net::test {
namespace {

using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kRecord = 16384;

/// Sends `data` in pieces and says whether all went.
Work send_pieces(TlsStream& stream, const std::vector<std::byte>& data, std::size_t piece) {
  for (std::size_t at = 0; at < data.size(); at += piece) {
    const auto part = std::span(data).subspan(at, std::min(piece, data.size() - at));
    const auto sent = co_await stream.write_all(part);
    EXPECT_TRUE(sent) << sent.error().to_string();
    if (!sent) co_return;
  }
}

Work expect_digest(TlsStream& stream, std::size_t count, BodyDigest expected, std::size_t piece) {
  BodyHasher hasher;
  std::vector<std::byte> buffer(piece);
  while (count > 0) {
    const auto part = std::span(buffer).first(std::min(count, piece));
    const auto got = co_await stream.read_exactly(part);
    EXPECT_TRUE(got) << got.error().to_string();
    if (!got) co_return;
    hasher.update(part);
    count -= part.size();
  }
  EXPECT_EQ(hasher.digest(), expected);
}

TEST(TlsStream, MovesMuchBothWaysAtOnce) {
  Stage stage;
  Pair pair = ready_pair(stage);
  const auto up = pattern(64U << 20U, 1);
  const auto down = pattern(64U << 20U, 2);
  const BodyDigest up_digest = body_digest(up);
  const BodyDigest down_digest = body_digest(down);
  stage.play({[&] { return send_pieces(pair.client, up, (1U << 20U) + 17); },
              [&] { return send_pieces(pair.server, down, 3 * kRecord + 1); },
              [&] { return expect_digest(pair.server, up.size(), up_digest, 100'000); },
              [&] { return expect_digest(pair.client, down.size(), down_digest, 1U << 20U); }});
  EXPECT_EQ(pair.client.sent(), up.size());
  EXPECT_EQ(pair.server.received(), up.size());
  EXPECT_EQ(pair.client.received(), down.size());
}

TEST(TlsStream, KeysChangeWhileBothDirectionsAreFull) {
  Stage stage;
  Pair pair = ready_pair(stage, 20'000);  // writes wait often, also in mid-record
  const auto data = pattern(4U << 20U, 3);
  const BodyDigest digest = body_digest(data);
  const auto send = [&data](TlsStream& stream) -> Work {
    // Small pieces between the changes, large ones so that answers meet a full socket.
    for (std::size_t at = 0, turn = 0; at < data.size(); ++turn) {
      const auto part =
          std::span(data).subspan(at, std::min<std::size_t>(300'000, data.size() - at));
      EXPECT_TRUE(stream.update_key(turn % 2 == 0));
      const auto sent = co_await stream.write_all(part);
      EXPECT_TRUE(sent) << sent.error().to_string();
      if (!sent) co_return;
      at += part.size();
    }
  };
  stage.play({[&] { return send(pair.client); },
              [&] { return send(pair.server); },
              [&] { return expect_digest(pair.server, data.size(), digest, 1000); },
              [&] { return expect_digest(pair.client, data.size(), digest, 1000); }});
}

TEST(TlsStream, HeadAndBodyOfAnyLengthArriveInOrder) {
  Stage stage;
  Pair pair = ready_pair(stage);
  const auto data = pattern(4 * kRecord);
  for (const std::size_t head : {std::size_t{0},
                                 std::size_t{1},
                                 std::size_t{16},
                                 kRecord - 1,
                                 kRecord,
                                 kRecord + 1,
                                 2 * kRecord + 5}) {
    for (const std::size_t body :
         {std::size_t{0}, std::size_t{1}, kRecord - 16, kRecord, kRecord + 1}) {
      std::vector<std::byte> received(head + body);
      const auto all = std::span(data).first(head + body);
      stage.play({[&]() -> Work {
                    EXPECT_TRUE(co_await pair.client.write_all(all.first(head), all.subspan(head)));
                  },
                  [&]() -> Work { EXPECT_TRUE(co_await pair.server.read_exactly(received)); }});
      EXPECT_TRUE(std::equal(all.begin(), all.end(), received.begin())) << head << ' ' << body;
    }
  }
}

TEST(TlsStream, ShortHeadSharesTheBodysFirstRecord) {
  Stage stage;
  Pair pair = ready_pair(stage);
  const auto data = pattern(1016);
  std::array<std::byte, 2000> buffer{};
  stage.play({[&]() -> Work {
                const auto all = std::span(data);
                EXPECT_TRUE(co_await pair.client.write_all(all.first(16), all.subspan(16)));
              },
              [&]() -> Work {
                std::array<std::byte, 16> head{};
                EXPECT_TRUE(co_await pair.server.read_exactly(head));
                EXPECT_EQ(pair.server.pending(), 1000U);
                EXPECT_EQ(*co_await pair.server.read_some(buffer), 1000U);
              }});
}

TEST(TlsStream, ReadSomeGivesWhatIsThere) {
  Stage stage;
  Pair pair = ready_pair(stage);
  const auto data = pattern(5);
  std::array<std::byte, 100> buffer{};
  stage.play({[&]() -> Work { EXPECT_TRUE(co_await pair.client.write_all(data)); },
              [&]() -> Work {
                EXPECT_EQ(*co_await pair.server.read_some(std::span(buffer).first(2)), 2U);
                EXPECT_EQ(*co_await pair.server.read_some(buffer), 3U);
              }});
}

TEST(TlsStream, AFastStreamGivesOthersTheirTurn) {
  Stage stage;
  Pair pair = ready_pair(stage);
  const auto data = pattern(16U << 20U);
  bool done = false;
  int turns = 0;
  stage.play(
      {[&]() -> Work {
         co_await send_pieces(pair.client, data, data.size());
         done = true;
       },
       [&] { return expect_digest(pair.server, data.size(), body_digest(data), data.size()); },
       [&]() -> Work {
         while (!done) {
           ++turns;
           co_await boost::asio::post(stage.io, boost::asio::use_awaitable);
         }
       }});
  EXPECT_GE(turns, 15);
}

// ---- deadlines ----

TEST(TlsStream, SilentPeerMeetsTheReadDeadline) {
  Stage stage;
  Pair pair = ready_pair(stage);
  std::array<std::byte, 4> buffer{};
  stage.play({[&]() -> Work {
    pair.server.expires_after(30ms);
    const auto late = co_await pair.server.read_some(buffer);
    EXPECT_EQ(late.error().code, errc::timed_out);
    // Reading is over, whatever comes; the peer can still be told so.
    EXPECT_TRUE(co_await pair.client.write_all(buffer));
    pair.server.expires_after(10s);
    EXPECT_EQ((co_await pair.server.read_some(buffer)).error().code, errc::timed_out);
    EXPECT_TRUE(co_await pair.server.write_all(buffer));
    EXPECT_TRUE(co_await pair.client.read_exactly(buffer));
  }});
}

TEST(TlsStream, AReadDeadlineLeavesAWriteInFlightAlone) {
  Stage stage;
  Pair pair = ready_pair(stage);
  const auto data = pattern(64U << 20U);
  std::vector<std::byte> copy(data.size());
  std::array<std::byte, 4> buffer{};
  bool late = false;
  stage.play({[&]() -> Work { EXPECT_TRUE(co_await pair.server.write_all(data)); },
              [&]() -> Work {
                pair.server.read_expires_at(Clock::now() + 20ms);
                const auto read = co_await pair.server.read_some(buffer);
                EXPECT_EQ(read.error().code, errc::timed_out);
                late = true;
              },
              [&]() -> Work {
                while (!late) EXPECT_TRUE(co_await sleep_for(1ms));
                EXPECT_TRUE(co_await pair.client.read_exactly(copy));
              }});
  EXPECT_EQ(copy, data);
}

TEST(TlsStream, AWriteThatMeetsItsDeadlineBreaksTheConnection) {
  Stage stage;
  Pair pair = ready_pair(stage);
  std::array<std::byte, 4> buffer{};
  stage.play({[&]() -> Work {
    pair.server.write_expires_at(Clock::now() - 1ms);
    EXPECT_EQ((co_await pair.server.write_all(buffer)).error().code, errc::timed_out);
    EXPECT_FALSE(pair.server.is_open());
    EXPECT_EQ((co_await pair.server.read_some(buffer)).error().code, errc::timed_out);
    // The peer sees a broken connection, not an orderly end.
    const auto seen = co_await pair.client.read_some(buffer);
    EXPECT_EQ(seen.error().code, errc::connection_failed);
  }});
}

TEST(TlsStream, ProgressDoesNotMoveTheDeadline) {
  Stage stage;
  Pair pair = ready_pair(stage);
  std::array<std::byte, 1000> frame{};
  bool over = false;
  stage.play({[&]() -> Work {
                pair.server.expires_after(60ms);
                const auto slow = co_await pair.server.read_exactly(frame);
                EXPECT_EQ(slow.error().code, errc::timed_out);
                over = true;
              },
              [&]() -> Work {
                const auto byte = pattern(1);
                while (!over && co_await pair.client.write_all(byte)) {
                  EXPECT_TRUE(co_await sleep_for(5ms));
                }
              }});
  EXPECT_GT(pair.server.received(), 1U);
  EXPECT_LT(pair.server.received(), frame.size());
}

TEST(TlsStream, PeerThatDoesNotReadMeetsTheWriteDeadline) {
  Stage stage;
  Pair pair = ready_pair(stage);
  const auto data = pattern(64U << 20U);
  stage.play({[&]() -> Work {
    pair.server.write_expires_at(Clock::now() + 50ms);
    const auto stuck = co_await pair.server.write_all(data);
    EXPECT_EQ(stuck.error().code, errc::timed_out);
    EXPECT_THAT(stuck.error().detail, HasSubstr("did not take"));
    EXPECT_FALSE(pair.server.is_open());
  }});
  EXPECT_GT(pair.server.sent(), 0U);
}

TEST(TlsStream, ADeadlineThatHasPassedEndsTheNextOperation) {
  Stage stage;
  Pair pair = ready_pair(stage);
  const auto data = pattern(1);
  stage.play({[&]() -> Work {
    pair.client.expires_at(Clock::now() - 1ms);
    EXPECT_EQ((co_await pair.client.write_all(data)).error().code, errc::timed_out);
  }});
}

TEST(TlsStream, DeadlinesMoveWhileAReadWaits) {
  Stage stage;
  Pair pair = ready_pair(stage);
  std::array<std::byte, 1> byte{};
  // Later, then never: the read lives on past the first deadline.
  stage.play({[&]() -> Work {
                pair.server.expires_after(20ms);
                const auto got = co_await pair.server.read_some(byte);
                EXPECT_TRUE(got) << got.error().to_string();
              },
              [&]() -> Work {
                pair.server.expires_after(10s);
                EXPECT_TRUE(co_await sleep_for(40ms));
                pair.server.expires_never();
                EXPECT_TRUE(co_await pair.client.write_all(byte));
              }});
  // Earlier: it ends before the first one.
  const auto start = Clock::now();
  stage.play({[&]() -> Work {
                pair.server.expires_after(30s);
                EXPECT_EQ((co_await pair.server.read_some(byte)).error().code, errc::timed_out);
              },
              [&]() -> Work {
                pair.server.read_expires_at(Clock::now() + 10ms);
                co_return;
              }});
  EXPECT_LT(Clock::now() - start, 20s);
}

TEST(TlsStream, DirectionsHaveDeadlinesOfTheirOwn) {
  Stage stage;
  Pair pair = ready_pair(stage);
  std::array<std::byte, 1> byte{};
  stage.play({[&]() -> Work {
                pair.server.read_expires_at(Clock::now() + 10s);
                pair.server.write_expires_at(Clock::now() + 10ms);  // nobody writes: no matter
                EXPECT_TRUE(co_await pair.server.read_some(byte));
              },
              [&]() -> Work {
                EXPECT_TRUE(co_await sleep_for(30ms));
                EXPECT_TRUE(co_await pair.client.write_all(byte));
              }});
}

// ---- cancellation ----

TEST(TlsStream, CancelEndsAReadThatMayThenBeRepeated) {
  Stage stage;
  Pair pair = ready_pair(stage);
  std::array<std::byte, 1> byte{};
  stage.play({[&]() -> Work {
                EXPECT_EQ((co_await pair.server.read_some(byte)).error().code, errc::cancelled);
                EXPECT_TRUE(co_await pair.server.read_some(byte));
              },
              [&]() -> Work {
                pair.server.cancel();
                EXPECT_TRUE(co_await pair.client.write_all(byte));
              }});
}

TEST(TlsStream, ACancelledReadThatHadBegunCannotBeRepeated) {
  Stage stage;
  Pair pair = ready_pair(stage);
  std::array<std::byte, 10> frame{};
  stage.play({[&]() -> Work {
                EXPECT_EQ((co_await pair.server.read_exactly(frame)).error().code, errc::cancelled);
                EXPECT_EQ((co_await pair.server.read_exactly(frame)).error().code,
                          errc::connection_failed);
              },
              [&]() -> Work {
                const auto part = pattern(5);
                EXPECT_TRUE(co_await pair.client.write_all(part));
                while (pair.server.received() < 5) EXPECT_TRUE(co_await sleep_for(1ms));
                pair.server.cancel();
              }});
}

TEST(TlsStream, ACancelledWriteEndsWriting) {
  Stage stage;
  Pair pair = ready_pair(stage);
  const auto data = pattern(64U << 20U);
  stage.play({[&]() -> Work {
                EXPECT_EQ((co_await pair.server.write_all(data)).error().code, errc::cancelled);
                const auto again = co_await pair.server.write_all(data);
                EXPECT_EQ(again.error().code, errc::connection_failed);
                EXPECT_FALSE(co_await pair.server.shutdown());
                EXPECT_FALSE(pair.server.is_open());
              },
              [&]() -> Work {
                while (pair.server.sent() == 0) EXPECT_TRUE(co_await sleep_for(1ms));
                pair.server.cancel();
                // What was sent arrives; the torn record is not taken for an end.
                std::vector<std::byte> sink(1U << 20U);
                for (;;) {
                  const auto got = co_await pair.client.read_some(sink);
                  if (got) continue;
                  EXPECT_EQ(got.error().code, errc::connection_failed);
                  EXPECT_THAT(got.error().detail, HasSubstr("broke off"));
                  break;
                }
                pair.client.close();
              }});
}

TEST(TlsStream, AsioCancellationEndsOperations) {
  Stage stage;
  Pair pair = ready_pair(stage);
  std::array<std::byte, 1> byte{};
  stage.play({[&]() -> Work {
    auto reading = pair.server.read_some(byte);
    const auto late = co_await with_deadline(std::move(reading), 20ms);
    EXPECT_EQ(late.error().code, errc::timed_out);
    EXPECT_TRUE(pair.server.is_open());
    EXPECT_TRUE(co_await pair.client.write_all(byte));
    auto again = pair.server.read_some(byte);
    EXPECT_TRUE(co_await with_deadline(std::move(again), 10s));
    auto bulk = pattern(64U << 20U);
    auto writing = pair.server.write_all(bulk);
    const auto stuck = co_await with_deadline(std::move(writing), 50ms);
    EXPECT_EQ(stuck.error().code, errc::timed_out);
  }});
}

TEST(TlsStream, CloseEndsBothDirections) {
  Stage stage;
  Pair pair = ready_pair(stage);
  std::array<std::byte, 1> byte{};
  const auto data = pattern(64U << 20U);
  stage.play({[&]() -> Work {
                EXPECT_EQ((co_await pair.server.read_some(byte)).error().code, errc::cancelled);
              },
              [&]() -> Work {
                EXPECT_EQ((co_await pair.server.write_all(data)).error().code, errc::cancelled);
              },
              [&]() -> Work {
                pair.server.close();
                EXPECT_EQ((co_await pair.server.read_some(byte)).error().code, errc::cancelled);
              }});
}

TEST(TlsStream, DestroyingAStreamEndsItsOperations) {
  Stage stage;
  auto pair = std::make_unique<Pair>(ready_pair(stage));
  std::array<std::byte, 1> byte{};
  stage.play({[&]() -> Work {
                EXPECT_EQ((co_await pair->server.read_some(byte)).error().code, errc::cancelled);
              },
              [&]() -> Work {
                pair->server.expires_after(10ms);
                pair.reset();
                co_return;
              }});
}

TEST(TlsStream, AnOutstandingOperationDiesWithItsContext) {
  std::array<std::byte, 1> byte{};
  auto stage = std::make_unique<Stage>();
  auto pair = std::make_unique<Pair>(ready_pair(*stage));
  pair->server.expires_after(10s);
  boost::asio::co_spawn(
      stage->io,
      [&]() -> Work { (void)co_await pair->server.read_some(byte); },
      [](const std::exception_ptr&) {});
  stage->io.restart();
  stage->io.poll();
  pair.reset();
  stage.reset();  // the address sanitizer looks for what is left
}

// ---- endings ----

TEST(TlsStream, ShutdownIsSeenAsAnOrderlyEnd) {
  Stage stage;
  Pair pair = ready_pair(stage);
  std::array<std::byte, 1> byte{};
  stage.play({[&]() -> Work { EXPECT_TRUE(co_await pair.client.shutdown()); },
              [&]() -> Work {
                const auto end = co_await pair.server.read_some(byte);
                EXPECT_EQ(end.error().code, errc::connection_failed);
                EXPECT_THAT(end.error().detail, HasSubstr("the client closed the connection"));
                EXPECT_TRUE(co_await pair.server.shutdown());
              }});
  EXPECT_FALSE(pair.client.is_open());
}

TEST(TlsStream, ATruncatedConnectionIsSeenAsSuch) {
  Stage stage;
  Pair pair = ready_pair(stage);
  std::array<std::byte, 8> frame{};
  stage.play({[&]() -> Work {
                const auto part = pattern(3);
                EXPECT_TRUE(co_await pair.client.write_all(part));
                pair.client.close();
              },
              [&]() -> Work {
                const auto end = co_await pair.server.read_exactly(frame);
                EXPECT_EQ(end.error().code, errc::connection_failed);
                EXPECT_THAT(end.error().detail, HasSubstr("broke off"));
              }});
}

TEST(TlsStream, LastWordsReachAPeerThatIsStillSending) {
  Stage stage;
  Pair pair = ready_pair(stage);
  const auto words = pattern(100, 7);
  const auto bulk = pattern(4U << 20U);
  std::vector<std::byte> heard(words.size());
  stage.play({[&]() -> Work {
                // The server says why it leaves and never reads what the client sends.
                EXPECT_TRUE(co_await pair.server.write_all(words));
                EXPECT_TRUE(co_await pair.server.shutdown());
              },
              [&]() -> Work {
                (void)co_await pair.client.write_all(bulk);
                EXPECT_TRUE(co_await pair.client.read_exactly(heard));
                pair.client.close();
              }});
  EXPECT_EQ(heard, words);
}

TEST(TlsStream, WritingToAPeerWhoIsGoneIsAFailureAndNoSignal) {
  Stage stage;
  Pair pair = ready_pair(stage);
  const auto data = pattern(1U << 20U);
  stage.play({[&]() -> Work {
    pair.client.close();
    Result<void> result;
    for (int i = 0; i < 100 && result; ++i) result = co_await pair.server.write_all(data);
    EXPECT_EQ(result.error().code, errc::connection_failed);
  }});
}

TEST(TlsStream, ShutdownDoesNotWaitLongForAPeerWhoStays) {
  Stage stage;
  Pair pair = ready_pair(stage);
  const auto start = Clock::now();
  stage.play({[&]() -> Work { EXPECT_TRUE(co_await pair.server.shutdown()); }});
  EXPECT_LT(Clock::now() - start, 10s);
  EXPECT_FALSE(pair.server.is_open());
}

TEST(TlsStream, MovesTakeTheConnectionAlong) {
  Stage stage;
  Pair pair = ready_pair(stage);
  TlsStream moved = std::move(pair.server);
  EXPECT_THAT(moved.remote(), HasSubstr("127.0.0.1:"));
  std::array<std::byte, 1> byte{};
  stage.play({[&]() -> Work { EXPECT_TRUE(co_await pair.client.write_all(byte)); },
              [&]() -> Work { EXPECT_TRUE(co_await moved.read_some(byte)); }});
  moved = std::move(pair.client);
  EXPECT_TRUE(moved.is_open());
}

}  // namespace
}  // namespace chorus::net::test
