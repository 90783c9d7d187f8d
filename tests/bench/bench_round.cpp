// Whole rounds over loopback and mutual TLS, with devices that only add a constant: what the system
// costs when training costs nothing. One row per line as JSON, see deploy/bench.sh.
//
// chorusd runs as a process of its own, with every update durable before it is acknowledged; the
// devices are libchorus clients in this process. Seconds per round are taken from opening to
// opening, the first round left out.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include <openssl/evp.h>

#include "chorus/client/client.hpp"
#include "tests/support/federation.hpp"

namespace {

using chorus::Result;
using chorus::client::EvaluateTask;
using chorus::client::TaskReport;
using chorus::client::TrainTask;

/// Counts trained tasks, so that nobody has to ask the server being measured how far it is.
class Tasks {
 public:
  explicit Tasks(std::uint64_t expected) : left_(expected) {}
  void done() {
    const std::lock_guard lock(mutex_);
    if (left_ > 0 && --left_ == 0) changed_.notify_all();
  }
  bool wait(std::chrono::seconds deadline) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, deadline, [this] { return left_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t left_;
};

class AddConstant final : public chorus::client::Trainer {
 public:
  explicit AddConstant(Tasks& tasks) : tasks_(tasks) {}
  Result<TaskReport> train(const TrainTask&, std::span<float> parameters) override {
    for (float& value : parameters) value += 0.001F;
    tasks_.done();
    TaskReport report;
    report.examples = 100;
    report.steps = 1;
    return report;
  }
  Result<TaskReport> evaluate(const EvaluateTask&, std::span<const float>) override {
    return TaskReport{};
  }

 private:
  Tasks& tasks_;
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
constexpr std::chrono::seconds kPatience{600};

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
  void start(Tasks& tasks) {
    for (auto& client : clients_) {
      threads_.emplace_back([&client, &tasks] {
        AddConstant trainer(tasks);
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

/// Bytes per second of one core.
struct CryptoSpeed {
  double sha256;
  double aes_gcm;  ///< AES-128-GCM in records of 16 KiB
};

template <class Work>
double speed_of(std::size_t bytes, Work work) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::duration<double> kLong{0.3};
  const auto began = Clock::now();
  std::chrono::duration<double> passed{};
  double done = 0.0;
  do {
    work();
    done += static_cast<double>(bytes);
    passed = Clock::now() - began;
  } while (passed < kLong);
  return done / passed.count();
}

CryptoSpeed measure_crypto() {
  std::vector<unsigned char> data(1U << 20U, 7);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> digest(EVP_MD_CTX_new(),
                                                                       EVP_MD_CTX_free);
  EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr);
  const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> cipher(EVP_CIPHER_CTX_new(),
                                                                               EVP_CIPHER_CTX_free);
  const std::vector<unsigned char> key(16, 1);
  EVP_EncryptInit_ex(cipher.get(), EVP_aes_128_gcm(), nullptr, key.data(), key.data());
  constexpr int kRecord = 16 << 10;
  std::vector<unsigned char> record(kRecord);
  CryptoSpeed speed{};
  speed.sha256 =
      speed_of(data.size(), [&] { EVP_DigestUpdate(digest.get(), data.data(), data.size()); });
  speed.aes_gcm = speed_of(kRecord, [&] {
    int length = 0;
    EVP_EncryptUpdate(cipher.get(), record.data(), &length, data.data(), kRecord);
  });
  return speed;
}

/// What no implementation of this round goes below: all cores busy with nothing but encrypting and
/// decrypting the model down and the update up, and with the version's digest at both ends.
double crypto_seconds(const Case& what, const CryptoSpeed& speed) {
  const double bytes = 4.0 * (what.inputs + 1.0) * what.units;
  const double core_seconds =
      (what.devices + 1.0) * bytes / speed.sha256 + 4.0 * what.devices * bytes / speed.aes_gcm;
  return core_seconds / std::max(1U, std::thread::hardware_concurrency());
}

void print_row(
    const std::string& name, double value, const char* unit, double peer, double limit = 0.0) {
  nlohmann::json row{{"name", name}, {"value", value}, {"unit", unit}};
  if (limit > 0.0) {
    row["limit"] = limit;
    row["limit_name"] = "cryptography of the round alone";
  }
  if (peer > 0.0) {
    row["peer"] = peer;
    row["peer_name"] = "MetisFL C++ controller, no TLS";
  }
  std::printf("%s\n", row.dump().c_str());
  std::fflush(stdout);
}

void measure(const Case& what, unsigned rounds, unsigned threads) {
  const double limit = crypto_seconds(what, measure_crypto());
  chorus::test::Federation federation({CHORUS_BINARY, CHORUSD_BINARY, AGENT_BINARY});
  chorus::test::Federation::ServerOptions server;
  server.threads = threads;
  federation.start_server(server);
  Tasks tasks(std::uint64_t{what.devices} * rounds);
  Devices devices(federation, what.devices);
  devices.start(tasks);
  federation.submit(job_toml(what, rounds));
  if (!tasks.wait(kPatience))
    throw std::runtime_error("the rounds did not end\n" + federation.log());
  federation.wait_for_state("bench", {"finished"}, kPatience);
  const auto list = federation.admin({"round", "list", "bench", "--last", "200"}).at("rounds");
  const double cpu = federation.server().cpu_seconds();
  const auto first = list.at(1).at("opened_ms").get<double>();
  const auto last = list.at(rounds - 1).at("closed_ms").get<double>();
  const std::string name = std::string("round ") + what.label;
  print_row(name, (last - first) / 1000.0 / (rounds - 1), "s", what.metisfl_seconds, limit);
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
