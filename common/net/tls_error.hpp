// From OpenSSL's errors to ours. For sources of common/net only.
#pragma once

#include <string>

#include "chorus/result.hpp"
#include "common/crypto/openssl.hpp"
#include "common/net/socket_bio.hpp"

namespace chorus::net {

/// What callbacks saw during a handshake and its error alone would not tell.
struct HandshakeNotes {
  int verify_error = 0;      ///< X509_V_ERR_…
  std::string refused_name;  ///< of the certificate that was refused
};

/// The notes of this connection. @pre set_handshake_notes() was called
HandshakeNotes& handshake_notes(SSL* ssl);
void set_handshake_notes(SSL* ssl, HandshakeNotes& notes);

/// Why the last call on `ssl` failed for good; empties OpenSSL's error queue.
/// @param status  of SSL_get_error
Failure tls_failure(SSL* ssl, int status, const SocketState& socket);

}  // namespace chorus::net
