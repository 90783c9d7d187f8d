// Whole rounds over loopback and mutual TLS, with devices that only add a constant: what the system
// costs when training costs nothing. One row per line as JSON, see deploy/bench.sh.
//
// chorusd runs as a process of its own, with every update durable before it is acknowledged; the
// devices are libchorus clients in this process. Seconds per round are taken from opening to
// opening, the first round left out.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "chorus/client/client.hpp"
#include "tests/support/federation.hpp"

namespace {

using chorus::Result;
using chorus::client::EvaluateTask;
using chorus::client::TaskReport;
using chorus::client::TrainTask;

class AddConstant final : public chorus::client::Trainer {
 public:
  Result<TaskReport> train(const TrainTask&, std::span<float> parameters) override {
    for (float& value : parameters) value += 0.001F;
    TaskReport report;
    report.examples = 100;
    report.steps = 1;
    return report;
  }
  Result<TaskReport> evaluate(const EvaluateTask&, std::span<const float>) override {
    return TaskReport{};
  }
};

/// devices x a dense layer of `inputs` x `units` (and bias).
struct Case {
  unsigned devices;
  const char* label;
  unsigned inputs;
  unsigned units;
  unsigned rounds;
  double metisfl_seconds;  ///< 0: not measured
  double metisfl_rss_gb;
};

// MetisFL's C++ controller without TLS, no-op learners, on a 2-core machine: the fastest of the
// systems measured (Flower 4.8 to 23.8 s, NVFlare 2.6 to 14.4 s).
constexpr Case kCases[] = {
    {2, "2 x 4 MB", 1023, 1024, 50, 0.037, 0.0},
    {16, "16 x 4 MB", 1023, 1024, 20, 0.38, 0.0},
    {2, "2 x 100 MB", 4999, 5000, 8, 0.67, 2.52},
    {2, "2 x 400 MB", 9999, 10000, 6, 4.5, 8.63},
    {100, "100 x 0.4 MB", 399, 250, 20, 0.0, 0.0},
};

std::string job_toml(const Case& what, unsigned rounds) {
  return "[job]\nname = \"bench\"\nseed = 1\nrounds = " + std::to_string(rounds) +
         "\n[model]\ninput_shape = [" + std::to_string(what.inputs) +
         "]\n[[model.layers]]\ntype = \"dense\"\nunits = " + std::to_string(what.units) +
         "\n[train]\nepochs = 1\nbatch_size = 32\nlearning_rate = 0.1\n[pace]\ncohort = " +
         std::to_string(what.devices) + "\n[evaluation]\nfraction = 0.0\n";
}

class Devices {
 public:
  Devices(chorus::test::Federation& federation, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      chorus::client::ClientOptions options;
      options.server = federation.address();
      options.state = federation.enroll("device-" + std::to_string(i));
      options.durable_upload = false;  // the devices' disks are not what is measured
      options.cache_versions = false;
      auto client = chorus::client::Client::create(options);
      if (!client) throw std::runtime_error(client.error().to_string());
      clients_.push_back(std::move(*client));
    }
  }
  void start() {
    for (auto& client : clients_) {
      threads_.emplace_back([&client] {
        AddConstant trainer;
        if (auto done = client->run(trainer); !done) {
          std::fprintf(stderr, "a device: %s\n", done.error().to_string().c_str());
        }
      });
    }
  }
  ~Devices() {
    for (auto& client : clients_) client->stop();
    for (auto& thread : threads_) thread.join();
  }

 private:
  std::vector<std::unique_ptr<chorus::client::Client>> clients_;
  std::vector<std::thread> threads_;
};

void print_row(const std::string& name, double value, const char* unit, double peer) {
  nlohmann::json row{{"name", name}, {"value", value}, {"unit", unit}};
  if (peer > 0.0) {
    row["peer"] = peer;
    row["peer_name"] = "MetisFL C++ controller, no TLS";
  }
  std::printf("%s\n", row.dump().c_str());
  std::fflush(stdout);
}

void measure(const Case& what, unsigned rounds, unsigned threads) {
  chorus::test::Federation federation({CHORUS_BINARY, CHORUSD_BINARY, AGENT_BINARY});
  chorus::test::Federation::ServerOptions server;
  server.threads = threads;
  federation.start_server(server);
  Devices devices(federation, what.devices);
  devices.start();
  federation.submit(job_toml(what, rounds));
  federation.wait_for_state("bench", {"finished"}, std::chrono::seconds(600));
  const auto list = federation.admin({"round", "list", "bench", "--last", "200"}).at("rounds");
  const double cpu = federation.server().cpu_seconds();
  const auto first = list.at(1).at("opened_ms").get<double>();
  const auto last = list.at(rounds - 1).at("closed_ms").get<double>();
  const std::string name = std::string("round ") + what.label;
  print_row(name, (last - first) / 1000.0 / (rounds - 1), "s", what.metisfl_seconds);
  print_row(name + " server CPU", cpu / rounds, "s", 0.0);
  print_row(name + " server peak RSS",
            static_cast<double>(federation.server().peak_rss_bytes()) / 1e9,
            "GB",
            what.metisfl_rss_gb);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Seconds per whole round. Example: bench_round --only '2 x 4 MB'");
  std::string only;
  unsigned rounds = 0;
  unsigned threads = 2;
  app.add_option("--only", only, "one case, by its label");
  app.add_option("--rounds", rounds, "rounds instead of each case's own number; at least 2");
  app.add_option("--threads", threads, "threads of chorusd");
  CLI11_PARSE(app, argc, argv);
  try {
    for (const Case& what : kCases) {
      if (!only.empty() && only != what.label) continue;
      measure(what, rounds >= 2 ? rounds : what.rounds, threads);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_round: %s\n", error.what());
    return 1;
  }
  return 0;
}
