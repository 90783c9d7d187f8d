// OpenSSL's way to a socket, ours: send() with MSG_NOSIGNAL, so that a peer who is gone is an error
// and not a SIGPIPE, whatever the process has done about signals. For sources of common/net only.
#pragma once

#include "common/crypto/openssl.hpp"

namespace chorus::net {

/// What the BIO knows of its socket. Outlives the BIO; does not own the descriptor.
struct SocketState {
  int fd = -1;
  int error = 0;             ///< errno of the call that failed for good
  bool end_of_file = false;  ///< the peer sent FIN
};

using BioMethod = std::unique_ptr<BIO_METHOD, openssl::Free<BIO_meth_free>>;

/// Null when out of memory.
BioMethod make_socket_method();
/// A BIO over `state`'s descriptor. Null when out of memory.
BIO* new_socket_bio(BIO_METHOD* method, SocketState& state);

}  // namespace chorus::net
