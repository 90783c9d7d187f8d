// Performs what the session machine asks for, and tells it what happened: one run() of a Client.
// The network thread (that of run()) owns everything here; the compute thread runs one job at a
// time, and the machine waits for its answer.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include "chorus/client/client.hpp"
#include "chorus/client/trainer.hpp"
#include "client/src/basis_store.hpp"
#include "client/src/connection.hpp"
#include "client/src/model_store.hpp"
#include "client/src/session_machine.hpp"
#include "client/src/state_folder.hpp"
#include "client/src/task_runner.hpp"
#include "client/src/version_cache.hpp"
#include "common/net/timer.hpp"

namespace chorus::client {

class Driver final : private ConnectionOwner {
 public:
  struct Parts {
    const ClientOptions* options = nullptr;
    StateFolder* state = nullptr;
    DeviceIdentity identity;
    Address server;
    Trainer* trainer = nullptr;
  };

  /// @errors malformed_file (identity), io_failed
  static Result<std::unique_ptr<Driver>> create(Parts parts);
  ~Driver() override;

  /// Until the machine is done.
  Result<RunSummary> run();
  /// From any thread, while run() lasts.
  void stop();

 private:
  explicit Driver(Parts parts);

  // ConnectionOwner
  void on_connected() override;
  void on_message(wire::Message message, std::uint32_t body_bytes) override;
  void on_not_understood(TaskRef task, Failure why) override;
  void on_lost(Failure why) override;
  void on_body_progress(std::uint64_t sent) override;
  Result<std::span<std::byte>> place_of_body(std::uint32_t body_bytes) override;

  Result<void> load_unfinished();
  Result<void> use_certificate(std::string certificate_pem);
  void tell_certificate();
  TimePoint now() const;
  void dispatch(Event event);
  void arm_timer();
  template <class Job>
  void compute(Job job);

  void perform(const AskEligibility& action);
  void perform(const Connect& action);
  void perform(const Disconnect& action);
  void perform(const Send& action);
  void perform(const LookUpModel& action);
  void perform(const ReceiveModel& action);
  void perform(const KeepChunk& action);
  void perform(const VerifyModel& action);
  void perform(const StartTask& action);
  void perform(const CancelTask& action);
  void perform(const SendBody& action);
  void perform(const StopBody& action);
  void perform(const DropUpload& action);
  void perform(const MakeRenewalRequest& action);
  void perform(const StoreCertificate& action);
  void perform(const RenewalRefused& action);
  void perform(const Report& action);
  void perform(const Finish& action);
  void forget_connection();

  Parts parts_;
  boost::asio::io_context context_{1};
  net::Timer timer_{context_};
  boost::asio::thread_pool compute_{1};
  SteadyClock::time_point began_;
  std::int64_t began_ms_ = 0;

  SessionMachine machine_;
  std::deque<Event> events_;
  bool dispatching_ = false;

  std::shared_ptr<const net::TlsContext> tls_;
  std::shared_ptr<Connection> connection_;
  VersionCache cache_;
  ModelStore model_;
  BasisStore basis_;
  std::optional<CancelToken> cancel_;
  std::shared_ptr<UpdateBuffer> update_;   ///< the body that is offered; null for an evaluation
  std::shared_ptr<UpdateBuffer> scratch_;  ///< of the last one, to be used again
  std::optional<wire::Offer> unfinished_;
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t bytes_received_ = 0;
  bool finished_ = false;
  std::optional<Failure> failure_;
};

}  // namespace chorus::client
