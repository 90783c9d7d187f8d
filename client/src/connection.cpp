#include "client/src/connection.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/base/limits.hpp"
#include "common/base/log.hpp"
#include "common/base/try.hpp"
#include "common/net/async.hpp"
#include "common/net/tls_stream.hpp"

namespace chorus::client {

namespace asio = boost::asio;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
// Time for the last words of a connection, in either direction.
constexpr auto kLastWords = std::chrono::seconds(2);

}  // namespace

Connection::Connection(asio::any_io_executor executor, ConnectionOwner* owner)
    : executor_(std::move(executor)),
      owner_(owner),
      change_(executor_, SteadyClock::time_point::max()),
      linger_(executor_) {}

void Connection::start(Target target) {
  auto ended = [](const std::exception_ptr& thrown) {
    if (thrown == nullptr) return;
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& error) {
      spdlog::debug("connection ended: {}", error.what());
    }
  };
  asio::co_spawn(executor_,
                 run(shared_from_this(), std::move(target)),
                 asio::bind_cancellation_slot(stop_connecting_.slot(), std::move(ended)));
}

void Connection::send(wire::Message message) {
  outbox_.push_back(std::move(message));
  changed();
}

void Connection::send_body(Body body, std::uint64_t offset) {
  body_ = std::move(body);
  body_offset_ = offset;
  ++body_number_;
  changed();
}

void Connection::stop_body() {
  body_.reset();
}

void Connection::close() {
  if (owner_ == nullptr) return;
  owner_ = nullptr;
  body_.reset();
  if (frames_ == nullptr) {
    stop_connecting_.emit(asio::cancellation_type::terminal);
    return;
  }
  linger_.expires_after(kLastWords);
  linger_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error) self->frames_->stream().close();
  });
  changed();
}

void Connection::changed() {
  change_.cancel();
}

Connection::Awaitable<void> Connection::wait_for_change() {
  co_await change_.async_wait(kTuple);
}

// ---- connecting and reading ----

Connection::Awaitable<void> Connection::run(std::shared_ptr<Connection> self, Target target) {
  std::optional<Failure> why;
  try {
    auto opened = co_await self->open(std::move(target));
    if (!opened) {
      why = std::move(opened).error();
    } else if (self->owner_ != nullptr) {
      net::spawn(self->executor_, write_loop(self), "connection writer");
      self->owner_->on_connected();
      why = co_await self->read_loop();
    }
  } catch (const std::exception& error) {
    why = fail(errc::internal, std::string("connection: ") + error.what());
  }
  self->reader_ended_ = true;
  self->changed();
  if (self->owner_ == nullptr) co_return;
  if (self->write_failure_) why = self->write_failure_;
  if (self->frames_) self->frames_->stream().close();
  auto* const owner = std::exchange(self->owner_, nullptr);
  owner->on_lost(why ? std::move(*why) : fail(errc::connection_failed, "the connection ended"));
}

Connection::Awaitable<Result<void>> Connection::open(Target target) {
  const std::string host = target.address.host;
  CHORUS_CO_TRY(auto socket,
                co_await net::connect(std::move(target.address), limits::kConnectDeadline));
  CHORUS_CO_TRY(auto stream,
                net::TlsStream::create(std::move(socket), std::move(target.context), host));
  stream.expires_after(limits::kHandshakeDeadline);
  CHORUS_CO_OK(co_await stream.handshake());
  stream.expires_never();
  frames_ = std::make_unique<net::FrameStream>(std::make_unique<net::TlsStream>(std::move(stream)));
  co_return Result<void>();
}

Connection::Awaitable<Failure> Connection::read_loop() {
  // How long a server may be silent is the session machine's decision.
  constexpr auto kPatience = std::chrono::duration_cast<Duration>(limits::kSpanMax);
  while (owner_ != nullptr) {
    net::BodyPlace place = [this](std::uint32_t body_bytes) -> Result<std::span<std::byte>> {
      if (owner_ == nullptr) return fail(errc::cancelled, "the connection is being closed");
      return owner_->place_of_body(body_bytes);
    };
    auto incoming = co_await frames_->read(kPatience, std::move(place));
    if (owner_ == nullptr) break;
    if (incoming) {
      const auto body_bytes = static_cast<std::uint32_t>(incoming->body.size());
      owner_->on_message(std::move(incoming->message), body_bytes);
    } else if (const auto task = frames_->unsupported_task()) {
      owner_->on_not_understood(*task, std::move(incoming).error());
    } else {
      co_return std::move(incoming).error();
    }
  }
  co_return fail(errc::cancelled, "the connection is being closed");
}

// ---- writing ----

Connection::Awaitable<void> Connection::write_loop(std::shared_ptr<Connection> self) {
  while (!self->reader_ended_) {
    if (!self->has_output()) {
      if (self->owner_ == nullptr) break;
      co_await self->wait_for_change();
      continue;
    }
    if (auto written = co_await self->write_next(); !written) {
      self->write_failure_ = std::move(written).error();
      // The server may have said why before it closed: give the reader a moment to find it.
      self->frames_->stream().read_expires_at(SteadyClock::now() + kLastWords);
      break;
    }
  }
  co_await self->finish();
}

Connection::Awaitable<Result<void>> Connection::write_next() {
  if (!outbox_.empty()) {
    wire::Message message = std::move(outbox_.front());
    outbox_.pop_front();
    co_return co_await frames_->write(std::move(message));
  }
  const Body body = *body_;  // also keeps the bytes while they are being written
  const std::uint64_t offset = body_offset_;
  const std::uint64_t number = body_number_;
  const std::size_t bytes =
      std::min<std::size_t>(body.bytes.size() - offset, limits::kChunkBytesMax);
  if (bytes > 0) {
    wire::Message chunk{wire::Chunk{offset}};
    const auto part = body.bytes.subspan(offset, bytes);
    CHORUS_CO_OK(co_await frames_->write(std::move(chunk), part));
  }
  // Stopped, or begun anew, in the meantime?
  if (!body_ || body_number_ != number) co_return Result<void>();
  body_offset_ = offset + bytes;
  if (body_offset_ == body.bytes.size()) body_.reset();
  if (owner_ != nullptr) owner_->on_body_progress(offset + bytes);
  co_return Result<void>();
}

// After close(): the reader is sent away, then the stream ends in good order.
Connection::Awaitable<void> Connection::finish() {
  if (owner_ != nullptr || write_failure_) co_return;
  frames_->stream().cancel();
  while (!reader_ended_) co_await wait_for_change();
  static_cast<void>(co_await frames_->stream().shutdown());
  linger_.cancel();
}

}  // namespace chorus::client
