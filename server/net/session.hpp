// One connection: handshake, hello, then what the peer's certificate allows. One coroutine on the
// connection's own executor reads; everything it needs of rounds it asks the board.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "common/base/limits.hpp"
#include "common/net/frame_stream.hpp"
#include "server/driver/board.hpp"
#include "server/net/access.hpp"
#include "server/net/services.hpp"

namespace chorus::server {

/// What every session needs; built by main, outlives all sessions.
struct SessionServices {
  Context* context = nullptr;
  Board* board = nullptr;  ///< on the control executor only
  Access* access = nullptr;
  EnrollmentService* enrollment = nullptr;
  AdminService* admin = nullptr;
  Duration heartbeat{};
  Duration idle_deadline{};
  Duration memory_deadline = limits::kChunkDeadline;  ///< of waiting for the memory of a transfer
};

class Session final : public SessionLink, public std::enable_shared_from_this<Session> {
 public:
  /// @param serial  unique in this process
  Session(SessionServices& services,
          boost::asio::any_io_executor executor,
          std::unique_ptr<net::Stream> stream,
          std::uint64_t serial);

  /// Serves the connection to its end; never fails, but logs and audits why it ended.
  boost::asio::awaitable<void> run();

  // SessionLink; any thread
  void send(wire::Message message) override;
  void assign(Assignment assignment) override;
  void close(Failure why) override;

 private:
  using Next = std::optional<wire::Message>;
  template <class T>
  using Async = boost::asio::awaitable<Result<T>>;

  Async<void> serve();
  Async<wire::Hello> greet();
  Async<void> serve_device(wire::Hello hello);
  Async<void> serve_admin();
  Async<void> serve_enrollment();
  /// Answers what any peer may send at any time (Ping); false if `message` is something else.
  Async<bool> answer_common(const wire::Message& message);
  Async<Next> handle_device(wire::Message message);
  Async<void> handle_admin(wire::Message message);
  /// The parameters that follow a request.
  Async<std::shared_ptr<const InitialParameters>> receive_parameters(std::uint64_t bytes);
  /// What `request` may not have; the conversation goes on.
  Async<void> refuse_request(Failure why);
  /// What a fetch is answered with.
  struct Download {
    std::uint64_t bytes = 0;
    std::function<Result<void>(std::uint64_t offset, std::span<std::byte> into)> read;
  };
  static Download whole_basis(std::shared_ptr<const BasisOffer> offer);
  static Download last_steps(std::shared_ptr<const StepsOffer> offer, std::size_t count);
  Async<void> send_download(wire::Fetch fetch, Download download);
  Async<Download> download_for(const wire::Fetch& fetch);
  /// Offers, and what follows from them; a message of the peer that ended an upload comes back.
  Async<Next> handle_offer(wire::Offer offer);
  /// Whether this very update is in a closed round's receipts; the device is told then.
  Async<bool> counted_before(const wire::Offer& offer, errc refused_with);
  Async<Next> receive_upload(std::shared_ptr<const UploadTarget> target);
  /// @errors of the body; servers_fault() ones of reading it
  Async<void> check_compressed(const UploadTarget& target);
  Async<Next> reject_upload(std::shared_ptr<const UploadTarget> target, Failure why);
  Async<Next> store_failed(std::shared_ptr<const UploadTarget> target, Failure why);
  Async<Next> refuse_upload(std::shared_ptr<const UploadTarget> target, Failure why);
  Async<MemoryBudget::Grant> memory_for(std::uint64_t bytes);
  boost::asio::awaitable<void> report_end(const Failure& why);
  boost::asio::awaitable<void> write_queued(wire::Message message);
  boost::asio::awaitable<void> close_now(Failure why);
  std::string who() const;
  /// @errors what close() was called with, or why a peer that does not read is let go
  Result<void> still_open() const;

  SessionServices& services_;
  boost::asio::any_io_executor executor_;
  net::FrameStream frames_;
  std::string remote_;
  Peer peer_;
  SessionKey key_;
  unsigned queued_ = 0;
  bool closing_ = false;
  std::optional<Failure> closed_because_;
  std::optional<Assignment> assignment_;
};

}  // namespace chorus::server
