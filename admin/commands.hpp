// What each `chorus` command does, apart from its flags (cli.cpp). One source per group.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "admin/admin_link.hpp"
#include "admin/console.hpp"
#include "admin/exit_codes.hpp"
#include "admin/federation.hpp"
#include "chorus/result.hpp"
#include "common/base/types.hpp"

namespace chorus::admin {

// ---- init_command.cpp ----
struct InitOptions {
  std::filesystem::path folder;
  std::string name;
  std::string host = "localhost";  ///< what devices connect to
  std::string listen;              ///< address to listen on; empty: loopback or all, as `host` says
  std::uint16_t port = 7440;
  std::vector<std::string> more_names;  ///< further names and addresses of the server
  std::string admin = "owner";
};
/// CA, certificates, server.toml, job.toml. The folder appears complete or not at all.
/// @errors already_exists (it is there and not empty), invalid_argument, io_failed
Result<void> init(Console& console, const InitOptions& options);

// ---- start_command.cpp ----
struct StartOptions {
  std::filesystem::path folder;
  std::vector<std::string> more;  ///< further arguments of chorusd
};
/// Becomes chorusd (exec). Returns only when that fails. @errors not_found, io_failed
Failure start(const StartOptions& options);

// ---- enroll_command.cpp ----
struct EnrollOptions {
  std::string device;
  std::uint32_t uses = 1;
  Duration valid = std::chrono::hours(1);
  std::string address;  ///< for devices; empty: see address_for_devices()
};
Result<void> enroll(Console& console,
                    AdminLink& link,
                    const Federation& federation,
                    const EnrollOptions& options);

// ---- job_command.cpp ----
enum class JobAction { pause, resume, stop };
Result<void> job_submit(Console& console, AdminLink& link, const std::filesystem::path& file);
Result<void> job_list(Console& console, AdminLink& link);
Result<void> job_show(Console& console, AdminLink& link, const std::string& job, bool as_toml);
/// How the job's updates travel at present, tensor by tensor.
/// @param down  of the versions instead of the updates
Result<void> job_plan(Console& console, AdminLink& link, const std::string& job, bool down);
Result<void> job_control(Console& console,
                         AdminLink& link,
                         const std::string& job,
                         JobAction action);

// ---- round_command.cpp ----
enum class RoundAction { abort, finish };
Result<void> round_list(Console& console,
                        AdminLink& link,
                        const std::string& job,
                        std::uint32_t last);
Result<void> round_show(Console& console,
                        AdminLink& link,
                        const std::string& job,
                        std::uint64_t round);
Result<void> round_control(Console& console,
                           AdminLink& link,
                           const std::string& job,
                           std::uint64_t round,
                           RoundAction action);

// ---- device_command.cpp ----
Result<void> device_list(Console& console, AdminLink& link);
Result<void> device_show(Console& console, AdminLink& link, const std::string& device);
Result<void> device_revoke(Console& console,
                           AdminLink& link,
                           const std::string& device,
                           const std::string& why);

// ---- model_command.cpp ----
enum class ExportFormat { safetensors, onnx };
struct ExportOptions {
  std::string job;
  std::string version;  ///< digest or prefix; empty: the current one
  std::filesystem::path output;
  bool overwrite = false;
  ExportFormat format = ExportFormat::safetensors;
};
Result<void> model_list(Console& console, AdminLink& link, const std::string& job);
Result<void> model_show(Console& console,
                        AdminLink& link,
                        const std::string& job,
                        const std::string& version);
/// Writes the file; it appears under its name only when complete and the version's SHA-256 right.
/// @errors already_exists, digest_mismatch, of the link; unsupported_feature: ONNX has no such
/// layer
Result<void> model_export(Console& console, AdminLink& link, const ExportOptions& options);

// ---- inspect_command.cpp ----
struct InspectOptions {
  std::filesystem::path file;
  std::uint32_t batch = 0;  ///< more than 0: also what training with such batches takes
};
/// The layers of a model file with what they cost. chorus-agent, on this machine, says what memory
/// training takes. @errors as load_source, output_of
Result<void> model_inspect(Console& console, const InspectOptions& options);
/// Whether a model can be trained here. @return failed when it cannot: every node is named
Result<ExitCode> model_check(Console& console, const std::filesystem::path& file);

// ---- watch_command.cpp ----
struct WatchOptions {
  std::string job;  ///< empty: the only one
  std::uint32_t last = 10;
  Duration patience = std::chrono::minutes(1);  ///< with a server that is away
};
/// Until the job is finished, stopped or degraded. @return ok or job_ended
Result<ExitCode> watch(Console& console,
                       const std::function<Result<std::unique_ptr<AdminLink>>()>& connect,
                       const WatchOptions& options);

// ---- status_command.cpp ----
Result<void> status(Console& console, AdminLink& link, const Federation& federation);
Result<void> audit(Console& console, AdminLink& link, std::uint32_t last);

}  // namespace chorus::admin
