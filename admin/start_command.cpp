#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <unistd.h>

#include "admin/commands.hpp"
#include "admin/programs.hpp"

namespace chorus::admin {
namespace fs = std::filesystem;

Failure start(const StartOptions& options) {
  const auto config = options.folder / "server.toml";
  std::error_code ignored;
  if (!fs::exists(config, ignored)) {
    return fail(errc::not_found,
                fmt::format("'{}' holds no server.toml; 'chorus init {}' makes one",
                            options.folder.string(),
                            options.folder.string()));
  }
  std::vector<std::string> words{find_program("chorusd", "server"), "--config", config.string()};
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
