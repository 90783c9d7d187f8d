// Memory of a device: the programs of examples/c, connected and idle, and after training. One row
// per line as JSON, see deploy/footprint.sh.
//
// Each takes part in a federation of its own on loopback: chorus-c-logistic (libchorus-core) in a
// job of one dense layer, chorus-c-builtin (libchorus) in one of the FedAvg CNN, 1,663,370
// parameters, on 200 images of random numbers.
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>
#include <string>

#include "tests/support/federation.hpp"

namespace {

using namespace chorus::test;
namespace fs = std::filesystem;

constexpr double kMiB = 1024.0 * 1024.0;

/// A line of /proc/<pid>/status, in bytes.
std::uint64_t status_bytes(pid_t pid, const std::string& key) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(key + ":", 0) == 0) return std::stoull(line.substr(key.size() + 1)) * 1024;
  }
  throw std::runtime_error("no " + key + " of process " + std::to_string(pid));
}

void print(const std::string& name, std::uint64_t bytes) {
  const nlohmann::json row{
      {"name", name}, {"value", static_cast<double>(bytes) / kMiB}, {"unit", "MiB"}};
  std::printf("%s\n", row.dump().c_str());
}

struct Device {
  std::string program;
  std::string library;
  std::string model;  ///< [model] of its job
  unsigned features;
};

void write_data(const fs::path& path, unsigned features) {
  std::ofstream out(path);
  std::mt19937 random(1);
  for (unsigned row = 0; row < 200; ++row) {
    for (unsigned i = 0; i < features; ++i) out << random() % 256 << ",";
    out << row % 10 << "\n";
  }
}

void measure(const Device& device) {
  const TempFolder folder;
  Federation federation({CHORUS_BINARY, CHORUSD_BINARY, AGENT_BINARY});
  federation.start_server();
  write_data(folder.path() / "data.csv", device.features);
  ProcessOptions options;
  options.command = {device.program,
                     (folder.path() / "state").string(),
                     (folder.path() / "data.csv").string(),
                     "255",
                     federation.admin({"enroll", "--name", "device"}).at("token")};
  options.environment["OMP_NUM_THREADS"] = "1";
  options.output = folder.path() / "log";
  Process process(options);
  const bool connected = eventually([&] {
    const auto list = federation.admin({"device", "list"});
    for (const auto& seen : list.at("devices")) {
      if (seen.value("connected", false)) return true;
    }
    return !process.running();
  });
  if (!connected || !process.running()) throw std::runtime_error(read_file(options.output));
  print(device.library + ", idle: resident", status_bytes(process.pid(), "VmRSS"));
  print(device.library + ", idle: of its own", status_bytes(process.pid(), "RssAnon"));

  federation.submit("[job]\nname = \"job\"\nrounds = 2\n[model]\n" + device.model +
                    "[train]\nepochs = 1\nbatch_size = 10\nlearning_rate = 0.01\n"
                    "[pace]\ncohort = 1\n[evaluation]\nfraction = 1.0\n");
  const auto summary = federation.wait_for_state("job", {"finished", "stopped", "degraded"});
  if (summary.at("state") != "finished") throw std::runtime_error(summary.dump());
  print(device.library + ", training: most resident", process.peak_rss_bytes());
  print(device.library + ", afterwards: of its own", status_bytes(process.pid(), "RssAnon"));
}

const std::string kDense = R"(input_shape = [64]
[[model.layers]]
type = "dense"
units = 10
)";

std::string fedavg_cnn() {
  std::string model = "input_shape = [1, 28, 28]\n";
  for (const int channels : {32, 64}) {
    model += "[[model.layers]]\ntype = \"conv2d\"\nchannels = " + std::to_string(channels) +
             "\nkernel = 5\npadding = 2\n[[model.layers]]\ntype = \"relu\"\n"
             "[[model.layers]]\ntype = \"max_pool2d\"\n";
  }
  return model +
         "[[model.layers]]\ntype = \"flatten\"\n[[model.layers]]\ntype = \"dense\"\n"
         "units = 512\n[[model.layers]]\ntype = \"relu\"\n[[model.layers]]\n"
         "type = \"dense\"\nunits = 10\n";
}

}  // namespace

int main() {
  try {
    measure({C_LOGISTIC, "libchorus-core", kDense, 64});
    measure({C_BUILTIN, "libchorus", fedavg_cnn(), 28 * 28});
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_footprint: %s\n", error.what());
    return 1;
  }
}
