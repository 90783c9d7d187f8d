// A connection that speaks frames: a stream of bytes below, messages above. Used by sessions and by
// the SDK.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include <boost/asio/awaitable.hpp>

#include "chorus/result.hpp"
#include "common/base/types.hpp"
#include "common/net/stream.hpp"
#include "common/wire/messages.hpp"

namespace chorus::net {

/// One received frame. `body` points into the buffer that was given for it.
struct Incoming {
  wire::Message message;
  std::span<const std::byte> body;
};

/// Asked where a chunk's body goes, when its header is there and nothing of the body has been read.
/// Gives at least `body_bytes` bytes that live until read() returns, or the failure to end with.
using BodyPlace = std::function<Result<std::span<std::byte>>(std::uint32_t body_bytes)>;

/// One reader and any number of writers at a time, all on the stream's executor.
class FrameStream {
 public:
  explicit FrameStream(std::unique_ptr<Stream> stream);
  FrameStream(const FrameStream&) = delete;
  FrameStream& operator=(const FrameStream&) = delete;
  ~FrameStream();

  /// Reads one whole frame. `deadline` bounds the silence before its first byte; a frame once begun
  /// must be complete within limits::kChunkDeadline. `body_buffer` receives a Chunk's body; a frame
  /// whose body does not fit it is unexpected_message (a body where none was expected).
  ///
  /// After malformed_message or unsupported_feature the stream stands at the next frame and may be
  /// read on; after any other failure it is good for nothing but an Error and being closed.
  /// @errors of the frame and message decoders; timed_out, connection_failed, cancelled
  boost::asio::awaitable<Result<Incoming>> read(Duration deadline,
                                                std::span<std::byte> body_buffer);
  /// The same with a buffer that is only chosen when a body is announced.
  boost::asio::awaitable<Result<Incoming>> read(Duration deadline, BodyPlace place);

  /// The task of the Work that read() has just refused as unsupported_feature; else none.
  const std::optional<TaskRef>& unsupported_task() const noexcept { return unsupported_task_; }

  /// Writes one frame within limits::kChunkDeadline. Several coroutines may call it: frames queue,
  /// whole, in the order of the calls. `body` must live until then. After a failure, also of
  /// another writer, and after a cancelled write every further one fails.
  /// @errors frame_too_large; timed_out, connection_failed, tls_failed, cancelled
  boost::asio::awaitable<Result<void>> write(wire::Message message,
                                             std::span<const std::byte> body = {});

  Stream& stream() noexcept { return *stream_; }
  /// Of whole frames: headers, messages and bodies.
  std::uint64_t bytes_read() const noexcept { return bytes_read_; }
  std::uint64_t bytes_written() const noexcept { return bytes_written_; }

 private:
  class WriteTurn;
  struct Waiter;

  boost::asio::awaitable<Result<void>> fill(Duration deadline, BodyPlace place);

  std::unique_ptr<Stream> stream_;
  wire::FrameReader reader_;
  std::optional<TaskRef> unsupported_task_;
  std::uint64_t bytes_read_ = 0;
  std::uint64_t bytes_written_ = 0;
  bool writing_ = false;
  bool write_broken_ = false;  ///< a frame was left half written
  std::deque<Waiter*> waiters_;
};

}  // namespace chorus::net
