// The AdminLink over TLS.
#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "admin/admin_link.hpp"
#include "chorus/v1/admin.pb.h"
#include "common/base/address.hpp"
#include "common/base/files.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/net/frame_stream.hpp"
#include "common/net/tcp.hpp"
#include "common/net/tls_stream.hpp"

namespace chorus::admin {
namespace {

namespace asio = boost::asio;
using net::FrameStream;
using net::Incoming;
using namespace std::chrono_literals;
template <class T>
using Awaitable = asio::awaitable<Result<T>>;

constexpr std::size_t kPemBytesMax = 64U << 10U;
constexpr Duration kReplyDeadline = 30s;

template <class T>
asio::awaitable<void> keep(Awaitable<T> conversation, std::optional<Result<T>>& outcome) {
  outcome.emplace(co_await std::move(conversation));
}

// Runs one conversation to its end on this thread, and not the stream's timers after it.
template <class T>
Result<T> block_on(asio::io_context& context, Awaitable<T> conversation) {
  std::optional<Result<T>> outcome;
  std::string thrown = "the conversation ended without a result";
  const auto finished = [&thrown, &context](const std::exception_ptr& error) {
    context.stop();
    try {
      if (error != nullptr) std::rethrow_exception(error);
    } catch (const std::exception& what) {
      thrown = what.what();
    }
  };
  asio::co_spawn(context, keep(std::move(conversation), outcome), finished);
  context.restart();
  context.run();
  if (!outcome) return fail(errc::internal, thrown);
  return std::move(*outcome);
}

Failure unexpected(const wire::Message& message, std::string_view wanted) {
  if (const auto* error = std::get_if<wire::Error>(&message)) {
    return fail(error->code, error->detail);
  }
  if (const auto* goodbye = std::get_if<wire::Goodbye>(&message)) {
    return fail(errc::shutting_down, "the server said goodbye: " + goodbye->why);
  }
  return fail(errc::unexpected_message,
              "the server sent " + std::string(wire::name_of(wire::kind_of(message))) + " where " +
                  std::string(wanted) + " was expected");
}

// The next frame that is not a ping (which is answered).
Awaitable<Incoming> next_frame(FrameStream& stream, Duration deadline, std::span<std::byte> body) {
  while (true) {
    CHORUS_CO_TRY(auto incoming, co_await stream.read(deadline, body));
    const auto* ping = std::get_if<wire::Ping>(&incoming.message);
    if (ping == nullptr) co_return incoming;
    wire::Message pong = wire::Pong{ping->number};
    CHORUS_CO_OK(co_await stream.write(std::move(pong)));
  }
}

Awaitable<std::string> exchange(FrameStream& stream, std::string request, Duration deadline) {
  wire::Message message = wire::AdminRequest{std::move(request)};
  CHORUS_CO_OK(co_await stream.write(std::move(message)));
  CHORUS_CO_TRY(auto incoming, co_await next_frame(stream, deadline, {}));
  auto* reply = std::get_if<wire::AdminReply>(&incoming.message);
  if (reply == nullptr) co_return unexpected(incoming.message, "an answer");
  co_return std::move(reply->bytes);
}

// The answer may come before all is sent: then it says why the rest is not wanted.
Awaitable<std::string> send_with(FrameStream& stream,
                                 std::string request,
                                 std::span<const std::byte> body) {
  wire::Message message = wire::AdminRequest{std::move(request)};
  CHORUS_CO_OK(co_await stream.write(std::move(message)));
  Result<void> sent;
  for (std::uint64_t at = 0; at < body.size() && sent;) {
    const auto part = body.subspan(at, std::min(body.size() - at, limits::kChunkBytesMax));
    wire::Message chunk = wire::Chunk{at};
    sent = co_await stream.write(std::move(chunk), part);
    at += part.size();
  }
  auto incoming = co_await next_frame(stream, kReplyDeadline, {});
  if (!incoming) co_return sent ? std::move(incoming).error() : std::move(sent).error();
  auto* reply = std::get_if<wire::AdminReply>(&incoming->message);
  if (reply == nullptr) co_return unexpected(incoming->message, "an answer");
  co_return std::move(reply->bytes);
}

Awaitable<void> download(FrameStream& stream,
                         Sha256 version,
                         std::uint64_t bytes,
                         const AdminLink::Sink& sink) {
  std::vector<std::byte> body(limits::kChunkBytesMax);
  wire::Message message = wire::Fetch{version, 0};
  CHORUS_CO_OK(co_await stream.write(std::move(message)));
  for (std::uint64_t done = 0; done < bytes;) {
    CHORUS_CO_TRY(auto incoming, co_await next_frame(stream, kReplyDeadline, body));
    const auto* chunk = std::get_if<wire::Chunk>(&incoming.message);
    if (chunk == nullptr) co_return unexpected(incoming.message, "a piece of the model");
    if (chunk->offset != done || incoming.body.empty() || incoming.body.size() > bytes - done) {
      co_return fail(errc::unexpected_message,
                     "the server sent a piece of the model that does not follow the last one");
    }
    CHORUS_CO_OK(sink(incoming.body));
    done += incoming.body.size();
  }
  co_return Result<void>();
}

Awaitable<std::unique_ptr<FrameStream>> greet(Address address,
                                              std::shared_ptr<const net::TlsContext> tls) {
  CHORUS_CO_TRY(auto socket, co_await net::connect(address, limits::kConnectDeadline));
  CHORUS_CO_TRY(auto opened,
                net::TlsStream::create(std::move(socket), std::move(tls), address.host));
  opened.expires_after(limits::kHandshakeDeadline);
  CHORUS_CO_OK(co_await opened.handshake());
  opened.expires_never();
  auto stream = std::make_unique<FrameStream>(std::make_unique<net::TlsStream>(std::move(opened)));
  wire::Hello hello;
  hello.software = "chorus " CHORUS_VERSION;
  wire::Message message = std::move(hello);
  CHORUS_CO_OK(co_await stream->write(std::move(message)));
  CHORUS_CO_TRY(auto incoming, co_await next_frame(*stream, limits::kHelloDeadline, {}));
  if (!std::holds_alternative<wire::Welcome>(incoming.message)) {
    co_return unexpected(incoming.message, "a welcome");
  }
  co_return std::move(stream);
}

class TlsAdminLink final : public AdminLink {
 public:
  TlsAdminLink(std::unique_ptr<asio::io_context> context, std::unique_ptr<FrameStream> stream)
      : context_(std::move(context)), stream_(std::move(stream)) {}

