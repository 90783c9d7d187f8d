#include "common/net/tls_error.hpp"

#include <system_error>

#include <openssl/err.h>
#include <openssl/tls1.h>

#include "common/base/assert.hpp"
#include "common/net/tls_context.hpp"

namespace chorus::net {
namespace {

std::string_view peer_name(SSL* ssl) {
  return SSL_is_server(ssl) == 1 ? "the client" : "the server";
}

/// "TLS 1.2" and so on, from the number on the wire.
std::string_view version_name(int version) {
  switch (version) {
    case SSL3_VERSION:
      return "SSL 3";
    case TLS1_VERSION:
      return "TLS 1.0";
    case TLS1_1_VERSION:
      return "TLS 1.1";
    default:
      return "TLS 1.2";
  }
}

/// We refused the peer's certificate.
Failure verify_failure(SSL* ssl) {
  const HandshakeNotes& notes = handshake_notes(ssl);
  const int error =
      notes.verify_error != 0 ? notes.verify_error : static_cast<int>(SSL_get_verify_result(ssl));
  const std::string whose =
      std::string(peer_name(ssl)) + "'s certificate (of '" + notes.refused_name + "') ";
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return fail(errc::certificate_expired, whose + "has expired");
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return fail(errc::certificate_expired,
                  whose + "is not valid yet; are the clocks of both sides right?");
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return fail(errc::unauthenticated,
                  whose + "is not for the name or address that we connected to");
    case X509_V_ERR_INVALID_PURPOSE:
      return fail(errc::unauthenticated,
                  whose + (SSL_is_server(ssl) == 1 ? "is not a client's" : "is not a server's"));
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return fail(errc::unauthenticated, whose + "was not issued by this federation's authority");
    default:
      return fail(errc::unauthenticated,
                  whose + "was refused: " + X509_verify_cert_error_string(error));
  }
}

/// The peer refused us and said why.
Failure alert_failure(SSL* ssl, int alert) {
  const std::string peer(peer_name(ssl));
  switch (alert) {
    case SSL_AD_CERTIFICATE_EXPIRED:
      return fail(errc::certificate_expired, peer + " refused our certificate: it has expired");
    case SSL_AD_CERTIFICATE_REVOKED:
      return fail(errc::revoked, peer + " refused our certificate: it was revoked");
    case SSL_AD_UNKNOWN_CA:
      return fail(errc::unauthenticated,
                  peer + " refused our certificate: another federation's authority issued it");
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_ACCESS_DENIED:
    case TLS13_AD_CERTIFICATE_REQUIRED:
      return fail(errc::unauthenticated,
                  peer + " refused our certificate (" + SSL_alert_desc_string_long(alert) + ")");
    case SSL_AD_PROTOCOL_VERSION:
      return fail(errc::tls_failed, peer + " does not speak TLS 1.3; chorus needs it");
    case SSL_AD_NO_APPLICATION_PROTOCOL:
      return fail(
          errc::tls_failed,
          peer + " does not speak the protocol '" + std::string(kApplicationProtocol) + "'");
    default:
      return fail(errc::tls_failed,
                  peer + " ended TLS with the alert '" + SSL_alert_desc_string_long(alert) + "'");
  }
}

Failure library_failure(SSL* ssl, unsigned long code) {
  const std::string peer(peer_name(ssl));
  const int reason = ERR_GET_REASON(code);
  if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) {
    return alert_failure(ssl, reason - SSL_AD_REASON_OFFSET);
  }
  switch (reason) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
      return verify_failure(ssl);
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
      return fail(errc::connection_failed,
                  "the connection broke off: " + peer + " went away without closing it");
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_WRONG_SSL_VERSION:
      return fail(errc::tls_failed,
                  peer + " speaks only " + std::string(version_name(SSL_client_version(ssl))) +
                      "; chorus needs TLS 1.3");
    case SSL_R_CALLBACK_FAILED:
    case SSL_R_NO_APPLICATION_PROTOCOL:
      return fail(
          errc::tls_failed,
          peer + " did not offer the protocol '" + std::string(kApplicationProtocol) + "' (ALPN)");
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_UNEXPECTED_MESSAGE:
      return fail(errc::tls_failed, peer + " sent something that is not TLS");
    case SSL_R_EXCESSIVE_MESSAGE_SIZE:
      return fail(errc::tls_failed, peer + " sent a certificate chain that is too long");
    default: {
      const char* text = ERR_reason_error_string(code);
      return fail(errc::tls_failed,
                  "TLS with " + peer + " failed: " + (text != nullptr ? text : "unknown reason"));
    }
  }
}

}  // namespace

HandshakeNotes& handshake_notes(SSL* ssl) {
  auto* notes = static_cast<HandshakeNotes*>(SSL_get_app_data(ssl));
  CHORUS_ASSERT(notes != nullptr);
  return *notes;
}

void set_handshake_notes(SSL* ssl, HandshakeNotes& notes) {
  SSL_set_app_data(ssl, &notes);
}

Failure tls_failure(SSL* ssl, int status, const SocketState& socket) {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const std::string peer(peer_name(ssl));
  if (status == SSL_ERROR_ZERO_RETURN) {
    return fail(errc::connection_failed, peer + " closed the connection");
  }
  if (code != 0) return library_failure(ssl, code);
  if (socket.error != 0) {
    return fail(
        errc::connection_failed,
        "the connection to " + peer + " failed: " + std::generic_category().message(socket.error));
  }
  return fail(errc::connection_failed,
              "the connection broke off: " + peer + " went away without closing it");
}

}  // namespace chorus::net
