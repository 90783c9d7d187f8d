// The SDK's front door: a device that takes part in a federation.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/client/trainer.hpp"
#include "chorus/export.hpp"
#include "chorus/result.hpp"

namespace chorus::client {

/// What the device is doing, for user interfaces and logs.
enum class State : std::uint8_t {
  connecting,   ///< or waiting to try again
  waiting,      ///< connected, no task at present
  downloading,  ///< fetching a model
  training,
  evaluating,
  uploading,
  sleeping,  ///< told to come back later, or not eligible
  stopped,
};

CHORUS_EXPORT std::string_view to_string(State state) noexcept;

struct Progress {
  State state = State::connecting;
  std::string job;  ///< empty when there is no task
  std::uint64_t round = 0;
  std::uint64_t done = 0;  ///< bytes moved, while downloading or uploading
  std::uint64_t total = 0;
  std::string detail;  ///< e.g. why it cannot connect
  bool operator==(const Progress&) const = default;
};

struct ClientOptions {
  std::string server;             ///< "host:port"; empty: the one that the device enrolled at
  std::filesystem::path state;    ///< state folder: identity, cached versions, unfinished upload
  std::vector<std::string> jobs;  ///< jobs to take part in; empty: any
  std::string software = "libchorus";

  /// Asked before each task and each connection attempt: may the device work now (charging,
  /// unmetered network, idle)? Empty: always. When false the device sleeps `eligibility_interval`.
  std::function<bool()> eligible;
  std::chrono::milliseconds eligibility_interval = std::chrono::seconds(30);

  /// Told of every change, from the thread that runs run(). Must not block.
  std::function<void(const Progress&)> on_progress;

  /// Leave after this many accepted training tasks; 0: never.
  std::uint64_t tasks_max = 0;

  /// Write a finished update to the state folder before it is offered, so that it survives a power
  /// cut of the device and is offered again at the next start. Costs one synced write of the whole
  /// update per task. false: it lives in memory only, and a restart of the process loses the work
  /// of the task in hand. Nothing that the server acknowledged is ever lost either way.
  bool durable_upload = true;

  /// Keep the newest versions (limits::kCachedVersionsMax) in the state folder, so that a restart
  /// does not download them again and an interrupted download goes on where it stopped. false: only
  /// the last version is kept, in memory.
  bool cache_versions = true;
};

/// What happened during run().
struct RunSummary {
  std::uint64_t accepted = 0;    ///< updates that the server counted
  std::uint64_t evaluated = 0;   ///< evaluation reports that it counted
  std::uint64_t rejected = 0;    ///< offers refused with a reason that lies in the update
  std::uint64_t discarded = 0;   ///< offers that came too late or were not needed
  std::uint64_t reconnects = 0;  ///< connections after the first
  std::uint64_t bytes_sent = 0;  ///< frames, without what TLS adds
  std::uint64_t bytes_received = 0;
};

/// One device. The state folder must already hold an identity (see enroll()).
class CHORUS_EXPORT Client {
 public:
  /// @errors invalid_argument (options), not_found / malformed_file (no identity in the state
  ///         folder: enroll first), busy (another process uses the state folder), io_failed
  static Result<std::unique_ptr<Client>> create(ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Connects, waits for tasks, trains, uploads, until stop(), tasks_max, or a permanent error.
  /// Loss of network or server is not an error: it reconnects with exponential back-off and full
  /// jitter, and resumes downloads and uploads where they stopped. Training goes on meanwhile. An
  /// update that a former process could not deliver is offered before anything else.
  ///
  /// Blocks; callbacks come from this thread, the trainer is called from another. One run() at a
  /// time, but it may be called again after it has ended. Memory: two models of the task's size
  /// (the received and the trained one), beside what the trainer takes.
  /// @errors revoked, certificate_expired, unsupported_version: the server says so;
  ///         unauthenticated: it says so, or is not the federation's (unless the right server
  ///         has answered during this run: then it is waited for); malformed_file, io_failed: the
  ///         state folder; wrong_state: run() is running
  Result<RunSummary> run(Trainer& trainer);

  /// Ends run() soon, from any thread (but not from inside a signal handler: it takes a lock). The
  /// trainer is told by its CancelToken and waited for; an unfinished upload stays in the state
  /// folder. Before run() it makes the next run() end at once. Safe to call repeatedly.
  void stop() noexcept;

 private:
  class Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct EnrollOptions {
  std::string token;            ///< the join token `chorus enroll` printed
  std::filesystem::path state;  ///< state folder, made when missing
  std::string name;             ///< wanted device name; empty: the token decides
};

/// Makes a key that never leaves the device, sends a certificate request, stores the identity.
/// Blocks for at most some 40 seconds. Repeating it with the same token after a lost reply is safe:
/// the key of the first attempt is used again. The certificate is renewed by run() when less than a
/// third of its life is left, on the same key.
/// @returns the device's name
/// @errors token_invalid, already_exists (the folder holds an identity, or the name is taken),
///         unauthenticated (the server is not the one the token names), connection_failed, …
CHORUS_EXPORT Result<std::string> enroll(const EnrollOptions& options);

}  // namespace chorus::client
