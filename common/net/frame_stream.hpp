// A connection that speaks frames: TLS below, messages above. Used by sessions and by the SDK.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "chorus/result.hpp"
#include "common/base/types.hpp"
#include "common/net/tls_stream.hpp"
#include "common/wire/messages.hpp"

namespace chorus::net {

/// One received frame. `body` points into the buffer given to read().
struct Incoming {
  wire::Message message;
  std::span<const std::byte> body;
};

class FrameStream {
 public:
  explicit FrameStream(std::unique_ptr<TlsStream> stream);

  /// Reads one whole frame. `deadline` bounds the silence before its first byte; a frame once begun
  /// must be complete within limits::kChunkDeadline. `body_buffer` receives a Chunk's body; a frame
  /// whose body does not fit it is unexpected_message (a body where none was expected).
  /// @errors of the frame and message decoders; timed_out, connection_failed, cancelled
  boost::asio::awaitable<Result<Incoming>> read(Duration deadline, std::span<std::byte> body_buffer);

  /// Writes one frame. Several coroutines of one executor may call it: frames queue, whole.
  boost::asio::awaitable<Result<void>> write(wire::Message message,
                                             std::span<const std::byte> body = {});

  TlsStream& tls() noexcept { return *stream_; }
  std::uint64_t bytes_read() const noexcept { return bytes_read_; }
  std::uint64_t bytes_written() const noexcept { return bytes_written_; }

 private:
  class WriteLock;
  std::unique_ptr<TlsStream> stream_;
  wire::FrameReader reader_;
  std::uint64_t bytes_read_ = 0;
  std::uint64_t bytes_written_ = 0;
  bool writing_ = false;
  // waiting writers: see frame_stream.cpp
};

}  // namespace chorus::net
