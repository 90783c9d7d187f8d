// The public face: options checked, state folder held, one driver per run.
#include "chorus/client/client.hpp"

#include <atomic>
#include <mutex>
#include <utility>

#include "client/src/driver.hpp"
#include "client/src/state_folder.hpp"
#include "common/base/limits.hpp"
#include "common/base/log.hpp"
#include "common/base/try.hpp"
#include "common/net/tcp.hpp"
#include "common/wire/messages.hpp"

namespace chorus::client {

std::string_view to_string(State state) noexcept {
  switch (state) {
    case State::connecting:
      return "connecting";
    case State::waiting:
      return "waiting";
    case State::downloading:
      return "downloading";
    case State::training:
      return "training";
    case State::evaluating:
      return "evaluating";
    case State::uploading:
      return "uploading";
    case State::sleeping:
      return "sleeping";
    case State::stopped:
      return "stopped";
  }
  return "?";
}

class Client::Impl {
 public:
  Impl(ClientOptions options, StateFolder state, DeviceIdentity identity, Address server)
      : options_(std::move(options)),
        state_(std::move(state)),
        identity_(std::move(identity)),
        server_(std::move(server)) {}

  Result<RunSummary> run(Trainer& trainer) {
    // A certificate that a former run renewed is in the folder.
    CHORUS_TRY(identity_, state_.identity());
    CHORUS_TRY(const auto driver,
               Driver::create({&options_, &state_, identity_, server_, &trainer}));
    {
      const std::lock_guard lock(mutex_);
      if (driver_ != nullptr) return fail(errc::wrong_state, "this client runs already");
      driver_ = driver.get();
      if (stop_requested_) driver_->stop();
    }
    auto summary = driver->run();
    const std::lock_guard lock(mutex_);
    driver_ = nullptr;
    stop_requested_ = false;
    return summary;
  }

  void stop() {
    const std::lock_guard lock(mutex_);
    stop_requested_ = true;
    if (driver_ != nullptr) driver_->stop();
  }

 private:
  const ClientOptions options_;
  StateFolder state_;
  DeviceIdentity identity_;
  const Address server_;

  std::mutex mutex_;
  Driver* driver_ = nullptr;
  bool stop_requested_ = false;
};

namespace {

Result<void> check(const ClientOptions& options) {
  if (options.state.empty()) {
    return fail(errc::invalid_argument, "ClientOptions.state is empty; expected a folder");
  }
  if (options.software.empty() || options.software.size() > limits::kSoftwareBytesMax) {
    return fail(errc::invalid_argument,
                "ClientOptions.software has " + std::to_string(options.software.size()) +
                    " bytes; expected 1 to " + std::to_string(limits::kSoftwareBytesMax));
  }
  if (options.jobs.size() > limits::kJobsMax) {
    return fail(errc::invalid_argument,
                "ClientOptions.jobs names " + std::to_string(options.jobs.size()) +
                    " jobs; at most " + std::to_string(limits::kJobsMax));
  }
  for (const auto& job : options.jobs) {
    if (!wire::valid_name(job)) {
      return fail(errc::invalid_argument,
                  "ClientOptions.jobs: '" + job + "' is no name of a job (a-z 0-9 . _ -)");
    }
  }
  if (options.eligibility_interval <= std::chrono::milliseconds::zero()) {
    return fail(errc::invalid_argument, "ClientOptions.eligibility_interval must be above 0");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Client>> Client::create(ClientOptions options) {
  CHORUS_OK(check(options));
  CHORUS_TRY(auto state, StateFolder::open(options.state));
  CHORUS_TRY(auto identity, state.identity());
  const std::string server = options.server.empty() ? identity.server : options.server;
  CHORUS_TRY(auto address, parse_address(server));
  auto impl = std::make_unique<Impl>(
      std::move(options), std::move(state), std::move(identity), std::move(address));
  return std::unique_ptr<Client>(new Client(std::move(impl)));
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

Result<RunSummary> Client::run(Trainer& trainer) {
  try {
    return impl_->run(trainer);
  } catch (const std::exception& error) {
    return fail(errc::internal, std::string("unexpected exception: ") + error.what());
  }
}

void Client::stop() noexcept {
  try {
    impl_->stop();
  } catch (const std::exception& error) {
    spdlog::error("stopping the client: {}", error.what());
  }
}

}  // namespace chorus::client
