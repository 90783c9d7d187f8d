#include "common/net/tls_stream.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/socket.h>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/base/assert.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/net/tcp.hpp"
#include "common/net/timer.hpp"
#include "common/net/tls_engine.hpp"

namespace chorus::net {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

namespace {

using Clock = TlsStream::Clock;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kTurnBytes = 1U << 20U;        ///< moved by one stream before others may go
constexpr std::size_t kLingerBytesMax = 16U << 20U;  ///< thrown away while a peer is leaving
constexpr SteadyClock::time_point kNever = Clock::time_point::max();

enum Direction : std::size_t { reading = 0, writing = 1 };
enum class Kind { handshake, read_some, read_exactly, write, goodbye };

struct Operation {
  Kind kind;
  std::span<std::byte> into;
  TlsStream::Bytes head;
  TlsStream::Bytes body;
  std::size_t moved = 0;

  Direction direction() const noexcept {
    return kind == Kind::write || kind == Kind::goodbye ? writing : reading;
  }
};

/// One direction of a connection.
struct Side {
  Clock::time_point deadline = kNever;
  bool busy = false;     ///< an operation is in flight
  bool waiting = false;  ///< … and waits for the socket
  std::optional<Failure> failure;
};

/// The operation of a side ends.
class Release {
 public:
  explicit Release(Side& side) : side_(side) {}
  Release(const Release&) = delete;
  Release& operator=(const Release&) = delete;
  ~Release() { side_.busy = false; }

 private:
  Side& side_;
};

/// Throws away what has arrived. True if more may follow.
bool drain(int fd, std::size_t& budget) {
  std::array<std::byte, 16U << 10U> sink;
  while (budget > 0) {
    const ssize_t got = ::recv(fd, sink.data(), std::min(sink.size(), budget), 0);
    if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    if (got == 0) return false;
    budget -= static_cast<std::size_t>(got);
  }
  return false;
}

/// Of `co_await this_coro::cancellation_state`. Asked before each wait, which would throw.
bool is_cancelled(const asio::cancellation_state& state) {
  return state.cancelled() != asio::cancellation_type::none;
}

}  // namespace

/// Coroutines hold it by shared_ptr: it outlives the stream while an operation is in flight.
struct TlsStream::Connection : std::enable_shared_from_this<Connection> {
  using Self = std::shared_ptr<Connection>;

  Connection(tcp::socket connected, std::unique_ptr<TlsEngine> tls)
      : engine(std::move(tls)),
        socket(std::move(connected)),
        timer(socket.get_executor()),
        remote(peer_of(socket)) {}

  // Each operation is one of these loops: step, and wait for what the step needs.
  template <class T>
  static asio::awaitable<Result<T>> run(Self self, Operation op);
  static asio::awaitable<void> wait(Self self, Direction direction, Need need);
  static asio::awaitable<void> linger(Self self);
  static asio::awaitable<Result<void>> shutdown(Self self);

  Need step(Operation& op);
  Need move_on(Operation& op);
  std::optional<Failure> obstacle(Direction direction);
  Failure stop(const Operation& op);
  void fail_both(const Failure& why);
  void close(const Failure& why);

  void set_deadline(Direction direction, Clock::time_point instant);
  void arm(Clock::time_point instant);
  void on_timer();
  void expire(Direction direction);

