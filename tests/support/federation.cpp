#include "tests/support/federation.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <fstream>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace chorus::test {
namespace {

// The daemon is restarted on the same port, so it cannot be "any free one" at each start.
std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (fd < 0 || ::bind(fd, any, length) != 0 || ::getsockname(fd, any, &length) != 0) {
    throw std::runtime_error("no free port on loopback");
  }
  ::close(fd);
  return ntohs(address.sin_port);
}

std::string describe(const std::vector<std::string>& command, const Finished& finished) {
  std::string text;
  for (const std::string& word : command) text += word + " ";
  return text + "ended with " + std::to_string(finished.code) + "\n" + finished.out + finished.err;
}

}  // namespace

Federation::Federation(Binaries binaries)
    : binaries_(std::move(binaries)), folder_(temp_.path() / "federation"), port_(free_port()) {
  const std::vector<std::string> init{binaries_.chorus,
                                      "init",
                                      folder_.string(),
                                      "--name",
                                      "test",
                                      "--host",
                                      "127.0.0.1",
                                      "--port",
                                      std::to_string(port_)};
  const Finished finished = run(init);
  if (finished.code != 0) throw std::runtime_error(describe(init, finished));
}

Federation::~Federation() = default;

void Federation::start_server(const ServerOptions& options) {
  server_.reset();
  const auto port_file = temp_.path() / "port";
  std::filesystem::remove(port_file);
  ProcessOptions process;
  process.command = {binaries_.chorusd,
                     "--config",
                     (folder_ / "server.toml").string(),
                     "--port-file",
                     port_file.string(),
                     "--threads",
                     std::to_string(options.threads)};
  if (!options.fail_at.empty()) process.environment["CHORUS_FAIL_AT"] = options.fail_at;
  process.output = temp_.path() / "chorusd.log";
  server_ = std::make_unique<Process>(process);
  const bool listening =
      eventually([&] { return std::filesystem::exists(port_file) || !server_->running(); });
  if (!listening || !std::filesystem::exists(port_file)) {
    throw std::runtime_error("chorusd does not listen:\n" + log());
  }
}

std::filesystem::path Federation::enroll(const std::string& name) {
  const auto state = device_folder(name);
  const std::string token = admin({"enroll", "--name", name}).at("token");
  const std::vector<std::string> command{
      binaries_.agent, "enroll", "--token", token, "--state", state.string()};
  const Finished finished = run(command);
  if (finished.code != 0) throw std::runtime_error(describe(command, finished));
  return state;
}

Process Federation::start_agent(const AgentOptions& options) {
  ProcessOptions process;
  process.command = {binaries_.agent,
                     "run",
                     "--server",
                     address(),
                     "--state",
                     device_folder(options.name).string()};
  process.command.insert(process.command.end(), options.data.begin(), options.data.end());
  process.output = temp_.path() / (options.name + ".log");
  return Process(process);
}

Finished Federation::try_admin(std::vector<std::string> arguments) {
  std::vector<std::string> command{binaries_.chorus, "--json", "--federation", folder_.string()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run(command);
}

nlohmann::json Federation::admin(std::vector<std::string> arguments) {
  const Finished finished = try_admin(arguments);
  if (finished.code != 0) throw std::runtime_error(describe(arguments, finished));
  return nlohmann::json::parse(finished.out);
}

void Federation::submit(const std::string& job_toml) {
  const auto file = temp_.path() / "job.toml";
  std::ofstream(file) << job_toml;
  admin({"job", "submit", file.string()});
}

nlohmann::json Federation::wait_for_state(const std::string& job,
                                          const std::vector<std::string>& states,
                                          std::chrono::seconds deadline) {
  nlohmann::json summary;
  const bool reached = eventually(
      [&] {
        // The daemon may be away for a moment: tests kill it.
        const Finished finished = try_admin({"job", "show", job});
        if (finished.code != 0) return !server_->running();
        summary = nlohmann::json::parse(finished.out).at("summary");
        const std::string state = summary.at("state");
        return std::find(states.begin(), states.end(), state) != states.end();
      },
      deadline);
  if (!reached)
    throw std::runtime_error("job " + job + " stands at " + summary.dump() + "\n" + log());
  return summary;
}

std::string Federation::log() const {
  return read_file(temp_.path() / "chorusd.log");
}

}  // namespace chorus::test
