#include "admin/cli.hpp"

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <sys/stat.h>

#include <gtest/gtest.h>

#include "admin/commands.hpp"
#include "common/base/files.hpp"
#include "common/crypto/digest.hpp"
#include "common/crypto/x509.hpp"
#include "common/wire/join_token.hpp"
#include "server/config/server_config.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/unit/admin/fake_link.hpp"

namespace chorus::admin {
namespace {

namespace fs = std::filesystem;

class Cli : public ::testing::Test {
 protected:
  void SetUp() override {
    ::unsetenv("CHORUS_FEDERATION");
    ::unsetenv("CHORUS_SERVER");
    auto link = std::make_unique<FakeLink>();
    link_ = link.get();
    waiting_ = std::move(link);
  }

  // What `chorus WORDS…` returns; its words are in out_ and err_.
  int chorus(std::vector<std::string> words) {
    out_.str("");
    err_.str("");
    words.insert(words.begin(), "chorus");
    std::vector<const char*> argv;
    for (const auto& word : words) argv.push_back(word.c_str());
    const World world{out_,
                      err_,
                      [](bool json) { return Console::Look{.json = json}; },
                      [this](const Federation& federation) { return connect(federation); }};
    return run(static_cast<int>(argv.size()), argv.data(), world);
  }
  Result<std::unique_ptr<AdminLink>> connect(const Federation& federation) {
    server_ = federation.server;
    if (waiting_ == nullptr) return fail(errc::connection_failed, "connecting: refused");
    return std::unique_ptr<AdminLink>(std::move(waiting_));
  }
  std::string federation() {
    const auto folder = (temp_.path() / "fed").string();
    EXPECT_EQ(chorus({"init", folder, "--name", "clinics", "--host", "fed.example.org"}), 0);
    return folder;
  }

