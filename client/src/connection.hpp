// One connection to the server: a coroutine that connects and reads, one that writes.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include "chorus/result.hpp"
#include "common/net/frame_stream.hpp"
#include "common/net/tcp.hpp"
#include "common/net/timer.hpp"
#include "common/net/tls_context.hpp"
#include "common/wire/messages.hpp"

namespace chorus::client {

/// Told what happens on a connection, on its executor. Not told anything after Connection::close().
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  virtual void on_connected() = 0;
  virtual void on_message(wire::Message message, std::uint32_t body_bytes) = 0;
  virtual void on_not_understood(TaskRef task, Failure why) = 0;
  virtual void on_lost(Failure why) = 0;
  virtual void on_body_progress(std::uint64_t sent) = 0;
  /// Where a chunk's body goes.
  virtual Result<std::span<std::byte>> place_of_body(std::uint32_t body_bytes) = 0;
};

/// The bytes that are being uploaded, kept alive while they may be read.
struct Body {
  std::shared_ptr<const void> owner;
  std::span<const std::byte> bytes;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  struct Target {
    Address address;
    std::shared_ptr<const net::TlsContext> context;
  };

  Connection(boost::asio::any_io_executor executor, ConnectionOwner* owner);

  /// Connects; then on_connected(), or on_lost().
  void start(Target target);
  void send(wire::Message message);
  /// Streams the rest of `body` from `offset` on, behind what is queued now; later messages go
  /// between its chunks.
  void send_body(Body body, std::uint64_t offset);
  void stop_body();
  /// The owner has done with it: sends what is queued, within two seconds, and closes.
  void close();

  std::uint64_t bytes_read() const noexcept { return frames_ ? frames_->bytes_read() : 0; }
  std::uint64_t bytes_written() const noexcept { return frames_ ? frames_->bytes_written() : 0; }

 private:
  template <class T>
  using Awaitable = boost::asio::awaitable<T>;

  static Awaitable<void> run(std::shared_ptr<Connection> self, Target target);
  static Awaitable<void> write_loop(std::shared_ptr<Connection> self);
  Awaitable<Result<void>> open(Target target);
  Awaitable<Failure> read_loop();
  Awaitable<Result<void>> write_next();
  Awaitable<void> wait_for_change();
  Awaitable<void> finish();
  bool has_output() const noexcept { return !outbox_.empty() || body_.has_value(); }
  void changed();

  boost::asio::any_io_executor executor_;
  ConnectionOwner* owner_;  ///< null after close()
  boost::asio::cancellation_signal stop_connecting_;
  std::unique_ptr<net::FrameStream> frames_;
  net::Timer change_;  ///< never fires: cancelled to wake the writer
  net::Timer linger_;
  std::deque<wire::Message> outbox_;
  std::optional<Body> body_;
  std::uint64_t body_offset_ = 0;
  std::uint64_t body_number_ = 0;  ///< tells one send_body() from the next
  bool reader_ended_ = false;
  std::optional<Failure> write_failure_;
};

}  // namespace chorus::client
