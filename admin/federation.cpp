#include "admin/federation.hpp"

#include <fmt/format.h>

#include "common/base/address.hpp"
#include "common/base/try.hpp"
#include "common/config/toml_reader.hpp"
#include "server/config/server_config.hpp"

namespace chorus::admin {
namespace fs = std::filesystem;
namespace {

bool holds_federation(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / "server.toml", ignored) ||
         fs::exists(folder / "admin" / "admin.toml", ignored);
}

}  // namespace

Result<fs::path> find_folder(const Place& place, const fs::path& from) {
  if (!place.federation.empty()) {
    if (holds_federation(place.federation)) return fs::path(place.federation);
    return fail(errc::not_found,
                fmt::format("'{}' holds no federation (no server.toml); 'chorus init {}' makes one",
                            place.federation,
                            place.federation));
  }
  for (auto folder = from; !folder.empty(); folder = folder.parent_path()) {
    if (holds_federation(folder)) return folder;
    if (folder == folder.parent_path()) break;
  }
  return fail(
      errc::not_found,
      "no federation here: give --federation DIR, set CHORUS_FEDERATION, or change into the "
      "folder that 'chorus init' made");
}

Result<Federation> find_federation(const Place& place, const fs::path& from) {
  CHORUS_TRY(const auto folder, find_folder(place, from));
  Federation federation;
  federation.folder = folder;
  CHORUS_TRY(auto file, config::TomlReader::load(folder / "admin" / "admin.toml"));
  const auto root = file.root();
  if (root.require("server", "host:port of the daemon")) root.text("server", federation.server);
  if (root.require("name", "the administrator's name")) root.text("name", federation.name);
  CHORUS_OK(file.finish());
  if (!place.server.empty()) federation.server = place.server;
  CHORUS_TRY(const auto address, parse_address(federation.server));
  if (address.port == 0) {
    return fail(
        errc::invalid_argument,
        "the daemon chooses its own port; give --server HOST:PORT or set CHORUS_SERVER (the "
        "daemon logs its port and writes it to chorusd --port-file)");
  }
  return federation;
}

std::string address_for_devices(const Federation& federation) {
  const auto config = server::load_server_config(federation.folder / "server.toml");
  if (config && config->advertise.port != 0 && !config->advertise.host.empty()) {
    return to_string(config->advertise);
  }
  return federation.server;
}

}  // namespace chorus::admin
