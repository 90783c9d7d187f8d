#include "common/net/tls_engine.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <utility>

#include <openssl/err.h>

#include "common/base/assert.hpp"
#include "common/base/try.hpp"

namespace chorus::net {
namespace {

constexpr std::size_t kRecordBytes = SSL3_RT_MAX_PLAIN_LENGTH;
constexpr std::size_t kTurnBytes = 1U << 20U;      ///< moved by one step before others may go
constexpr std::uint64_t kKeyBytes = 64ULL << 30U;  ///< 2^22 full records; AES-GCM bears 2^24.5

bool is_ip_address(const std::string& name) {
  in6_addr ignored{};
  return ::inet_pton(AF_INET, name.c_str(), &ignored) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), &ignored) == 1;
}

using Scratch = std::array<std::byte, kRecordBytes>;

/// What to send next: from `body`, from a long `head`, or both joined in one record's `scratch`.
std::span<const std::byte> next_piece(TlsEngine::Bytes head,
                                      TlsEngine::Bytes body,
                                      std::size_t moved,
                                      Scratch& scratch) {
  if (moved >= head.size()) return body.subspan(moved - head.size());
  const auto rest = head.subspan(moved);
  if (rest.size() >= kRecordBytes || body.empty()) return rest;
  const auto start = body.first(std::min(body.size(), kRecordBytes - rest.size()));
  std::memcpy(scratch.data(), rest.data(), rest.size());
  std::memcpy(scratch.data() + rest.size(), start.data(), start.size());
  return std::span(scratch).first(rest.size() + start.size());
}

}  // namespace

TlsEngine::TlsEngine(std::shared_ptr<const TlsContext> context) : context_(std::move(context)) {}

Result<std::unique_ptr<TlsEngine>> TlsEngine::create(int fd,
                                                     std::shared_ptr<const TlsContext> context,
                                                     const std::string& server_name) {
  std::unique_ptr<TlsEngine> made(new TlsEngine(std::move(context)));
  ERR_clear_error();
  made->socket_.fd = fd;
  made->ssl_.reset(SSL_new(made->context_->get()));
  BIO* bio = new_socket_bio(made->context_->socket_method(), made->socket_);
  if (made->ssl_ == nullptr || bio == nullptr) {
    BIO_free(bio);
    return openssl::failure(errc::internal, "setting up a TLS connection");
  }
  SSL* const ssl = made->ssl_.get();
  SSL_set_bio(ssl, bio, bio);
  set_handshake_notes(ssl, made->notes_);
  if (made->context_->is_server()) {
    SSL_set_accept_state(ssl);
  } else {
    SSL_set_connect_state(ssl);
    CHORUS_OK(made->expect_server(server_name));
  }
  return made;
}

Result<void> TlsEngine::expect_server(const std::string& server_name) {
  SSL* const ssl = ssl_.get();
  const bool is_ip = is_ip_address(server_name);
  bool ok = true;
  if (context_->checks_host_name()) {
    if (server_name.empty()) {
      return fail(errc::invalid_argument,
                  "a TLS client needs the name or address that the server's certificate is for");
    }
    SSL_set_hostflags(ssl,
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    ok = is_ip ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), server_name.c_str()) == 1
               : SSL_set1_host(ssl, server_name.c_str()) == 1;
  }
  if (ok && !is_ip && !server_name.empty()) {
    ok = SSL_set_tlsext_host_name(ssl, server_name.c_str()) == 1;
  }
  if (!ok) {
    ERR_clear_error();
    return fail(errc::invalid_argument, "'" + server_name + "' is no name for a server");
  }
  return {};
}

/// Need::nothing once the socket has taken everything.
Need TlsEngine::flush() {
  flush_backlog(socket_);
  if (socket_.error != 0) return classify(-1, true);
  return socket_.backlogged() ? Need::writable : Need::nothing;
}

Need TlsEngine::handshake() {
  ERR_clear_error();
  const int returned = SSL_do_handshake(ssl_.get());
  if (const Need need = flush(); need != Need::nothing) return need;
  if (returned != 1) return classify(returned, false);
  if (auto checked = check_peer(); !checked) {
    failure_ = std::move(checked).error();
    failed_for_good_ = true;
    return Need::failure;
  }
  return Need::nothing;
}

