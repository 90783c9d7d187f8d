// Child processes for tests and benchmarks: started, watched, killed, measured.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace chorus::test {

struct ProcessOptions {
  std::vector<std::string> command;                ///< program and arguments
  std::map<std::string, std::string> environment;  ///< added to this process's
  std::filesystem::path output;                    ///< where stdout and stderr go; empty: inherited
};

/// One child. The destructor kills it (SIGKILL) and waits.
class Process {
 public:
  explicit Process(const ProcessOptions& options);
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  Process(const Process&) = delete;
  ~Process();

  pid_t pid() const noexcept { return pid_; }
  bool running();
  void signal(int number) const;
  /// Exit status (128 + n when signal n ended it), or none when it still runs at the deadline.
  std::optional<int> wait(std::chrono::milliseconds deadline);
  void kill_now();

  double cpu_seconds() const;            ///< user + system so far
  std::uint64_t peak_rss_bytes() const;  ///< VmHWM

 private:
  pid_t pid_ = -1;
  std::optional<int> status_;
};

/// Runs to the end and gives what it printed on stdout. Fails the process (exit code not 0) by
/// returning none; `output` then holds what it said on both streams.
struct Finished {
  int code = -1;
  std::string out;
  std::string err;
};
Finished run(const std::vector<std::string>& command,
             std::chrono::milliseconds deadline = std::chrono::seconds(60));

/// Polls until true or the deadline; true if it became true.
bool eventually(const std::function<bool()>& condition,
                std::chrono::milliseconds deadline = std::chrono::seconds(60));

std::string read_file(const std::filesystem::path& path);

}  // namespace chorus::test
