// Enrolment and the client, in C.
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "chorus/c/client.h"
#include "chorus/client/client.hpp"
#include "client/src/c_api.hpp"
#include "client/src/c_api_trainer.hpp"

struct chorus_client {
  static constexpr auto kKind = chorus::capi::Handle::client;
  chorus::capi::Handle kind = kKind;
  std::shared_ptr<chorus::client::Client> client;
};

namespace chorus::capi {
namespace {

constexpr std::uint64_t kIntervalMillisecondsMax = 366ULL * 24 * 3600 * 1000;
constexpr std::uint32_t kFlags = CHORUS_CLIENT_UPLOAD_IN_MEMORY | CHORUS_CLIENT_NO_VERSION_CACHE;

Result<client::ClientOptions> options_from(const chorus_client_options& from) {
  client::ClientOptions options;
  options.server = text_or(from.server, "");
  options.state = text_or(from.state, "");
  options.software = text_or(from.software, options.software);
  if (from.job_count > 0) CHORUS_OK(not_null(from.jobs, "chorus_client_options.jobs"));
  for (std::size_t i = 0; i < from.job_count; ++i) {
    CHORUS_TRY(const char* const job, not_null(from.jobs[i], "chorus_client_options.jobs[i]"));
    options.jobs.emplace_back(job);
  }
  options.tasks_max = from.tasks_max;
  if (from.eligibility_interval > kIntervalMillisecondsMax) {
    return fail(errc::invalid_argument,
                "chorus_client_options.eligibility_interval is " +
                    std::to_string(from.eligibility_interval) + " ms; expected at most " +
                    std::to_string(kIntervalMillisecondsMax) + ", a year");
  }
  if (from.eligibility_interval > 0) {
    options.eligibility_interval = std::chrono::milliseconds(from.eligibility_interval);
  }
  if ((from.flags & ~kFlags) != 0) {
    return fail(errc::invalid_argument,
                "chorus_client_options.flags is " + std::to_string(from.flags) +
                    "; expected a sum of CHORUS_CLIENT_… flags");
  }
  options.durable_upload = (from.flags & CHORUS_CLIENT_UPLOAD_IN_MEMORY) == 0;
  options.cache_versions = (from.flags & CHORUS_CLIENT_NO_VERSION_CACHE) == 0;
  return options;
}

void attach(const chorus_client_options& from, client::ClientOptions& options) {
  if (from.eligible != nullptr) {
    options.eligible = [ask = from.eligible, context = from.context] { return ask(context); };
  }
  if (from.on_progress != nullptr) {
    options.on_progress = [tell = from.on_progress,
                           context = from.context](const client::Progress& now) {
      const chorus_progress progress{static_cast<chorus_state>(now.state),
                                     now.job.c_str(),
                                     now.round,
                                     now.done,
                                     now.total,
                                     now.detail.c_str()};
      tell(&progress, context);
    };
  }
}

Result<void> enroll(const chorus_enroll_options* given, char* name, std::size_t name_size) {
  CHORUS_TRY(const auto from, copied(given, "chorus_enroll_options"));
  CHORUS_TRY(const char* const token, not_null(from.token, "chorus_enroll_options.token"));
  CHORUS_TRY(const char* const state, not_null(from.state, "chorus_enroll_options.state"));
  if (name != nullptr && name_size < CHORUS_NAME_SIZE) {
    return fail(errc::invalid_argument,
                "name_size is " + std::to_string(name_size) + "; expected at least " +
                    std::to_string(CHORUS_NAME_SIZE) + " (CHORUS_NAME_SIZE)");
  }
  CHORUS_TRY(const std::string made, client::enroll({token, state, text_or(from.name, "")}));
  if (name != nullptr) std::memcpy(name, made.c_str(), made.size() + 1);
  return {};
}

chorus_run_summary summary_of(const client::RunSummary& run) {
  return {sizeof(chorus_run_summary),
          run.accepted,
          run.evaluated,
          run.rejected,
          run.discarded,
          run.reconnects,
          run.bytes_sent,
          run.bytes_received};
}

}  // namespace
}  // namespace chorus::capi

namespace capi = chorus::capi;
using chorus::Result;

extern "C" {

chorus_status chorus_enroll(const chorus_enroll_options* options, char* name, size_t name_size) {
  return capi::guarded([&] { return capi::enroll(options, name, name_size); });
}

const char* chorus_state_name(chorus_state state) {
  if (static_cast<unsigned>(state) > CHORUS_STOPPED) return "unknown";
  return chorus::client::to_string(static_cast<chorus::client::State>(state)).data();  // a literal
}

chorus_status chorus_client_create(const chorus_client_options* options, chorus_client** client) {
  return capi::guarded([&]() -> Result<void> {
    CHORUS_OK(capi::not_null(client, "client"));
    *client = nullptr;
    CHORUS_TRY(const auto from, capi::copied(options, "chorus_client_options"));
    CHORUS_TRY(auto made_options, capi::options_from(from));
    capi::attach(from, made_options);
    CHORUS_TRY(auto made, chorus::client::Client::create(std::move(made_options)));
    auto handle = std::make_unique<chorus_client>();
    handle->client = std::move(made);
    *client = handle.release();
    return {};
  });
}

chorus_status chorus_client_run(chorus_client* client,
                                chorus_trainer* trainer,
                                chorus_run_summary* summary) {
  return capi::guarded([&]() -> Result<void> {
    CHORUS_TRY(const auto* const opened, capi::open_handle(client));
    CHORUS_TRY(const auto* const taught, capi::open_handle(trainer));
    chorus_run_summary nothing{sizeof(chorus_run_summary), 0, 0, 0, 0, 0, 0, 0};
    chorus_run_summary* const into = summary != nullptr ? summary : &nothing;
    // Asked before the run: after it, it would be too late to say that the size is wrong.
    CHORUS_OK(capi::hand_out({}, into, "chorus_run_summary"));
    // Shared: whoever closes a handle during the run takes nothing away from it.
    const auto runs = opened->client;
    const auto trains = taught->trainer;
    CHORUS_TRY(const auto done, runs->run(*trains));
    return capi::hand_out(capi::summary_of(done), into, "chorus_run_summary");
  });
}

chorus_status chorus_client_stop(chorus_client* client) {
  return capi::guarded([&]() -> Result<void> {
    CHORUS_TRY(const auto* const opened, capi::open_handle(client));
    opened->client->stop();
    return {};
  });
}

void chorus_client_destroy(chorus_client** client) {
  if (client != nullptr && *client != nullptr && (*client)->kind == chorus_client::kKind) {
    (*client)->client->stop();
  }
  capi::close_handle(client);
}

}  // extern "C"
