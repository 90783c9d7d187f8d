#include "server/config/server_config.hpp"

#include <gtest/gtest.h>

#include "server/config/templates.hpp"

namespace chorus::server {
namespace {

using namespace std::chrono_literals;

constexpr const char* kHead = "[server]\nfederation = \"clinics\"\n";

std::string problems(const std::string& text) {
  const auto config = parse_server_config(text, "server.toml", "/etc/chorus");
  if (config) return "";
  EXPECT_EQ(config.error().code, errc::malformed_file);
  return config.error().detail;
}

TEST(ServerConfig, TheShortestFileGivesTheDefaults) {
  const auto config = parse_server_config(kHead, "server.toml", "/etc/chorus");
  ASSERT_TRUE(config) << config.error().detail;
  EXPECT_EQ(config->federation, "clinics");
  EXPECT_EQ(config->listen, (Address{"0.0.0.0", 7440}));
  EXPECT_EQ(config->storage, "/etc/chorus/data");
  EXPECT_EQ(config->tls.key, "/etc/chorus/pki/server.key");
  EXPECT_EQ(config->enrollment.ca_key, "/etc/chorus/pki/ca.key");
  EXPECT_EQ(config->limits, SessionLimits{});
  EXPECT_EQ(config->journal, JournalConfig{});
  EXPECT_EQ(config->log.file, "");
}

TEST(ServerConfig, TheCommentedFileStatesTheDefaults) {
  const auto text = server_toml({"clinics", "0.0.0.0:7440", "fed.example.org:7440"});
  const auto config = parse_server_config(text, "server.toml", "/etc/chorus");
  ASSERT_TRUE(config) << config.error().detail;
  const auto defaults = parse_server_config(kHead, "server.toml", "/etc/chorus").value();
  EXPECT_EQ(config->federation, "clinics");
  EXPECT_EQ(config->advertise, (Address{"fed.example.org", 7440}));
  EXPECT_EQ(config->listen, defaults.listen);
  EXPECT_EQ(config->threads, defaults.threads);
  EXPECT_EQ(config->storage, defaults.storage);
  EXPECT_EQ(config->tls, defaults.tls);
  EXPECT_EQ(config->enrollment, defaults.enrollment);
  EXPECT_EQ(config->limits, defaults.limits);
  EXPECT_EQ(config->journal, defaults.journal);
  EXPECT_EQ(config->log.level, defaults.log.level);
  EXPECT_EQ(config->log.file, defaults.log.file);
  EXPECT_EQ(config->log.json, defaults.log.json);
}

TEST(ServerConfig, ReadsEveryKey) {
  const auto config = parse_server_config(R"(
[server]
federation = "f"
listen = "[::1]:0"
advertise = "a.b:1"
threads = 4
storage = "/srv/chorus"
[tls]
certificate = "c"
key = "k"
ca = "/ca"
[enrollment]
enabled = false
ca_key = "x"
certificate_validity = "1d"
token_validity_max = "2h"
[limits]
connections_max = 5
devices_waiting_max = 6
memory_budget = "64MiB"
heartbeat = "1s"
idle_deadline = "3s"
drain_deadline = "0s"
[journal]
durability = "process"
segment_bytes = "1MiB"
checkpoint_after = "2MiB"
[log]
level = "debug"
file = "log/chorusd.log"
json = true
)",
                                          "server.toml",
                                          "/etc/chorus");
  ASSERT_TRUE(config) << config.error().detail;
  EXPECT_EQ(config->listen, (Address{"::1", 0}));
  EXPECT_EQ(config->advertise, (Address{"a.b", 1}));
  EXPECT_EQ(config->threads, 4U);
  EXPECT_EQ(config->storage, "/srv/chorus");
  EXPECT_EQ(config->tls, (TlsFiles{"/etc/chorus/c", "/etc/chorus/k", "/ca"}));
  EXPECT_EQ(config->enrollment, (EnrollmentConfig{false, "/etc/chorus/x", 24h, 2h}));
  EXPECT_EQ(config->limits, (SessionLimits{5, 6, 64U << 20U, 1s, 3s, 0s}));
  EXPECT_EQ(config->journal, (JournalConfig{DurabilityLevel::process, 1U << 20U, 2U << 20U}));
  EXPECT_EQ(config->log.level, "debug");
  EXPECT_EQ(config->log.file, "/etc/chorus/log/chorusd.log");
  EXPECT_TRUE(config->log.json);
}

TEST(ServerConfig, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"",
       "server.toml:1:1: server.federation is missing: expected the federation's name such as "
       "\"clinics\""},
      {"[server]\nfederation = \"Big Fed\"",
       "server.toml:2:14: server.federation = \"Big Fed\": expected a name of a-z, 0-9, '-', '.' "
       "or "
       "'_', starting with a letter or digit"},
      {"[server]\nfederation = \"f\"\nlisten = \"7440\"",
       "server.toml:3:10: server.listen = \"7440\": expected host:port such as \"0.0.0.0:7440\" or "
       "\"[::]:7440\""},
      {"[server]\nfederation = \"f\"\nadvertise = \"a.b:0\"",
       "server.toml:3:13: server.advertise = \"a.b:0\": expected a port that devices can connect "
       "to, "
       "not 0"},
      {"[server]\nfederation = \"f\"\nthreads = 1025",
       "server.toml:3:11: server.threads = 1025: expected a whole number from 0 to 1024"},
      {"[server]\nfederation = \"f\"\nprot = 1\n",
       "server.toml:3:1: server.prot: unknown key; known here: advertise, federation, listen, "
       "storage, threads"},
      {"[server]\nfederation = \"f\"\n[limits]\nidle_deadline = \"20s\"",
       "server.toml:4:17: limits.idle_deadline = \"20s\": expected at least twice the heartbeat, "
       "else "
       "a single late ping ends a session"},
      {"[server]\nfederation = \"f\"\n[limits]\nmemory_budget = \"15MiB\"",
       "server.toml:4:17: limits.memory_budget = \"15MiB\": expected a size from 16MiB to 16TiB"},
      {"[server]\nfederation = \"f\"\n[journal]\ndurability = \"fsync\"",
       "server.toml:4:14: journal.durability = \"fsync\": expected one of \"full\", \"process\""},
      {"[server]\nfederation = \"f\"\n[log]\nlevel = \"inof\"",
       "server.toml:4:9: log.level = \"inof\": expected one of \"trace\", \"debug\", \"info\", "
       "\"warn\", \"error\", \"off\"; did you mean 'info'?"},
      {"[server]\nfederation = \"f\"\n[jurnal]\nx = 1",
       "server.toml:3:2: jurnal: unknown key; did you mean 'journal'?"},
      {"[server]\nfederation = \"f\"\ndurability = \"full\"",
       "server.toml:3:1: server.durability: unknown key here; 'durability' belongs in [journal]"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(problems(text), expected) << text;
}

TEST(ServerConfig, AMissingFileIsNamed) {
  const auto config = load_server_config("/nonexistent/server.toml");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, errc::not_found);
  EXPECT_NE(config.error().detail.find("/nonexistent/server.toml"), std::string::npos);
}

}  // namespace
}  // namespace chorus::server
