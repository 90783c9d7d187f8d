// Where an administrator's files are: the folder that `chorus init` made.
#pragma once

#include <filesystem>
#include <string>

#include "chorus/result.hpp"

namespace chorus::admin {

/// What the command line says about the place to talk to; empty: not said.
struct Place {
  std::string federation;  ///< --federation, or CHORUS_FEDERATION
  std::string server;      ///< --server, or CHORUS_SERVER: instead of admin.toml's
};

struct Federation {
  std::filesystem::path folder;
  std::string server;  ///< "host:port" to connect to
  std::string name;    ///< the administrator's
};

/// The folder: as said, else the nearest parent of `from` that holds server.toml or
/// admin/admin.toml.
/// @errors not_found, saying how to name one
Result<std::filesystem::path> find_folder(const Place& place, const std::filesystem::path& from);

/// Finds the folder and reads admin/admin.toml.
/// @errors not_found, malformed_file
Result<Federation> find_federation(const Place& place, const std::filesystem::path& from);

/// What devices are told to connect to: server.toml's advertised address when it has a port, else
/// the address this administrator uses (a port chosen by the system is not in the file).
std::string address_for_devices(const Federation& federation);

}  // namespace chorus::admin
