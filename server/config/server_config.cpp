#include "server/config/server_config.hpp"

#include "common/base/files.hpp"
#include "common/base/try.hpp"
#include "common/config/toml_reader.hpp"
#include "server/config/names.hpp"

namespace chorus::server {
namespace {

using config::TomlTable;
using namespace std::chrono_literals;

constexpr std::size_t kServerFileBytesMax = 1U << 20U;

void read_address(const TomlTable& table, std::string_view key, Address& into) {
  std::string text;
  if (!table.text(key, text)) return;
  auto address = parse_address(text);
  if (address) {
    into = std::move(address).value();
  } else {
    table.problem(key, "expected host:port such as \"0.0.0.0:7440\" or \"[::]:7440\"");
  }
}

// Relative paths start at the file's folder, also the default ones.
void read_path(const TomlTable& table,
               std::string_view key,
               const std::filesystem::path& folder,
               std::filesystem::path& into) {
  if (!table.path(key, into) && into.is_relative() && !folder.empty()) into = folder / into;
}

void read_server(const TomlTable& table, const std::filesystem::path& folder, ServerConfig& into) {
  const config::TextRule name{
      limits::kNameBytesMax,
      valid_label,
      "a name of a-z, 0-9, '-', '.' or '_', starting with a letter or digit"};
  if (table.require("federation", "the federation's name such as \"clinics\"")) {
    table.text("federation", into.federation, name);
  }
  read_address(table, "listen", into.listen);
  read_address(table, "advertise", into.advertise);
  if (!into.advertise.host.empty() && into.advertise.port == 0 && into.listen.port != 0) {
    table.problem("advertise", "expected a port that devices can connect to, not 0");
  }
  table.whole("threads", into.threads, {0, 1024});
  read_path(table, "storage", folder, into.storage);
}

void read_tls(const TomlTable& table, const std::filesystem::path& folder, TlsFiles& into) {
  read_path(table, "certificate", folder, into.certificate);
  read_path(table, "key", folder, into.key);
  read_path(table, "ca", folder, into.ca);
}

void read_enrollment(const TomlTable& table,
                     const std::filesystem::path& folder,
                     EnrollmentConfig& into) {
  table.boolean("enabled", into.enabled);
  read_path(table, "ca_key", folder, into.ca_key);
  table.duration("certificate_validity", into.certificate_validity, {1min, 24h * 3650});
  table.duration("token_validity_max", into.token_validity_max, {1s, 24h * 365});
}

void read_limits(const TomlTable& table, SessionLimits& into) {
  table.whole("connections_max", into.connections_max, {1, 1'000'000});
  table.whole("devices_waiting_max", into.devices_waiting_max, {1, 1'000'000});
  table.size("memory_budget", into.memory_budget, {16ULL << 20U, 1ULL << 44U});
  table.duration("heartbeat", into.heartbeat, {100ms, 1h});
  table.duration("idle_deadline", into.idle_deadline, {200ms, 24h});
  table.duration("drain_deadline", into.drain_deadline, {0s, 1h});
  if (into.idle_deadline < 2 * into.heartbeat) {
    table.problem("idle_deadline",
                  "expected at least twice the heartbeat, else a single late ping "
                  "ends a session");
  }
}

void read_journal(const TomlTable& table, JournalConfig& into) {
  table.choice("durability",
               into.durability,
               {{"full", DurabilityLevel::full}, {"process", DurabilityLevel::process}});
  table.size("segment_bytes", into.segment_bytes, {1ULL << 20U, 1ULL << 40U});
  table.size("checkpoint_after", into.checkpoint_after, {4096, 1ULL << 44U});
}

void read_log(const TomlTable& table, LogOptions& into) {
  constexpr std::string_view kLevels[] = {"trace", "debug", "info", "warn", "error", "off"};
  std::size_t level = 0;
  if (table.word("level", level, kLevels)) into.level = kLevels[level];
  std::string file;
  std::filesystem::path path;
  // An empty text stands for standard error, as in the commented file.
  if (table.text("file", file) && !file.empty() && table.path("file", path))
    into.file = path.string();
  table.boolean("json", into.json);
}

}  // namespace

Result<ServerConfig> parse_server_config(std::string_view text,
                                         const std::string& file_name,
                                         const std::filesystem::path& folder) {
  CHORUS_TRY(auto file, config::TomlReader::parse(text, file_name, folder));
  ServerConfig config;
  const auto root = file.root();
  read_server(root.table("server"), folder, config);
  read_tls(root.table("tls"), folder, config.tls);
  read_enrollment(root.table("enrollment"), folder, config.enrollment);
  read_limits(root.table("limits"), config.limits);
  read_journal(root.table("journal"), config.journal);
  read_log(root.table("log"), config.log);
  CHORUS_OK(file.finish());
  return config;
}

Result<ServerConfig> load_server_config(const std::filesystem::path& file) {
  CHORUS_TRY(const auto text, read_text(file, kServerFileBytesMax));
  std::error_code ignored;
  return parse_server_config(
      text, file.string(), std::filesystem::absolute(file, ignored).parent_path());
}

}  // namespace chorus::server
