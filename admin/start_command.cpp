#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <unistd.h>

#include "admin/commands.hpp"

namespace chorus::admin {
namespace fs = std::filesystem;
namespace {

// Beside this program (as installed, or in a build tree), else wherever PATH finds it.
std::string find_daemon() {
  std::error_code error;
  const auto self = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    const auto folder = self.parent_path();
    for (const auto& place : {folder / "chorusd", folder.parent_path() / "server" / "chorusd"}) {
      if (::access(place.c_str(), X_OK) == 0) return place.string();
    }
  }
  return "chorusd";
}

}  // namespace

Failure start(const StartOptions& options) {
  const auto config = options.folder / "server.toml";
  std::error_code ignored;
  if (!fs::exists(config, ignored)) {
    return fail(errc::not_found,
                fmt::format("'{}' holds no server.toml; 'chorus init {}' makes one",
                            options.folder.string(),
                            options.folder.string()));
  }
  std::vector<std::string> words{find_daemon(), "--config", config.string()};
  words.insert(words.end(), options.more.begin(), options.more.end());
  std::vector<char*> pointers;
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  ::execvp(pointers.front(), pointers.data());
  const int reason = errno;
  if (reason == ENOENT) {
    return fail(
        errc::not_found,
        "chorusd is neither beside this program nor in PATH; install it, or add its folder to "
        "PATH");
  }
  return fail(errc::io_failed,
              fmt::format("starting {}: {}", words.front(), std::strerror(reason)));
}

}  // namespace chorus::admin