Result<void> TlsEngine::check_peer() {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &size);
  if (std::string_view(reinterpret_cast<const char*>(name), size) != kApplicationProtocol) {
    return fail(errc::tls_failed,
                "the server does not speak the protocol '" + std::string(kApplicationProtocol) +
                    "' (ALPN)");
  }
  const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  if (certificate == nullptr) return {};
  auto info = openssl::info_of(certificate);
  if (!info) {
    return fail(errc::unauthenticated,
                "the peer's certificate cannot be read: " + info.error().detail);
  }
  peer_ = std::move(*info);
  return {};
}

Need TlsEngine::read(std::span<std::byte> into, std::size_t& moved, bool some) {
  // Answers to KeyUpdate. Nobody waits for them, so they go whenever they can.
  flush_backlog(socket_);
  std::size_t turn = 0;
  while (moved < into.size()) {
    if (turn >= kTurnBytes) return Need::turn;
    ERR_clear_error();
    std::size_t got = 0;
    const auto rest = into.subspan(moved);
    const int returned = SSL_read_ex(ssl_.get(), rest.data(), rest.size(), &got);
    if (returned != 1) {
      // With something in hand, what ended the read is met again by the next one.
      if (some && moved > 0) return Need::nothing;
      return classify(returned, false);
    }
    moved += got;
    turn += got;
    if (some && SSL_has_pending(ssl_.get()) == 0) return Need::nothing;
  }
  return Need::nothing;
}

Need TlsEngine::write(Bytes head, Bytes body, std::size_t& moved) {
  Scratch scratch;
  std::size_t turn = 0;
  for (;;) {
    if (const Need need = flush(); need != Need::nothing) return need;
    if (moved == head.size() + body.size()) return Need::nothing;
    if (turn >= kTurnBytes) return Need::turn;
    update_key_if_due();
    ERR_clear_error();
    std::size_t taken = 0;
    const auto piece = next_piece(head, body, moved, scratch);
    const int returned = SSL_write_ex(ssl_.get(), piece.data(), piece.size(), &taken);
    if (returned != 1) return classify(returned, true);
    moved += taken;
    turn += taken;
    key_bytes_ += taken;
  }
}

Need TlsEngine::say_goodbye() {
  if (const Need need = flush(); need != Need::nothing) return need;
  if (!handshaken() || (SSL_get_shutdown(ssl_.get()) & SSL_SENT_SHUTDOWN) != 0) {
    return Need::nothing;
  }
  ERR_clear_error();
  const int returned = SSL_shutdown(ssl_.get());
  return returned >= 0 ? flush() : classify(returned, true);
}

void TlsEngine::update_key_if_due() {
  if (key_bytes_ < kKeyBytes) return;
  key_bytes_ = 0;
  SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED);
}

Result<void> TlsEngine::update_key(bool peer_too) {
  ERR_clear_error();
  const int kind = peer_too ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED;
  if (SSL_key_update(ssl_.get(), kind) != 1) {
    return openssl::failure(errc::wrong_state, "updating the TLS key");
  }
  return {};
}

std::size_t TlsEngine::pending() const noexcept {
  return static_cast<std::size_t>(SSL_pending(ssl_.get()));
}

Need TlsEngine::classify(int returned, bool is_write) {
  const bool broken = is_write && socket_.error != 0;  // whatever OpenSSL makes of that
  const int status = broken ? SSL_ERROR_SYSCALL : SSL_get_error(ssl_.get(), returned);
  if (status == SSL_ERROR_WANT_READ) return Need::readable;
  if (status == SSL_ERROR_WANT_WRITE) return Need::writable;
  failed_for_good_ = status == SSL_ERROR_SSL;
  failure_ = tls_failure(ssl_.get(), status, socket_);
  if (status == SSL_ERROR_SYSCALL && is_write) {
    if (auto reason = reason_from_peer()) failure_ = std::move(*reason);
  }
  return Need::failure;
}

/// A peer who hangs up on us may have said why just before: that is better than "broken pipe".
std::optional<Failure> TlsEngine::reason_from_peer() {
  ERR_clear_error();
  std::byte ignored{};
  std::size_t got = 0;
  const int returned = SSL_peek_ex(ssl_.get(), &ignored, 1, &got);
  if (returned == 1 || SSL_get_error(ssl_.get(), returned) != SSL_ERROR_SSL) return std::nullopt;
  failed_for_good_ = true;
  return tls_failure(ssl_.get(), SSL_ERROR_SSL, socket_);
}

}  // namespace chorus::net
