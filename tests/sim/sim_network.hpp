// A network of streams: bytes of a direction arrive in order, after a while, or the connection ends
// on both sides, on one only, or on neither.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/net/stream.hpp"
#include "common/net/timer.hpp"
#include "tests/sim/world.hpp"

namespace chorus::sim {

/// How a device is connected.
struct LinkShape {
  Micros delay_min{500};
  Micros delay_max{5'000};
  double bytes_per_micro = 10.0;
};

/// One direction of a connection.
class Pipe : public std::enable_shared_from_this<Pipe> {
 public:
  Pipe(World& world, Rng& rng, const LinkShape& shape) : world_(world), rng_(rng), shape_(shape) {}

  static constexpr std::size_t kWindow = 256U << 10U;
  /// Bytes that may be sent now.
  std::size_t room() const noexcept;
  /// @pre bytes.size() <= room()
  void send(std::span<const std::byte> bytes);
  /// What arrives after all that was sent: the end.
  void end();
  /// It breaks: what was sent and has not arrived is lost, and the end comes after a while.
  void reset();
  /// Nobody hears of the end.
  void vanish() noexcept { gone_ = true; }

  /// Held back while the device is cut off.
  void hold(bool held);

  std::deque<std::byte> arrived;
  bool ended = false;                ///< after what has arrived
  std::function<void()> on_arrival;  ///< also of the end
  std::function<void()> on_room;     ///< the reader has taken something

  void took(std::size_t bytes);

 private:
  struct Segment {
    std::vector<std::byte> bytes;
    bool last = false;
  };
  void deliver(Segment segment);

  World& world_;
  Rng& rng_;
  const LinkShape& shape_;
  World::Instant last_arrival_{};
  std::size_t in_flight_ = 0;
  bool gone_ = false;
  bool broken_ = false;
  bool held_ = false;
  std::deque<Segment> waiting_;
};

/// A connection between a device and the server.
struct Connection {
  std::string device;
  std::shared_ptr<Pipe> up;
  std::shared_ptr<Pipe> down;

  void reset() {
    up->reset();
    down->reset();
  }
};

/// The server's end of a connection.
class SimStream final : public net::Stream {
 public:
  using Stream::write_all;

  SimStream(boost::asio::any_io_executor executor,
            std::shared_ptr<Connection> connection,
            CertificateInfo certificate);
  ~SimStream() override;

  Awaitable<void> handshake() override;
  Awaitable<std::size_t> read_some(std::span<std::byte> into) override;
  Awaitable<void> read_exactly(std::span<std::byte> into) override;
  Awaitable<void> write_all(Bytes head, Bytes body) override;
  Awaitable<void> shutdown() override;
  void close() override;
  void cancel() override;
  void read_expires_at(Clock::time_point instant) override;
  void write_expires_at(Clock::time_point instant) override;
  const std::optional<CertificateInfo>& peer_certificate() const noexcept override {
    return certificate_;
  }
  const std::string& remote() const noexcept override { return connection_->device; }
  boost::asio::any_io_executor get_executor() const override { return executor_; }

 private:
  struct Side {
    explicit Side(const boost::asio::any_io_executor& executor) : timer(executor) {}
    net::Timer timer;
    Clock::time_point deadline = Clock::time_point::max();
    std::optional<Failure> failure;
  };
  /// Until something changes; the caller looks again.
  Awaitable<void> wait(Side& side);
  void fail_both(const Failure& why);

  boost::asio::any_io_executor executor_;
  std::shared_ptr<Connection> connection_;
  std::optional<CertificateInfo> certificate_;
  Side reading_;
  Side writing_;
  std::uint64_t cancels_ = 0;
};

}  // namespace chorus::sim