  std::unique_ptr<TlsEngine> engine;
  tcp::socket socket;
  Timer timer;
  Clock::time_point armed_for = kNever;
  std::array<Side, 2> sides;
  std::uint64_t cancels = 0;  ///< calls of cancel()
  std::size_t turn_bytes = 0;
  std::array<std::uint64_t, 2> moved{};
  std::string remote;
};

Need TlsStream::Connection::move_on(Operation& op) {
  switch (op.kind) {
    case Kind::handshake:
      return engine->handshake();
    case Kind::read_some:
      return engine->read(op.into, op.moved, true);
    case Kind::read_exactly:
      return engine->read(op.into, op.moved, false);
    case Kind::write:
      return engine->write(op.head, op.body, op.moved);
    case Kind::goodbye:
      return engine->say_goodbye();
  }
  return Need::nothing;
}

Need TlsStream::Connection::step(Operation& op) {
  const std::size_t before = op.moved;
  const Need need = move_on(op);
  moved[op.direction()] += op.moved - before;
  turn_bytes += op.moved - before;
  if (need == Need::failure) {
    sides[op.direction()].failure = engine->failure();
    if (engine->failed_for_good() || op.kind == Kind::handshake) fail_both(engine->failure());
  }
  return need;
}

/// Why an operation in this direction cannot go on, if it cannot.
std::optional<Failure> TlsStream::Connection::obstacle(Direction direction) {
  Side& side = sides[direction];
  if (!side.failure && side.deadline != kNever && Clock::now() >= side.deadline) expire(direction);
  return side.failure;
}

/// The operation was cancelled. What it leaves half done, nothing can go on from.
Failure TlsStream::Connection::stop(const Operation& op) {
  const bool torn = op.kind != Kind::read_some && (op.kind != Kind::read_exactly || op.moved > 0);
  if (torn) {
    Failure later =
        fail(errc::connection_failed, "an earlier operation on this connection was cancelled");
    if (op.kind == Kind::handshake) {
      fail_both(later);
    } else {
      sides[op.direction()].failure = std::move(later);
    }
  }
  return fail(errc::cancelled, "an operation on a connection was cancelled");
}

void TlsStream::Connection::fail_both(const Failure& why) {
  for (Side& side : sides) {
    if (!side.failure) side.failure = why;
  }
}

void TlsStream::Connection::close(const Failure& why) {
  fail_both(why);
  engine->forget_socket();
  timer.cancel();
  error_code ignored;
  socket.close(ignored);
}

// ---- deadlines ----

void TlsStream::Connection::set_deadline(Direction direction, Clock::time_point instant) {
  sides[direction].deadline = instant;
  if (sides[direction].waiting) arm(instant);
}

/// One timer serves both directions. It is moved only to an earlier time; when it fires too early
/// for the deadlines as they then are, it is set again. So moving a deadline on costs nothing.
void TlsStream::Connection::arm(Clock::time_point instant) {
  if (instant >= armed_for) return;
  armed_for = instant;
  timer.expires_at(instant);
  timer.async_wait([weak = weak_from_this()](const error_code& error) {
    const auto self = weak.lock();
    if (!error && self != nullptr) self->on_timer();
  });
}

void TlsStream::Connection::on_timer() {
  armed_for = kNever;
  const auto now = Clock::now();
  for (const Direction direction : {reading, writing}) {
    const Side& side = sides[direction];
    if (!side.waiting || side.deadline == kNever) continue;
    if (side.deadline <= now) {
      expire(direction);
    } else {
      arm(side.deadline);
    }
  }
}

void TlsStream::Connection::expire(Direction direction) {
  const char* detail = "the peer did not take what it was sent within the deadline";
  if (direction == reading) detail = "the peer did not send what was due within the deadline";
  if (!engine->handshaken()) detail = "the TLS handshake was not finished within its deadline";
  if (direction == writing || !engine->handshaken()) return close(fail(errc::timed_out, detail));
  // Only listening is over: the peer can still be told so.
  if (!sides[reading].failure) sides[reading].failure = fail(errc::timed_out, detail);
  error_code ignored;
  socket.cancel(ignored);  // whoever waits looks for itself
}

// ---- waiting ----

asio::awaitable<void> TlsStream::Connection::wait(Self self, Direction direction, Need need) {
  Side& side = self->sides[direction];
  side.waiting = true;
  self->arm(side.deadline);
  self->turn_bytes = 0;
  const auto type = need == Need::readable ? tcp::socket::wait_read : tcp::socket::wait_write;
  // Its outcome is not needed: whatever ended the wait, the operation looks for itself.
  co_await self->socket.async_wait(type, kTuple);
  side.waiting = false;
}

template <class T>
asio::awaitable<Result<T>> TlsStream::Connection::run(Self self, Operation op) {
  Side& side = self->sides[op.direction()];
  if (side.failure) co_return *side.failure;
  CHORUS_ASSERT(!side.busy);
  side.busy = true;
  const Release release(side);
  const auto cancels = self->cancels;
  for (;;) {
    if (auto failure = self->obstacle(op.direction())) co_return std::move(*failure);
    const Need need = self->step(op);
    if (need == Need::failure) {
      if (op.kind == Kind::handshake && !is_cancelled(co_await asio::this_coro::cancellation_state))
        co_await linger(self);
      // A peer who has refused us waits for this.
      if (self->engine->failed_for_good()) self->close(*side.failure);
      co_return *side.failure;
    }
    const bool give_way = need == Need::turn || self->turn_bytes >= kTurnBytes;
    if (need == Need::nothing && !give_way) break;
    if (self->cancels != cancels || is_cancelled(co_await asio::this_coro::cancellation_state))
      co_return self->stop(op);
    if (give_way) {
      self->turn_bytes = 0;
      co_await asio::post(self->socket.get_executor(), asio::use_awaitable);
      if (need == Need::nothing) break;
    } else {
      co_await wait(self, op.direction(), need);
    }
    if (!side.failure &&
        (self->cancels != cancels || is_cancelled(co_await asio::this_coro::cancellation_state))) {
      co_return self->stop(op);
    }
  }
  if constexpr (std::is_void_v<T>) {
    co_return Result<void>();
  } else {
    co_return op.moved;
  }
}

/// Closing a socket over unread data resets the connection and takes back what the peer has not
/// read yet, for instance why it was refused. So: no more sending, and wait until the peer closes.
asio::awaitable<void> TlsStream::Connection::linger(Self self) {
  if (!self->engine->peer_may_listen() || !self->socket.is_open()) co_return;
  Side& side = self->sides[reading];
  side.deadline = std::min(side.deadline, Clock::now() + limits::kRefusalLinger);
  const int fd = self->socket.native_handle();
  ::shutdown(fd, SHUT_WR);
  const auto cancels = self->cancels;
  std::size_t budget = kLingerBytesMax;
  while (self->socket.is_open() && drain(fd, budget)) {
    if (self->cancels != cancels || is_cancelled(co_await asio::this_coro::cancellation_state))
      break;
    co_await wait(self, reading, Need::readable);
    if (Clock::now() >= side.deadline) break;
  }
  self->close(fail(errc::cancelled, "the connection was closed"));
}

asio::awaitable<Result<void>> TlsStream::Connection::shutdown(Self self) {
  Operation goodbye{.kind = Kind::goodbye, .into = {}, .head = {}, .body = {}};
  auto said = co_await run<void>(self, goodbye);
  const bool cancelled = is_cancelled(co_await asio::this_coro::cancellation_state);
  if (!cancelled && said) co_await linger(self);
  self->close(fail(errc::cancelled, "the connection was closed"));
  co_return said;
}

// ---- TlsStream ----

TlsStream::TlsStream(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}
TlsStream::TlsStream(TlsStream&&) noexcept = default;

TlsStream& TlsStream::operator=(TlsStream&& other) noexcept {
  if (this != &other && connection_ != nullptr) close();
  connection_ = std::move(other.connection_);
  return *this;
}

TlsStream::~TlsStream() {
  if (connection_ != nullptr) close();
}

Result<TlsStream> TlsStream::create(tcp::socket socket,
                                    std::shared_ptr<const TlsContext> context,
                                    const std::string& server_name) {
  error_code error;
  socket.native_non_blocking(true, error);
  if (error) {
    return fail(errc::connection_failed, "preparing a connection: " + error.message());
  }
  CHORUS_TRY(auto engine,
             TlsEngine::create(socket.native_handle(), std::move(context), server_name));
  return TlsStream(std::make_shared<Connection>(std::move(socket), std::move(engine)));
}

Stream::Awaitable<void> TlsStream::handshake() {
  Operation op{.kind = Kind::handshake, .into = {}, .head = {}, .body = {}};
  return Connection::run<void>(connection_, op);
}

Stream::Awaitable<std::size_t> TlsStream::read_some(std::span<std::byte> into) {
  CHORUS_ASSERT(!into.empty());
  Operation op{.kind = Kind::read_some, .into = into, .head = {}, .body = {}};
  return Connection::run<std::size_t>(connection_, op);
}

Stream::Awaitable<void> TlsStream::read_exactly(std::span<std::byte> into) {
  Operation op{.kind = Kind::read_exactly, .into = into, .head = {}, .body = {}};
  return Connection::run<void>(connection_, op);
}

Stream::Awaitable<void> TlsStream::write_all(Bytes head, Bytes body) {
  Operation op{.kind = Kind::write, .into = {}, .head = head, .body = body};
  return Connection::run<void>(connection_, op);
}

Stream::Awaitable<void> TlsStream::shutdown() {
  return Connection::shutdown(connection_);
}

void TlsStream::close() {
  connection_->close(fail(errc::cancelled, "the connection was closed"));
}

void TlsStream::cancel() {
  ++connection_->cancels;
  error_code ignored;
  connection_->socket.cancel(ignored);
}

void TlsStream::read_expires_at(Clock::time_point instant) {
  connection_->set_deadline(reading, instant);
}

void TlsStream::write_expires_at(Clock::time_point instant) {
  connection_->set_deadline(writing, instant);
}

const std::optional<CertificateInfo>& TlsStream::peer_certificate() const noexcept {
  return connection_->engine->peer();
}

const std::string& TlsStream::remote() const noexcept {
  return connection_->remote;
}

asio::any_io_executor TlsStream::get_executor() const {
  return connection_->socket.get_executor();
}

bool TlsStream::is_open() const noexcept {
  return connection_->socket.is_open();
}

std::size_t TlsStream::pending() const noexcept {
  return connection_->engine->pending();
}

std::uint64_t TlsStream::received() const noexcept {
  return connection_->moved[reading];
}

std::uint64_t TlsStream::sent() const noexcept {
  return connection_->moved[writing];
}

Result<void> TlsStream::update_key(bool peer_too) {
  return connection_->engine->update_key(peer_too);
}

}  // namespace chorus::net
