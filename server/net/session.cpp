#include "server/net/session.hpp"

#include <utility>

#include <boost/asio/post.hpp>

#include "common/base/limits.hpp"
#include "common/base/log.hpp"
#include "common/base/try.hpp"
#include "common/crypto/digest.hpp"
#include "common/net/async.hpp"
#include "server/driver/audit_log.hpp"

namespace chorus::server {

namespace asio = boost::asio;

namespace {

constexpr const char* kSoftware = "chorusd " CHORUS_VERSION;

/// Where a frame may not have a body.
constexpr std::span<std::byte> kNoBody;

Failure unexpected(wire::FrameKind kind, const std::string& where) {
  return fail(errc::unexpected_message,
              "a '" + std::string(wire::name_of(kind)) + "' message does not belong " + where);
}

/// Names what a missed deadline was for.
Failure awaiting(const char* what, Failure why) {
  if (why.code != errc::timed_out) return why;
  return std::move(why).during(std::string("waiting for ") + what);
}

/// Ends of a connection that are nobody's fault and nothing to audit.
bool ordinary(errc code) {
  return code == errc::connection_failed || code == errc::cancelled ||
         code == errc::shutting_down || code == errc::timed_out;
}

}  // namespace

Session::Session(SessionServices& services,
                 asio::any_io_executor executor,
                 std::unique_ptr<net::Stream> stream,
                 std::uint64_t serial)
    : services_(services),
      executor_(std::move(executor)),
      frames_(std::move(stream)),
      remote_(frames_.stream().remote()) {
  key_.serial = serial;
}

std::string Session::who() const {
  return peer_.name.empty() ? remote_ : peer_.name;
}

// For the reader before each step: when close() comes while it is not reading, cancelling wakes
// nobody.
Result<void> Session::still_open() const {
  if (closed_because_) return *closed_because_;
  return {};
}

// ---- the connection's life ----

asio::awaitable<void> Session::run() {
  const auto self = shared_from_this();
  frames_.stream().expires_after(limits::kHandshakeDeadline);
  const auto shaken = co_await frames_.stream().handshake();
  if (!shaken) {
    services_.context->audit->add(remote_, "handshake_refused", shaken.error().to_string());
    co_return;
  }
  const auto served = co_await serve();
  if (peer_.role == Role::device) {
    auto leave = [this] { services_.board->disconnected(key_); };
    (void)co_await net::run_on(services_.context->control, std::move(leave));
  }
  if (!served) co_await report_end(closed_because_ ? *closed_because_ : served.error());
  frames_.stream().close();
}

// Tells the peer why, unless the connection itself is what failed.
asio::awaitable<void> Session::report_end(const Failure& why) {
  spdlog::debug("session of {} ends: {}", who(), why.to_string());
  if (closing_) {
    if (!closed_because_) co_return;  // the connection broke while close_now() was telling the peer
    frames_.stream().expires_after(limits::kHelloDeadline);
    (void)co_await frames_.stream().shutdown();
    co_return;
  }
  if (!ordinary(why.code)) {
    services_.context->audit->add(who(), "session_refused", why.to_string());
  }
  if (why.code == errc::timed_out) {
    spdlog::info("session of {}: {}", who(), why.to_string());
  }
  if (why.code == errc::connection_failed || why.code == errc::cancelled) co_return;
  closing_ = true;  // nothing else is sent
  wire::Message message(wire::Error{why.code, why.detail, Duration{}, true});
  frames_.stream().expires_after(limits::kHelloDeadline);
  // A peer that was silent may not be reading either.
  const bool silent = why.code == errc::timed_out;
  auto writing = frames_.write(std::move(message));
  const auto written = co_await net::with_deadline(
      std::move(writing), silent ? limits::kRefusalLinger : limits::kHelloDeadline);
  if (written) (void)co_await frames_.stream().shutdown();
}

Session::Async<void> Session::serve() {
  CHORUS_CO_TRY(wire::Hello hello, co_await greet());
  if (peer_.role == Role::device) co_return co_await serve_device(std::move(hello));
  if (peer_.is_admin()) co_return co_await serve_admin();
  co_return co_await serve_enrollment();
}

Session::Async<wire::Hello> Session::greet() {
  CHORUS_CO_TRY(peer_, services_.access->admit(frames_.stream().peer_certificate()));
  key_.client = ClientId{peer_.name};
  auto first = co_await frames_.read(limits::kHelloDeadline, kNoBody);
  if (!first) co_return awaiting("hello", std::move(first).error());
  auto* hello = std::get_if<wire::Hello>(&first->message);
  if (hello == nullptr) {
    co_return unexpected(wire::kind_of(first->message), "first; a connection begins with hello");
  }
  if (hello->protocol_min > wire::kProtocolMax || hello->protocol_max < wire::kProtocolMin) {
    co_return fail(errc::unsupported_version,
                   "the peer speaks protocol " + std::to_string(hello->protocol_min) + " to " +
                       std::to_string(hello->protocol_max) + ", this server " +
                       std::to_string(wire::kProtocolMin) + " to " +
                       std::to_string(wire::kProtocolMax));
  }
  wire::Welcome welcome;
  welcome.software = kSoftware;
  welcome.name = peer_.name;
  welcome.heartbeat = services_.heartbeat;
  wire::Message reply(std::move(welcome));
  wire::Hello greeting = std::move(*hello);
  CHORUS_CO_OK(co_await frames_.write(std::move(reply)));
  co_return greeting;
}

Session::Async<bool> Session::answer_common(const wire::Message& message) {
  if (const auto* ping = std::get_if<wire::Ping>(&message)) {
    wire::Message pong(wire::Pong{ping->number});
    CHORUS_CO_OK(co_await frames_.write(std::move(pong)));
    co_return true;
  }
  co_return std::holds_alternative<wire::Pong>(message);
}

// ---- devices ----

Session::Async<void> Session::serve_device(wire::Hello hello) {
  auto join = [this, &hello] {
    services_.board->connected(key_, shared_from_this(), std::move(hello.jobs));
  };
  CHORUS_CO_OK(co_await net::run_on(services_.context->control, std::move(join)));
  auto touch = [context = services_.context, client = key_.client] {
    if (auto seen = context->ledger->touch(client, context->now()); !seen) {
      spdlog::warn("device {}: {}", client.value, seen.error().to_string());
    }
  };
  asio::post(services_.context->store, std::move(touch));
  Next next;
  for (;;) {
    CHORUS_CO_OK(still_open());
    if (!next) {
      auto incoming = co_await frames_.read(services_.idle_deadline, kNoBody);
      if (!incoming) co_return awaiting("the device's next message", std::move(incoming).error());
      next = std::move(incoming->message);
    }
    if (std::holds_alternative<wire::Goodbye>(*next)) co_return Result<void>();
    wire::Message message = std::move(*next);
    CHORUS_CO_TRY(next, co_await handle_device(std::move(message)));
  }
}

Session::Async<Session::Next> Session::handle_device(wire::Message message) {
  CHORUS_CO_TRY(const bool answered, co_await answer_common(message));
  if (answered) co_return Next{};
  if (std::holds_alternative<wire::Ready>(message)) {
    if (assignment_) assignment_->basis.reset();  // it may be large; the task is over
    auto ready = [this] { services_.board->ready(key_); };
    CHORUS_CO_OK(co_await net::run_on(services_.context->control, std::move(ready)));
    co_return Next{};
  }
  if (auto* fetch = std::get_if<wire::Fetch>(&message)) {
    auto download = co_await download_for(*fetch);
    if (!download && download.error().code == errc::task_closed) {
      CHORUS_CO_OK(co_await refuse_request(std::move(download).error()));
      co_return Next{};
    }
    if (!download) co_return std::move(download).error();
    CHORUS_CO_OK(co_await send_download(*fetch, std::move(*download)));
    co_return Next{};
  }
  if (auto* offer = std::get_if<wire::Offer>(&message)) {
    auto after = co_await handle_offer(std::move(*offer));
    if (!after) co_return awaiting("the rest of an update", std::move(after).error());
    co_return after;
  }
  if (auto* decline = std::get_if<wire::Decline>(&message)) {
    auto tell = [this, decline] { services_.board->declined(key_, *decline); };
    CHORUS_CO_OK(co_await net::run_on(services_.context->control, std::move(tell)));
    co_return Next{};
  }
  if (auto* renew = std::get_if<wire::Renew>(&message)) {
    auto enrolled = co_await services_.enrollment->renew(std::move(*renew), key_.client);
    if (!enrolled && enrolled.error().code != errc::revoked) {
      // Its certificate is still good: no reason to send it away.
      services_.context->audit->add(who(), "renewal_refused", enrolled.error().to_string());
      CHORUS_CO_OK(co_await refuse_request(std::move(enrolled).error()));
      co_return Next{};
    }
    if (!enrolled) co_return std::move(enrolled).error();
    wire::Message reply(std::move(*enrolled));
    CHORUS_CO_OK(co_await frames_.write(std::move(reply)));
    co_return Next{};
  }
  co_return unexpected(wire::kind_of(message), "here in a device's conversation");
}

// ---- administrators and newcomers ----

Session::Async<void> Session::serve_admin() {
  for (;;) {
    CHORUS_CO_OK(still_open());
    auto incoming = co_await frames_.read(services_.idle_deadline, kNoBody);
    if (!incoming) co_return awaiting("the next request", std::move(incoming).error());
    if (std::holds_alternative<wire::Goodbye>(incoming->message)) co_return Result<void>();
    CHORUS_CO_OK(co_await handle_admin(std::move(incoming->message)));
  }
}

Session::Async<void> Session::handle_admin(wire::Message message) {
  CHORUS_CO_TRY(const bool answered, co_await answer_common(message));
  if (answered) co_return Result<void>();
  if (auto* fetch = std::get_if<wire::Fetch>(&message)) {
    CHORUS_CO_TRY(auto download, co_await download_for(*fetch));
    co_return co_await send_download(*fetch, std::move(download));
  }
  auto* request = std::get_if<wire::AdminRequest>(&message);
  if (request == nullptr) {
    co_return unexpected(wire::kind_of(message), "here in an administrator's conversation");
  }
  auto follows = services_.admin->body_bytes(peer_, request->bytes);
  if (!follows) co_return co_await refuse_request(std::move(follows).error());
  std::shared_ptr<const InitialParameters> body;
  if (*follows > 0) {
    CHORUS_CO_TRY(body, co_await receive_parameters(*follows));
  }
  auto reply = co_await services_.admin->handle(peer_, std::move(request->bytes), std::move(body));
  if (!reply) co_return co_await refuse_request(std::move(reply).error());
  wire::Message answer(wire::AdminReply{std::move(*reply)});
  co_return co_await frames_.write(std::move(answer));
}

Session::Async<void> Session::refuse_request(Failure why) {
  wire::Message answer(wire::Error{why.code, std::move(why.detail), Duration{}, false});
  co_return co_await frames_.write(std::move(answer));
}

Session::Async<void> Session::serve_enrollment() {
  auto incoming = co_await frames_.read(limits::kHelloDeadline, kNoBody);
  if (!incoming) co_return awaiting("a request to enrol", std::move(incoming).error());
  auto* request = std::get_if<wire::Enroll>(&incoming->message);
  if (request == nullptr) {
    co_return fail(errc::unauthenticated,
                   "a connection without certificate may only enrol: use a join token, see "
                   "'chorus-agent enroll --help'");
  }
  CHORUS_CO_TRY(auto enrolled, co_await services_.enrollment->enroll(std::move(*request), remote_));
  wire::Message reply(std::move(enrolled));
  CHORUS_CO_OK(co_await frames_.write(std::move(reply)));
  co_return co_await frames_.stream().shutdown();
}

// ---- what others ask of the session ----

void Session::send(wire::Message message) {
  auto deliver = [self = shared_from_this(), message = std::move(message)]() mutable {
    if (self->closing_) return;
    if (++self->queued_ > limits::kOutboxMax) {
      self->closed_because_ = fail(errc::timed_out, "the peer does not read what it is sent");
      self->frames_.stream().cancel();
      return;
    }
    Session& session = *self;
    auto write = [](std::shared_ptr<Session> owner, wire::Message text) -> asio::awaitable<void> {
      co_await owner->write_queued(std::move(text));
    };
    net::spawn(session.executor_, write(std::move(self), std::move(message)), "writing to a peer");
  };
  asio::post(executor_, std::move(deliver));
}

asio::awaitable<void> Session::write_queued(wire::Message message) {
  const auto written = co_await frames_.write(std::move(message));
  --queued_;
  if (!written) frames_.stream().cancel();  // the reader ends the session
}

void Session::assign(Assignment assignment) {
  auto deliver = [self = shared_from_this(), assignment = std::move(assignment)]() mutable {
    self->assignment_ = std::move(assignment);
    self->send(self->assignment_->work);
  };
  asio::post(executor_, std::move(deliver));
}

void Session::close(Failure why) {
  auto deliver = [self = shared_from_this(), why = std::move(why)]() mutable {
    if (std::exchange(self->closing_, true)) return;
    Session& session = *self;
    auto end = [](std::shared_ptr<Session> owner, Failure reason) -> asio::awaitable<void> {
      co_await owner->close_now(std::move(reason));
    };
    net::spawn(session.executor_, end(std::move(self), std::move(why)), "closing a session");
  };
  asio::post(executor_, std::move(deliver));
}

asio::awaitable<void> Session::close_now(Failure why) {
  wire::Message message;
  if (why.code == errc::shutting_down) {
    message = wire::Goodbye{why.detail, std::chrono::seconds(2)};
  } else {
    wire::Error error;
    error.code = why.code;
    error.detail = why.detail;
    error.fatal = true;
    message = std::move(error);
  }
  frames_.stream().expires_after(limits::kHelloDeadline);
  (void)co_await frames_.write(std::move(message));
  closed_because_ = std::move(why);
  frames_.stream().cancel();  // the reader sees it and ends the session
}

}  // namespace chorus::server
