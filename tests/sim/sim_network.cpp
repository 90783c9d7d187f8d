#include "tests/sim/sim_network.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/base/assert.hpp"
#include "common/base/try.hpp"

namespace chorus::sim {

namespace asio = boost::asio;

// ---- pipes ----

std::size_t Pipe::room() const noexcept {
  return kWindow - std::min(kWindow, in_flight_ + arrived.size());
}

void Pipe::send(std::span<const std::byte> bytes) {
  CHORUS_ASSERT(bytes.size() <= room());
  if (broken_ || gone_ || bytes.empty()) return;
  in_flight_ += bytes.size();
  const auto on_its_way =
      Micros(static_cast<std::int64_t>(static_cast<double>(bytes.size()) / shape_.bytes_per_micro));
  const Micros delay = between(rng_, shape_.delay_min, shape_.delay_max);
  last_arrival_ = std::max(last_arrival_, world_.now() + delay) + on_its_way;
  const auto left = std::chrono::duration_cast<Micros>(last_arrival_ - world_.now());
  world_.after(left, [self = shared_from_this(), part = std::vector(bytes.begin(), bytes.end())] {
    self->deliver({part, false});
  });
}

void Pipe::end() {
  if (broken_ || gone_) return;
  const Micros delay = between(rng_, shape_.delay_min, shape_.delay_max);
  last_arrival_ = std::max(last_arrival_, world_.now() + delay);
  const auto left = std::chrono::duration_cast<Micros>(last_arrival_ - world_.now());
  world_.after(left, [self = shared_from_this()] { self->deliver({{}, true}); });
}

void Pipe::reset() {
  if (broken_ || gone_) return;
  broken_ = true;
  waiting_.clear();
  const Micros delay = between(rng_, shape_.delay_min, shape_.delay_max);
  world_.after(delay, [self = shared_from_this()] {
    if (self->ended) return;
    self->ended = true;
    if (self->on_arrival) self->on_arrival();
  });
}

void Pipe::deliver(Segment segment) {
  if (broken_ || gone_) return;
  if (held_) {
    waiting_.push_back(std::move(segment));
    return;
  }
  world_.trace(segment.bytes.size() * 2 + (segment.last ? 1 : 0));
  in_flight_ -= segment.bytes.size();
  arrived.insert(arrived.end(), segment.bytes.begin(), segment.bytes.end());
  ended = ended || segment.last;
  if (on_arrival) on_arrival();
}

void Pipe::hold(bool held) {
  held_ = held;
  while (!held_ && !waiting_.empty()) {
    Segment next = std::move(waiting_.front());
    waiting_.pop_front();
    deliver(std::move(next));
  }
}

void Pipe::took(std::size_t bytes) {
  arrived.erase(arrived.begin(), arrived.begin() + static_cast<std::ptrdiff_t>(bytes));
  if (on_room) on_room();
}

// ---- the server's end ----

SimStream::SimStream(asio::any_io_executor executor,
                     std::shared_ptr<Connection> connection,
                     CertificateInfo certificate)
    : executor_(std::move(executor)),
      connection_(std::move(connection)),
      certificate_(std::move(certificate)),
      reading_(executor_),
      writing_(executor_) {
  connection_->up->on_arrival = [this] { reading_.timer.cancel(); };
  connection_->down->on_room = [this] { writing_.timer.cancel(); };
}

SimStream::~SimStream() {
  connection_->up->on_arrival = nullptr;
  connection_->down->on_room = nullptr;
  connection_->down->end();
}

void SimStream::fail_both(const Failure& why) {
  for (Side* side : {&reading_, &writing_}) {
    if (!side->failure) side->failure = why;
    side->timer.cancel();
  }
}

SimStream::Awaitable<void> SimStream::wait(Side& side) {
  const auto cancels = cancels_;
  side.timer.expires_at(side.deadline);
  co_await side.timer.async_wait(asio::as_tuple(asio::use_awaitable));
  const auto state = co_await asio::this_coro::cancellation_state;
  if (side.failure) co_return *side.failure;
  if (cancels_ != cancels || state.cancelled() != asio::cancellation_type::none) {
    co_return fail(errc::cancelled, "cancelled");
  }
  if (SteadyClock::now() >= side.deadline) {
    const Failure why = fail(errc::timed_out, "the deadline has passed");
    if (&side == &writing_) {
      fail_both(why);
    } else {
      side.failure = why;
    }
    co_return why;
  }
  co_return Result<void>();
}

SimStream::Awaitable<void> SimStream::handshake() {
  co_return Result<void>();
}

SimStream::Awaitable<std::size_t> SimStream::read_some(std::span<std::byte> into) {
  Pipe& from = *connection_->up;
  for (;;) {
    if (reading_.failure) co_return *reading_.failure;
    if (!from.arrived.empty()) break;
    if (from.ended) {
      reading_.failure = fail(errc::connection_failed, "the peer closed the connection");
      continue;
    }
    CHORUS_CO_OK(co_await wait(reading_));
  }
  const std::size_t bytes = std::min(into.size(), from.arrived.size());
  std::copy_n(from.arrived.begin(), bytes, into.begin());
  from.took(bytes);
  co_return bytes;
}

SimStream::Awaitable<void> SimStream::read_exactly(std::span<std::byte> into) {
  while (!into.empty()) {
    CHORUS_CO_TRY(const std::size_t bytes, co_await read_some(into));
    into = into.subspan(bytes);
  }
  co_return Result<void>();
}

SimStream::Awaitable<void> SimStream::write_all(Bytes head, Bytes body) {
  Pipe& to = *connection_->down;
  for (Bytes part : {head, body}) {
    while (!part.empty()) {
      if (writing_.failure) co_return *writing_.failure;
      if (to.ended) co_return fail(errc::connection_failed, "the connection broke off");
      const std::size_t bytes = std::min(part.size(), to.room());
      to.send(part.first(bytes));
      part = part.subspan(bytes);
      if (!part.empty()) CHORUS_CO_OK(co_await wait(writing_));
    }
  }
  co_return Result<void>();
}

SimStream::Awaitable<void> SimStream::shutdown() {
  connection_->down->end();
  fail_both(fail(errc::cancelled, "the connection was closed"));
  co_return Result<void>();
}

void SimStream::close() {
  connection_->down->end();
  fail_both(fail(errc::cancelled, "the connection was closed"));
}

void SimStream::cancel() {
  ++cancels_;
  reading_.timer.cancel();
  writing_.timer.cancel();
}

void SimStream::read_expires_at(Clock::time_point instant) {
  reading_.deadline = instant;
  reading_.timer.cancel();  // who waits looks again
}

void SimStream::write_expires_at(Clock::time_point instant) {
  writing_.deadline = instant;
  writing_.timer.cancel();
}

}  // namespace chorus::sim
