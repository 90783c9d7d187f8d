#include "common/net/socket_bio.hpp"

#include <cerrno>
#include <sys/socket.h>

namespace chorus::net {
namespace {

SocketState& state_of(BIO* bio) {
  return *static_cast<SocketState*>(BIO_get_data(bio));
}

/// One record and some answers to KeyUpdate: more is not written while there is a backlog.
constexpr std::size_t kBacklogBytesMax = 64U << 10U;

bool try_later(int error) noexcept {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

/// Bytes sent, possibly none; `state.error` tells of failures.
std::size_t send_some(SocketState& state, const std::byte* data, std::size_t size) {
  const ssize_t sent = ::send(state.fd, data, size, MSG_NOSIGNAL);
  if (sent >= 0) return static_cast<std::size_t>(sent);
  if (!try_later(errno)) state.error = errno;
  return 0;
}

int write_socket(BIO* bio, const char* data, std::size_t size, std::size_t* written) {
  BIO_clear_retry_flags(bio);
  SocketState& state = state_of(bio);
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  const std::size_t sent = state.backlogged() ? 0 : send_some(state, bytes, size);
  // A peer who asks for key after key and reads no answer.
  if (state.backlog.size() + size - sent > kBacklogBytesMax) state.error = ENOBUFS;
  if (state.error != 0) return 0;
  state.backlog.insert(state.backlog.end(), bytes + sent, bytes + size);
  *written = size;
  return 1;
}

int read_socket(BIO* bio, char* data, std::size_t size, std::size_t* read) {
  BIO_clear_retry_flags(bio);
  SocketState& state = state_of(bio);
  const ssize_t got = ::recv(state.fd, data, size, 0);
  if (got > 0) {
    *read = static_cast<std::size_t>(got);
    return 1;
  }
  if (got == 0) {
    state.end_of_file = true;
  } else if (try_later(errno)) {
    BIO_set_retry_read(bio);
  } else {
    state.error = errno;
  }
  return 0;
}

long control_socket(BIO* bio, int command, long /*number*/, void* /*pointer*/) {
  switch (command) {
    case BIO_CTRL_FLUSH:
    case BIO_CTRL_DUP:
      return 1;
    case BIO_CTRL_EOF:
      return state_of(bio).end_of_file ? 1 : 0;
    default:
      return 0;
  }
}

}  // namespace

void flush_backlog(SocketState& state) {
  while (state.backlogged() && state.error == 0) {
    const std::size_t left = state.backlog.size() - state.backlog_sent;
    const std::size_t sent = send_some(state, state.backlog.data() + state.backlog_sent, left);
    if (sent == 0) return;
    state.backlog_sent += sent;
    if (sent == left) {
      state.backlog = std::vector<std::byte>();  // "= {}" would keep its memory
      state.backlog_sent = 0;
    }
  }
}

BioMethod make_socket_method() {
  const int type = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK;
  BioMethod method(BIO_meth_new(type, "chorus socket"));
  if (method == nullptr) return method;
  BIO_meth_set_write_ex(method.get(), write_socket);
  BIO_meth_set_read_ex(method.get(), read_socket);
  BIO_meth_set_ctrl(method.get(), control_socket);
  return method;
}

BIO* new_socket_bio(BIO_METHOD* method, SocketState& state) {
  BIO* bio = BIO_new(method);
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, &state);
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace chorus::net
