// Enrolment: a join token becomes an identity.
#include <string>
#include <utility>

#include <boost/asio/io_context.hpp>

#include "chorus/client/client.hpp"
#include "client/src/state_folder.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/crypto/digest.hpp"
#include "common/crypto/x509.hpp"
#include "common/net/async.hpp"
#include "common/net/frame_stream.hpp"
#include "common/net/tcp.hpp"
#include "common/net/tls_context.hpp"
#include "common/net/tls_stream.hpp"
#include "common/wire/join_token.hpp"

namespace chorus::client {

namespace asio = boost::asio;

namespace {

struct Request {
  wire::JoinToken token;
  Address server;
  wire::Enroll enroll;
};

Failure unexpected(const wire::Message& message, std::string_view expected) {
  return fail(errc::unexpected_message,
              "the server answered with " + std::string(name_of(kind_of(message))) + "; expected " +
                  std::string(expected));
}

// An Error is a Failure.
asio::awaitable<Result<wire::Message>> ask(net::FrameStream& frames, wire::Message message) {
  CHORUS_CO_OK(co_await frames.write(std::move(message)));
  const std::span<std::byte> no_body;
  CHORUS_CO_TRY(auto answer, co_await frames.read(Duration(limits::kHelloDeadline), no_body));
  if (const auto* error = std::get_if<wire::Error>(&answer.message)) {
    co_return fail(error->code, "the server says: " + error->detail);
  }
  co_return std::move(answer.message);
}

asio::awaitable<Result<wire::Enrolled>> converse(Request request) {
  net::TlsClientOptions tls;
  tls.ca_pin = request.token.ca_sha256;
  CHORUS_CO_TRY(const auto context, net::TlsContext::client(tls));
  CHORUS_CO_TRY(auto socket, co_await net::connect(request.server, limits::kConnectDeadline));
  CHORUS_CO_TRY(auto stream,
                net::TlsStream::create(std::move(socket), context, request.server.host));
  stream.expires_after(limits::kHandshakeDeadline);
  CHORUS_CO_OK(co_await stream.handshake());
  stream.expires_never();
  net::FrameStream frames(std::make_unique<net::TlsStream>(std::move(stream)));

  wire::Hello hello;
  hello.software = "libchorus";
  wire::Message greeting(std::move(hello));
  CHORUS_CO_TRY(const auto welcome, co_await ask(frames, std::move(greeting)));
  if (!std::holds_alternative<wire::Welcome>(welcome)) co_return unexpected(welcome, "welcome");
  wire::Message wish(std::move(request.enroll));
  CHORUS_CO_TRY(auto answer, co_await ask(frames, std::move(wish)));
  auto* const enrolled = std::get_if<wire::Enrolled>(&answer);
  if (enrolled == nullptr) co_return unexpected(answer, "enrolled");
  wire::Message farewell(wire::Goodbye{"", Duration::zero()});
  static_cast<void>(co_await frames.write(std::move(farewell)));
  static_cast<void>(co_await frames.stream().shutdown());
  co_return std::move(*enrolled);
}

asio::awaitable<void> converse_into(Request request, Result<wire::Enrolled>& outcome) {
  outcome = co_await converse(std::move(request));
}

Result<wire::Enrolled> converse_now(Request request) {
  asio::io_context context(1);
  Result<wire::Enrolled> outcome = fail(errc::internal, "the enrolment ended early");
  net::spawn(context.get_executor(), converse_into(std::move(request), outcome), "enrolment");
  context.run();
  return outcome;
}

// The key of an earlier attempt is used again: if its answer was lost, the server recognises it.
Result<PrivateKey> key_of(const StateFolder& state) {
  CHORUS_TRY(const std::string pem, state.key_pem());
  if (!pem.empty()) return PrivateKey::from_pem(pem);
  CHORUS_TRY(auto key, PrivateKey::generate());
  CHORUS_TRY(const std::string fresh, key.to_pem());
  CHORUS_OK(state.store_key(fresh));
  return key;
}

// Everything the server sent is checked against what the token and the key say.
Result<DeviceIdentity> identity_from(const wire::Enrolled& enrolled,
                                     const wire::JoinToken& token,
                                     const PrivateKey& key) {
  CHORUS_TRY(const auto certificate, Certificate::from_der(enrolled.certificate));
  CHORUS_TRY(const auto ca, Certificate::from_der(enrolled.ca_certificate));
  CHORUS_TRY(const auto ca_info, ca.info());
  if (ca_info.fingerprint != token.ca_sha256) {
    return fail(errc::unauthenticated,
                "the server sent another authority's certificate than the join token names");
  }
  if (!certificate.belongs_to(key)) {
    return fail(errc::malformed_message, "the server sent a certificate for another key");
  }
  DeviceIdentity identity;
  identity.server = token.server;
  identity.name = enrolled.name;
  CHORUS_TRY(identity.certificate_pem, certificate.to_pem());
  CHORUS_TRY(identity.ca_pem, ca.to_pem());
  return identity;
}

Result<std::string> enroll_now(const EnrollOptions& options) {
  CHORUS_TRY(Request request, [&]() -> Result<Request> {
    Request parsed;
    CHORUS_TRY(parsed.token, wire::parse_join_token(options.token));
    CHORUS_TRY(parsed.server, parse_address(parsed.token.server));
    return parsed;
  }());
  if (!options.name.empty() && !wire::valid_name(options.name)) {
    return fail(errc::invalid_argument,
                "'" + options.name + "' is no name of a device: expected 1 to " +
                    std::to_string(limits::kNameBytesMax) +
                    " characters a-z 0-9 . _ -, beginning with a letter or digit");
  }
  CHORUS_TRY(const auto state, StateFolder::open(options.state));
  if (state.has_identity()) {
    return fail(errc::already_exists,
                "the state folder '" + options.state.string() +
                    "' holds an identity already; use another folder for another device");
  }
  CHORUS_TRY(const auto key, key_of(state));
  const wire::JoinToken token = request.token;
  request.enroll.token = token.secret;
  request.enroll.name = options.name;
  CHORUS_TRY(request.enroll.csr, make_csr(key, options.name.empty() ? "device" : options.name));
  CHORUS_TRY(const auto enrolled, converse_now(std::move(request)));
  CHORUS_TRY(const auto identity, identity_from(enrolled, token, key));
  CHORUS_OK(state.store_identity(identity));
  return identity.name;
}

}  // namespace

Result<std::string> enroll(const EnrollOptions& options) {
  try {
    return enroll_now(options);
  } catch (const std::exception& error) {
    return fail(errc::internal, std::string("unexpected exception: ") + error.what());
  }
}

}  // namespace chorus::client