  test::TempFolder temp_;
  std::unique_ptr<AdminLink> waiting_;
  FakeLink* link_ = nullptr;
  std::string server_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(Cli, WrongCommandLinesAreUsageErrors) {
  EXPECT_EQ(chorus({}), 2);
  EXPECT_EQ(chorus({"jbo"}), 2);
  EXPECT_EQ(
      err_.str(),
      "chorus: no command 'jbo'; did you mean 'job'?\n  'chorus --help' shows the commands.\n");
  EXPECT_EQ(chorus({"job", "nonsense"}), 2);
  EXPECT_EQ(err_.str().substr(0, 94),
            "chorus: no command 'nonsense'; there are: submit, list, show, plan, pause, resume, "
            "stop\n  'cho");
  EXPECT_EQ(chorus({"job", "show"}), 2);
  EXPECT_EQ(chorus({"enroll", "--valid", "soon"}), 2);
  EXPECT_NE(err_.str().find("'soon' is no duration"), std::string::npos) << err_.str();
  EXPECT_EQ(chorus({"enroll", "--uses", "0"}), 2);
  EXPECT_EQ(chorus({"round", "list", "digits", "--last", "201"}), 2);
  EXPECT_EQ(chorus({"job", "list", "--nonsense"}), 2);
}

TEST_F(Cli, HelpAndVersion) {
  EXPECT_EQ(chorus({"--help"}), 0);
  for (const auto* word : {"Exit codes:", "init", "enroll", "watch", "audit"}) {
    EXPECT_NE(out_.str().find(word), std::string::npos) << word;
  }
  for (const auto* name : {"init", "start", "enroll", "watch", "status", "audit", "version"}) {
    EXPECT_EQ(chorus({name, "--help"}), 0) << name;
    EXPECT_NE(out_.str().find("Example: chorus"), std::string::npos) << name;
  }
  EXPECT_EQ(chorus({"version", "--json"}), 0);
  EXPECT_EQ(nlohmann::json::parse(out_.str()).at("software"), "chorus");
}

TEST_F(Cli, InitMakesAFederationThatFitsTogether) {
  const fs::path folder = federation();
  EXPECT_NE(out_.str().find("chorus start"), std::string::npos);
  const auto config = server::load_server_config(folder / "server.toml");
  ASSERT_TRUE(config) << config.error().detail;
  EXPECT_EQ(config->federation, "clinics");
  EXPECT_EQ(config->listen, (Address{"0.0.0.0", 7440}));
  EXPECT_EQ(config->advertise, (Address{"fed.example.org", 7440}));
  const auto text = [](const fs::path& file) { return read_text(file, 1U << 16U).value(); };
  const auto authority =
      CertificateAuthority::load(text(config->tls.ca), text(config->enrollment.ca_key));
  ASSERT_TRUE(authority) << authority.error().detail;
  EXPECT_EQ(authority->federation(), "clinics");
  const auto server = Certificate::from_pem(text(config->tls.certificate)).value();
  EXPECT_TRUE(server.belongs_to(PrivateKey::from_pem(text(config->tls.key)).value()));
  const auto names = server.info().value();
  EXPECT_EQ(names.role, Role::server);
  EXPECT_EQ(names.dns_names, (std::vector<std::string>{"fed.example.org", "localhost"}));
  EXPECT_EQ(names.ip_addresses.size(), 2U);
  const auto owner =
      Certificate::from_pem(text(folder / "admin" / "admin.pem")).value().info().value();
  EXPECT_EQ(owner.role, Role::owner);
  EXPECT_EQ(owner.common_name, "owner");
  for (const auto* secret : {"pki/ca.key", "pki/server.key", "admin/admin.key"}) {
    struct stat status {};
    ASSERT_EQ(::stat((folder / secret).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U) << secret;
  }
  // Nothing but the federation was left.
  EXPECT_EQ(std::distance(fs::directory_iterator(temp_.path()), fs::directory_iterator()), 1);
}

TEST_F(Cli, InitOverwritesNothing) {
  const auto folder = federation();
  const auto before = read_text(folder + "/pki/ca.key", 1U << 16U).value();
  EXPECT_EQ(chorus({"init", folder}), 1);
  EXPECT_NE(err_.str().find("exists and is not empty"), std::string::npos);
  EXPECT_EQ(read_text(folder + "/pki/ca.key", 1U << 16U).value(), before);
  const auto empty = temp_.path() / "empty";
  fs::create_directory(empty);
  EXPECT_EQ(chorus({"init", empty.string()}), 0);
  EXPECT_EQ(chorus({"init", (temp_.path() / "x").string(), "--name", "Not A Name"}), 1);
  EXPECT_EQ(chorus({"init", (temp_.path() / "x").string(), "--host", "a b"}), 1);
  EXPECT_EQ(chorus({"init", (temp_.path() / "x").string(), "--listen", "here"}), 1);
  EXPECT_FALSE(fs::exists(temp_.path() / "x"));
}

TEST_F(Cli, ALocalFederationListensOnLoopbackOnly) {
  const auto folder = temp_.path() / "local";
  EXPECT_EQ(chorus({"init", folder.string(), "--json"}), 0);
  const auto value = nlohmann::json::parse(out_.str());
  EXPECT_EQ(value.at("federation"), "local");
  EXPECT_EQ(value.at("server"), "localhost:7440");
  EXPECT_EQ(value.at("ca_sha256").get<std::string>().size(), 64U);
  EXPECT_EQ(server::load_server_config(folder / "server.toml")->listen.host, "127.0.0.1");
}

TEST_F(Cli, FindsTheFederationByFlagVariableAndFolder) {
  const auto folder = federation();
  link_->add_answer().mutable_jobs();
  EXPECT_EQ(chorus({"job", "list", "--federation", folder}), 0);
  EXPECT_EQ(server_, "fed.example.org:7440");
  SetUp();
  link_->add_answer().mutable_jobs();
  ::setenv("CHORUS_FEDERATION", folder.c_str(), 1);
  ::setenv("CHORUS_SERVER", "127.0.0.1:99", 1);
  EXPECT_EQ(chorus({"job", "list"}), 0);
  EXPECT_EQ(server_, "127.0.0.1:99");
  ::unsetenv("CHORUS_FEDERATION");
  ::unsetenv("CHORUS_SERVER");
  EXPECT_EQ(find_folder({}, fs::path(folder) / "pki" / "deeper").value(), folder);
  EXPECT_EQ(find_folder({}, temp_.path()).error().code, errc::not_found);
  EXPECT_EQ(chorus({"job", "list", "--federation", temp_.path().string()}), 1);
  EXPECT_EQ(chorus({"job", "list", "--federation", folder, "--server", "nowhere"}), 1);
  EXPECT_EQ(chorus({"job", "list", "--federation", folder, "--server", "a:0"}), 1);
  std::ofstream(fs::path(folder) / "admin" / "admin.toml") << "server = 3\n";
  EXPECT_EQ(chorus({"job", "list", "--federation", folder}), 1);
  EXPECT_NE(err_.str().find("name is missing"), std::string::npos) << err_.str();
}

TEST_F(Cli, FailuresHaveTheirExitCodes) {
  const auto folder = federation();
  const std::pair<errc, int> cases[] = {
      {errc::not_found, 1},
      {errc::malformed_file, 1},
      {errc::connection_failed, 3},
      {errc::timed_out, 3},
      {errc::tls_failed, 3},
      {errc::shutting_down, 3},
      {errc::unauthenticated, 4},
      {errc::certificate_expired, 4},
      {errc::revoked, 4},
      {errc::permission_denied, 4},
      {errc::internal, 1},
  };
  for (const auto& [code, expected] : cases) {
    SetUp();
    link_->add_failure(code, "what went wrong");
    EXPECT_EQ(chorus({"job", "list", "--federation", folder}), expected);
    EXPECT_EQ(err_.str().rfind("chorus: what went wrong\n", 0), 0U) << err_.str();
  }
  SetUp();
  link_->add_failure(errc::permission_denied, "a viewer may not");
  EXPECT_EQ(chorus({"job", "list", "--federation", folder, "--json"}), 4);
  EXPECT_EQ(
      err_.str(),
      "{\"error\":{\"code\":\"permission_denied\",\"detail\":\"a viewer may not\",\"may_retry\":"
      "false}}\n");
  EXPECT_EQ(out_.str(), "");
}

TEST_F(Cli, EnrollMakesATokenThatNamesTheServer) {
  const auto folder = federation();
  auto& token = *link_->add_answer().mutable_token();
  token.set_secret("s3cret");
  token.set_ca_sha256(std::string(32, 'x'));
  token.set_expires_ms(1'700'000'000'000);
  EXPECT_EQ(
      chorus({"enroll", "--name", "camera-7", "--valid", "24h", "--federation", folder, "--json"}),
      0);
  const auto parsed =
      wire::parse_join_token(nlohmann::json::parse(out_.str()).at("token").get<std::string>());
  ASSERT_TRUE(parsed) << parsed.error().detail;
  EXPECT_EQ(parsed->server, "fed.example.org:7440");
  EXPECT_EQ(parsed->secret, "s3cret");
}

TEST_F(Cli, ATokenForOneNameIsForOneDevice) {
  EXPECT_EQ(chorus({"enroll", "--name", "a", "--uses", "2", "--federation", federation()}), 1);
}

}  // namespace
}  // namespace chorus::admin
