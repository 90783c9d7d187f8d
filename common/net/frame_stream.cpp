#include "common/net/frame_stream.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/base/assert.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/net/timer.hpp"

namespace chorus::net {

namespace asio = boost::asio;
using Clock = SteadyClock;
using Stage = wire::FrameReader::Stage;

namespace {

constexpr Duration kFrameDeadline = limits::kChunkDeadline;

/// A missed deadline says what was waited for, and how long; other failures pass.
Failure in_time(const Failure& why, const char* missed, Duration deadline) {
  if (why.code != errc::timed_out) return why;
  const auto ms = deadline.count();
  return fail(
      errc::timed_out,
      missed + (ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms"));
}

}  // namespace

/// A coroutine that waits for its turn to write. The timer never fires: it is only cancelled.
struct FrameStream::Waiter {
  explicit Waiter(const asio::any_io_executor& executor)
      : timer(executor, Clock::time_point::max()) {}
  Timer timer;
  bool turn = false;
};

/// The right to write one frame; passed on when destroyed, however the coroutine ends.
class FrameStream::WriteTurn {
 public:
  explicit WriteTurn(FrameStream& stream)
      : stream_(stream), waiter_(stream.stream().get_executor()) {
    if (stream_.writing_) {
      stream_.waiters_.push_back(&waiter_);
    } else {
      stream_.writing_ = true;
      waiter_.turn = true;
    }
  }
  WriteTurn(const WriteTurn&) = delete;
  WriteTurn& operator=(const WriteTurn&) = delete;
  ~WriteTurn() {
    if (!waiter_.turn) {
      std::erase(stream_.waiters_, &waiter_);
      return;
    }
    if (began_ && !complete_) stream_.write_broken_ = true;
    if (stream_.waiters_.empty()) {
      stream_.writing_ = false;
      return;
    }
    Waiter* const next = stream_.waiters_.front();
    stream_.waiters_.pop_front();
    next->turn = true;
    next->timer.cancel();
  }

  asio::awaitable<Result<void>> wait() {
    if (!waiter_.turn) co_await waiter_.timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (!waiter_.turn) co_return fail(errc::cancelled, "cancelled while waiting to write a frame");
    co_return Result<void>();
  }
  void begin() noexcept { began_ = true; }
  void complete() noexcept { complete_ = true; }

 private:
  FrameStream& stream_;
  Waiter waiter_;
  bool began_ = false;
  bool complete_ = false;
};

FrameStream::FrameStream(std::unique_ptr<Stream> stream) : stream_(std::move(stream)) {
  CHORUS_ASSERT(stream_ != nullptr);
}

FrameStream::~FrameStream() = default;

asio::awaitable<Result<Incoming>> FrameStream::read(Duration deadline,
                                                    std::span<std::byte> body_buffer) {
  BodyPlace place = [body_buffer](std::uint32_t body_bytes) -> Result<std::span<std::byte>> {
    if (body_bytes <= body_buffer.size()) return body_buffer;
    return fail(errc::unexpected_message,
                "the peer sent a chunk of " + std::to_string(body_bytes) + " bytes; expected " +
                    (body_buffer.empty() ? "none at this point"
                                         : "at most " + std::to_string(body_buffer.size())));
  };
  return read(deadline, std::move(place));
}

asio::awaitable<Result<Incoming>> FrameStream::read(Duration deadline, BodyPlace place) {
  reader_.reset();
  unsupported_task_.reset();
  CHORUS_CO_OK(co_await fill(deadline, std::move(place)));
  bytes_read_ += wire::kHeaderBytes + reader_.message().size() + reader_.body().size();
  auto message = wire::decode(reader_.header().kind, reader_.message());
  if (!message) {
    if (message.error().code == errc::unsupported_feature) {
      if (auto task = wire::task_of_work(reader_.message())) unsupported_task_ = std::move(*task);
    }
    co_return std::move(message).error();
  }
  Incoming incoming{std::move(*message), reader_.body()};
  co_return std::move(incoming);
}

// Until reader_ is complete.
asio::awaitable<Result<void>> FrameStream::fill(Duration deadline, BodyPlace place) {
  stream_->read_expires_at(Clock::now() + deadline);
  auto header = reader_.want();
  const auto first = co_await stream_->read_some(header);
  if (!first) co_return in_time(first.error(), "no message came within ", deadline);
  stream_->read_expires_at(Clock::now() + limits::kChunkDeadline);
  auto want = header.subspan(*first);
  for (;;) {
    if (!want.empty()) {
      if (auto rest = co_await stream_->read_exactly(want); !rest) {
        co_return in_time(
            rest.error(), "a message that had begun was not complete within ", kFrameDeadline);
      }
    }
    CHORUS_CO_TRY(const Stage stage, reader_.filled());
    if (stage == Stage::complete) break;
    if (stage == Stage::body) {
      CHORUS_CO_TRY(const auto buffer, place(reader_.header().body_bytes));
      reader_.set_body_buffer(buffer);
    }
    want = reader_.want();
  }
  stream_->read_expires_at(Clock::time_point::max());
  co_return Result<void>();
}

asio::awaitable<Result<void>> FrameStream::write(wire::Message message,
                                                 std::span<const std::byte> body) {
  CHORUS_ASSERT(body.size() <= limits::kChunkBytesMax);
  CHORUS_CO_TRY(const auto head, wire::encode(message, static_cast<std::uint32_t>(body.size())));
  WriteTurn turn(*this);
  CHORUS_CO_OK(co_await turn.wait());
  if (write_broken_) {
    co_return fail(errc::connection_failed, "an earlier frame could not be written");
  }
  turn.begin();
  stream_->write_expires_at(Clock::now() + limits::kChunkDeadline);
  const Stream::Bytes first(head);
  CHORUS_CO_OK(co_await stream_->write_all(first, body));
  turn.complete();
  stream_->write_expires_at(Clock::time_point::max());
  bytes_written_ += head.size() + body.size();
  co_return Result<void>();
}

}  // namespace chorus::net
