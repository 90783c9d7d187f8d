#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <boost/asio/ip/address.hpp>

#include "admin/commands.hpp"
#include "common/base/address.hpp"
#include "common/base/files.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/crypto/digest.hpp"
#include "common/crypto/x509.hpp"
#include "server/config/names.hpp"
#include "server/config/templates.hpp"

namespace chorus::admin {
namespace fs = std::filesystem;
namespace {

constexpr std::chrono::hours kAuthorityValidity{24 * 3650};
constexpr std::chrono::hours kCertificateValidity{24 * 1825};

bool is_address(const std::string& text) {
  boost::system::error_code error;
  static_cast<void>(boost::asio::ip::make_address(text, error));
  return !error;
}

bool is_loopback(const std::string& host) {
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(host, error);
  return error ? host == "localhost" : address.is_loopback();
}

// Always good for this machine itself, so that an administrator here needs no other name.
ServerNames names_of(const InitOptions& options) {
  std::vector<std::string> all{options.host, "localhost", "127.0.0.1", "::1"};
  all.insert(all.end(), options.more_names.begin(), options.more_names.end());
  ServerNames names;
  for (const auto& name : all) {
    auto& list = is_address(name) ? names.ip_addresses : names.dns_names;
    if (std::find(list.begin(), list.end(), name) == list.end()) list.push_back(name);
  }
  return names;
}

Result<void> check(const InitOptions& options) {
  if (!server::valid_label(options.name)) {
    return fail(
        errc::invalid_argument,
        fmt::format("'{}' is no name for a federation; expected 1 to {} of a-z, 0-9, '-', '.' "
                    "or '_', starting with a letter or digit",
                    options.name,
                    limits::kNameBytesMax));
  }
  if (!server::valid_label(options.admin)) {
    return fail(
        errc::invalid_argument,
        fmt::format("'{}' is no name for an administrator; expected a-z, 0-9, '-', '.' or '_'",
                    options.admin));
  }
  CHORUS_OK(parse_address(to_string(Address{options.host, options.port})));
  if (!options.listen.empty() && !is_address(options.listen)) {
    return fail(
        errc::invalid_argument,
        fmt::format("'{}' is no address to listen on; expected an IP address such as 0.0.0.0",
                    options.listen));
  }
  std::error_code ignored;
  if (fs::exists(options.folder, ignored) && !fs::is_empty(options.folder, ignored)) {
    return fail(
        errc::already_exists,
        fmt::format("'{}' exists and is not empty; give another folder (nothing was changed)",
                    options.folder.string()));
  }
  return {};
}

Result<void> write_identity(const Identity& identity, const fs::path& folder, const char* name) {
  CHORUS_TRY(const auto certificate, identity.certificate.to_pem());
  CHORUS_TRY(const auto key, identity.key.to_pem());
  CHORUS_OK(write_durably(folder / fmt::format("{}.key", name), std::string_view(key), 0600));
  return write_durably(folder / fmt::format("{}.pem", name), std::string_view(certificate));
}

Result<std::string> write_pki(const InitOptions& options, const fs::path& folder) {
  CHORUS_TRY(const auto authority,
             CertificateAuthority::create(options.name, valid_for(kAuthorityValidity)));
  const auto validity = valid_for(kCertificateValidity);
  CHORUS_TRY(const auto server, authority.issue_server(names_of(options), validity));
  CHORUS_TRY(const auto owner, authority.issue_admin(options.admin, Role::owner, validity));
  CHORUS_OK(make_folders(folder / "pki", 0700));
  CHORUS_OK(make_folders(folder / "admin", 0700));
  CHORUS_OK(write_identity({authority.certificate(), authority.key()}, folder / "pki", "ca"));
  CHORUS_OK(write_identity(server, folder / "pki", "server"));
  CHORUS_OK(write_identity(owner, folder / "admin", "admin"));
  CHORUS_TRY(const auto ca, authority.certificate().to_pem());
  CHORUS_OK(write_durably(folder / "admin" / "ca.pem", std::string_view(ca)));
  CHORUS_TRY(const auto info, authority.certificate().info());
  return hex(info.fingerprint);
}

std::string admin_toml(const InitOptions& options, const std::string& address) {
  return fmt::format(
      "# Who administers, and where the daemon is. Copy this folder to administer from elsewhere;\n"
      "# admin.key is a secret.\n"
      "server = \"{}\"\n"
      "name = \"{}\"\n",
      address,
      options.admin);
}

Result<std::string> write_all(const InitOptions& options,
                              const std::string& address,
                              const fs::path& folder) {
  CHORUS_TRY(const auto fingerprint, write_pki(options, folder));
  auto listen = options.listen;
  if (listen.empty()) listen = is_loopback(options.host) ? "127.0.0.1" : "0.0.0.0";
  const server::ServerFacts facts{options.name, to_string(Address{listen, options.port}), address};
  CHORUS_OK(make_folders(folder / "data", 0700));
  CHORUS_OK(write_durably(folder / "server.toml", std::string_view(server::server_toml(facts))));
  CHORUS_OK(write_durably(folder / "job.toml", std::string_view(server::digits_job_toml())));
  CHORUS_OK(write_durably(folder / "admin" / "admin.toml",
                          std::string_view(admin_toml(options, address))));
  return fingerprint;
}

void print_next_steps(Console& console, const InitOptions& options, const std::string& address) {
  const auto folder = options.folder.string();
  console.line(fmt::format("Made the federation '{}' in {}", options.name, folder));
  console.line();
  console.line(
      "  server.toml   the daemon's settings      pki/     certificates; ca.key is the secret");
  console.line("  job.toml      an example job             admin/   the owner's certificate");
  console.line();
  console.line("Next:");
  console.line(fmt::format("  chorus start {:<28} runs the daemon at {}", folder, address));
  console.line(fmt::format("  cd {:<38} so that the commands find it", folder));
  console.line("  chorus enroll                              a join token for one device");
  console.line("  chorus job submit job.toml                 starts training");
  console.line("  chorus watch                               shows it");
  if (is_loopback(options.host)) {
    console.line();
    console.line(
        "Only this machine can connect. For others: chorus init DIR --host NAME-OF-THIS-HOST");
  }
}

}  // namespace

Result<void> init(Console& console, const InitOptions& options) {
  CHORUS_OK(check(options));
  const auto address = to_string(Address{options.host, options.port});
  // Made beside its place and then moved there: a failure half-way leaves nothing behind.
  const auto folder = fs::absolute(options.folder).lexically_normal();
  const auto target = folder.has_filename() ? folder : folder.parent_path();
  auto building = target;
  building += fmt::format(".new-{}", ::getpid());
  std::error_code error;
  fs::remove_all(building, error);
  CHORUS_OK(make_folders(building));
  auto fingerprint = write_all(options, address, building);
  if (!fingerprint) {
    fs::remove_all(building, error);
    return std::move(fingerprint).error().during("making the federation");
  }
  fs::rename(building, target, error);
  if (error) {
    std::error_code ignored;
    fs::remove_all(building, ignored);
    return fail(errc::io_failed,
                fmt::format("moving the federation to '{}': {}", target.string(), error.message()));
  }
  CHORUS_OK(sync_folder(target.parent_path()));
  if (console.json()) {
    nlohmann::ordered_json value;
    value["federation"] = options.name;
    value["folder"] = target.string();
    value["server"] = address;
    value["admin"] = options.admin;
    value["ca_sha256"] = *fingerprint;
    console.value(value);
  }
  print_next_steps(console, options, address);
  return {};
}

}  // namespace chorus::admin
