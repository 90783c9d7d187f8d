// server.toml: what one daemon needs to know. The members' initial values are the defaults;
// templates.cpp writes a commented file that states each of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "chorus/result.hpp"
#include "common/base/address.hpp"
#include "common/base/limits.hpp"
#include "common/base/log.hpp"
#include "common/base/types.hpp"

namespace chorus::server {

/// When an update counts as stored, and the device is told so.
enum class DurabilityLevel : std::uint8_t {
  full = 1,     ///< after fdatasync: survives a power cut
  process = 2,  ///< after write: survives a crash of the daemon
};

struct TlsFiles {
  std::filesystem::path certificate = "pki/server.pem";
  std::filesystem::path key = "pki/server.key";
  std::filesystem::path ca = "pki/ca.pem";

  bool operator==(const TlsFiles&) const = default;
};

struct EnrollmentConfig {
  bool enabled = true;
  std::filesystem::path ca_key = "pki/ca.key";  ///< read only when enabled
  Duration certificate_validity = std::chrono::hours(24 * 90);
  Duration token_validity_max = std::chrono::hours(24 * 7);

  bool operator==(const EnrollmentConfig&) const = default;
};

struct SessionLimits {
  std::uint32_t connections_max = 20'000;
  std::uint32_t devices_waiting_max = 10'000;  ///< beyond: told to come back later
  std::uint64_t memory_budget = 2ULL << 30U;   ///< bytes granted to bodies, lanes and caches
  Duration heartbeat = limits::kHeartbeat;
  Duration idle_deadline = limits::kIdleDeadline;
  Duration drain_deadline = std::chrono::seconds(20);  ///< of a stop, until sessions are cut

  bool operator==(const SessionLimits&) const = default;
};

struct JournalConfig {
  DurabilityLevel durability = DurabilityLevel::full;
  std::uint64_t segment_bytes = 256ULL << 20U;
  std::uint64_t checkpoint_after = 1ULL << 30U;  ///< bytes of bodies between two checkpoints

  bool operator==(const JournalConfig&) const = default;
};

struct ServerConfig {
  std::string federation;           ///< its name, for people and certificates; required
  Address listen{"0.0.0.0", 7440};  ///< port 0: any free one
  Address advertise{"", 0};         ///< what devices connect to; empty: as `listen`
  std::uint32_t threads = 0;        ///< of network and sums; 0: one per CPU core
  std::filesystem::path storage = "data";
  TlsFiles tls;
  EnrollmentConfig enrollment;
  SessionLimits limits;
  JournalConfig journal;
  LogOptions log;
};

/// @param folder  where relative paths in the file start
/// @errors malformed_file: every problem with line, key, value and what was expected
Result<ServerConfig> parse_server_config(std::string_view text,
                                         const std::string& file_name,
                                         const std::filesystem::path& folder);

/// @errors as parse_server_config(), and of reading the file
Result<ServerConfig> load_server_config(const std::filesystem::path& file);

}  // namespace chorus::server
