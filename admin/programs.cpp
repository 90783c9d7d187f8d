#include "admin/programs.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/files.hpp"

extern char** environ;

namespace chorus::admin {
namespace fs = std::filesystem;
namespace {

Failure not_started(const std::string& name, int reason) {
  if (reason == ENOENT) {
    return fail(errc::not_found,
                fmt::format("{} is neither beside this program nor in PATH; install it, or add its "
                            "folder to PATH",
                            name));
  }
  return fail(errc::io_failed, fmt::format("starting {}: {}", name, std::strerror(reason)));
}

std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace

std::string find_program(std::string_view name, std::string_view room) {
  std::error_code error;
  const auto self = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    const auto folder = self.parent_path();
    for (const auto& place : {folder / name, folder.parent_path() / room / name}) {
      if (::access(place.c_str(), X_OK) == 0) return place.string();
    }
  }
  return std::string(name);
}

Result<std::string> output_of(const std::vector<std::string>& command) {
  std::vector<std::string> words = command;
  std::vector<char*> pointers;
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return not_started(command.front(), errno);
  const UniqueFd reads(ends[0]);
  UniqueFd writes(ends[1]);
  posix_spawn_file_actions_t actions{};
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_addclose(&actions, ends[0]);
  pid_t child = 0;
  const int wrong =
      ::posix_spawnp(&child, pointers.front(), &actions, nullptr, pointers.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (wrong != 0) return not_started(command.front(), wrong);
  writes = UniqueFd();
  std::string said = read_all(reads.get());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return said;
  return fail(errc::io_failed, fmt::format("{} failed (its words are above)", command.front()));
}

}  // namespace chorus::admin
