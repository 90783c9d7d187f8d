// OpenSSL's way to a socket, ours. For sources of common/net only.
//
// It sends with MSG_NOSIGNAL, so that a peer who is gone is an error and not a SIGPIPE, whatever
// the process has done about signals. And it takes every record whole: what the socket does not
// take, the backlog keeps. OpenSSL 3.0 cannot answer a KeyUpdate that it reads while a record of
// ours is half written ("bad length"), and in full duplex that happens.
#pragma once

#include <cstddef>
#include <vector>

#include "common/crypto/openssl.hpp"

namespace chorus::net {

/// What the BIO knows of its socket. Outlives the BIO; does not own the descriptor.
struct SocketState {
  int fd = -1;
  int error = 0;                   ///< errno of the call that failed for good
  bool end_of_file = false;        ///< the peer sent FIN
  std::vector<std::byte> backlog;  ///< written by OpenSSL, not yet taken by the socket
  std::size_t backlog_sent = 0;    ///< its beginning, taken meanwhile

  bool backlogged() const noexcept { return !backlog.empty(); }
};

/// Sends what it can of the backlog; an empty one holds no memory. Errors go to `state.error`.
void flush_backlog(SocketState& state);

using BioMethod = std::unique_ptr<BIO_METHOD, openssl::Free<BIO_meth_free>>;

/// Null when out of memory.
BioMethod make_socket_method();
/// A BIO over `state`'s descriptor. Null when out of memory.
BIO* new_socket_bio(BIO_METHOD* method, SocketState& state);

}  // namespace chorus::net