  Result<v1::AdminReply> call(const v1::AdminRequest& request, Duration wait) override {
    auto conversation = exchange(*stream_, request.SerializeAsString(), kReplyDeadline + wait);
    return parsed(block_on(*context_, std::move(conversation)));
  }

  Result<v1::AdminReply> call_with(const v1::AdminRequest& request,
                                   std::span<const float> parameters) override {
    auto conversation = send_with(*stream_, request.SerializeAsString(), std::as_bytes(parameters));
    return parsed(block_on(*context_, std::move(conversation)));
  }

  Result<void> fetch(const Sha256& version, std::uint64_t bytes, const Sink& sink) override {
    return block_on(*context_, download(*stream_, version, bytes, sink));
  }

 private:
  static Result<v1::AdminReply> parsed(Result<std::string> bytes) {
    if (!bytes) return std::move(bytes).error();
    v1::AdminReply reply;
    if (reply.ParseFromString(*bytes)) return reply;
    return fail(errc::malformed_message, "the server's answer cannot be read");
  }

  std::unique_ptr<asio::io_context> context_;  // outlives the stream
  std::unique_ptr<FrameStream> stream_;
};

}  // namespace

Result<std::unique_ptr<AdminLink>> connect_admin(const Federation& federation) {
  CHORUS_TRY(auto address, parse_address(federation.server));
  const auto folder = federation.folder / "admin";
  net::TlsClientOptions options;
  CHORUS_TRY(options.ca_pem, read_text(folder / "ca.pem", kPemBytesMax));
  CHORUS_TRY(options.certificate_pem, read_text(folder / "admin.pem", kPemBytesMax));
  CHORUS_TRY(options.key_pem, read_text(folder / "admin.key", kPemBytesMax));
  CHORUS_TRY(auto tls, net::TlsContext::client(options));
  auto context = std::make_unique<asio::io_context>(1);
  auto stream = block_on(*context, greet(std::move(address), std::move(tls)));
  if (!stream) {
    // Name the server, unless the words do so already.
    if (stream.error().detail.find(federation.server) != std::string::npos) return stream.error();
    return std::move(stream).error().during("connecting to " + federation.server);
  }
  return std::unique_ptr<AdminLink>(
      std::make_unique<TlsAdminLink>(std::move(context), std::move(stream).value()));
}

}  // namespace chorus::admin
