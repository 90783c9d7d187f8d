// What all TLS connections of one thread share: certificates, trust, and the protocol's settings.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "chorus/result.hpp"
#include "common/base/types.hpp"

struct bio_method_st;
struct ssl_ctx_st;

namespace chorus::net {

/// The application protocol both sides must name (ALPN, RFC 7301).
inline constexpr std::string_view kApplicationProtocol = "chorus/1";

struct TlsServerOptions {
  std::string certificate_pem;  ///< the server's
  std::string key_pem;
  std::string ca_pem;  ///< the federation's authority: trusted, and sent to devices that enrol
};

struct TlsClientOptions {
  std::string ca_pem;  ///< the federation's authority; empty only with ca_pin
  /// For enrolment, when nothing but a join token is known: trust the authority with this SHA-256
  /// (of its DER form) if the server's chain ends in it. Any server it has certified will do; the
  /// host name is not checked.
  std::optional<Sha256> ca_pin;
  std::string certificate_pem;  ///< the device's or administrator's; empty: none
  std::string key_pem;
};

/// TLS 1.3 only; ALPN "chorus/1" or nothing; X25519, then P-256; AES-128-GCM first. The server asks
/// for a client certificate, verifies one that is shown, and lets a client without one in: what
/// such a client may do (enrol) is the session's decision.
///
/// Make one per I/O thread: each has an OSSL_LIB_CTX of its own. Threads that share one spend half
/// their handshakes waiting for OpenSSL's locks (measured: 1.5 times one thread instead of 1.9).
///
/// There are no session tickets. In mutual TLS 1.3 resumption would spare the server a third of a
/// millisecond, but a resumed session carries the certificate of the first one past its expiry.
class TlsContext {
 public:
  /// @errors malformed_file (naming the text: certificate, key or authority)
  static Result<std::shared_ptr<const TlsContext>> server(const TlsServerOptions& options);
  static Result<std::shared_ptr<const TlsContext>> client(const TlsClientOptions& options);
  ~TlsContext();

  bool is_server() const noexcept { return is_server_; }
  bool checks_host_name() const noexcept { return !ca_pin_.has_value(); }
  const std::optional<Sha256>& ca_pin() const noexcept { return ca_pin_; }

  ssl_ctx_st* get() const noexcept;
  bio_method_st* socket_method() const noexcept;

 private:
  struct Handles;
  TlsContext(bool is_server, std::optional<Sha256> ca_pin);
  Result<void> start(std::string_view ca_pem);

  const bool is_server_;
  const std::optional<Sha256> ca_pin_;
  std::unique_ptr<Handles> handles_;
};

}  // namespace chorus::net
