// chorus-agent: a device of a federation as a process, with the built-in trainer.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "chorus/client/builtin_trainer.hpp"
#include "chorus/client/client.hpp"
#include "client/agent/agent_config.hpp"
#include "common/base/try.hpp"
#include "common/tensor/model_json.hpp"
#include "common/tensor/safetensors.hpp"

namespace chorus::agent {
namespace {

constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kNotAuthorised = 4;

int report(const Failure& why) {
  std::fprintf(stderr, "chorus-agent: %s\n", why.detail.c_str());
  switch (why.code) {
    case errc::revoked:
    case errc::unauthenticated:
    case errc::certificate_expired:
    case errc::token_invalid:
    case errc::permission_denied:
      return kNotAuthorised;
    case errc::invalid_argument:
    case errc::malformed_file:
      return kUsage;
    default:
      return kFailed;
  }
}

/// SIGINT and SIGTERM, waited for by a thread of its own: the client ends its task in good order.
class StopOnSignal {
 public:
  StopOnSignal() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);  // threads started later inherit it
  }
  void watch(client::Client& client) {
    thread_ = std::thread([this, &client] {
      int number = 0;
      if (sigwait(&signals_, &number) == 0) client.stop();
    });
  }
  ~StopOnSignal() {
    if (!thread_.joinable()) return;
    pthread_kill(thread_.native_handle(), SIGTERM);
    thread_.join();
  }

 private:
  sigset_t signals_{};
  std::thread thread_;
};

void log_progress(const client::Progress& progress, client::Progress& last) {
  const bool same = progress.state == last.state && progress.round == last.round &&
                    progress.job == last.job && progress.detail == last.detail;
  last = progress;
  if (same) return;
  std::string text(to_string(progress.state));
  if (!progress.job.empty())
    text += " " + progress.job + " round " + std::to_string(progress.round);
  if (!progress.detail.empty()) text += ": " + progress.detail;
  spdlog::info("{}", text);
}

int run_agent(const AgentConfig& config) {
  StopOnSignal stop;
  if (auto logging = start_logging(config.log, "chorus-agent"); !logging) {
    return report(logging.error());
  }
  auto shares = load_shares(config.data);
  if (!shares) return report(shares.error());
  spdlog::info(
      "{} examples to train on, {} to evaluate on", shares->train.size(), shares->holdout.size());
  client::BuiltinTrainerOptions trainer_options;
  trainer_options.train = shares->train;
  trainer_options.holdout = shares->holdout;
  const auto trainer = client::make_builtin_trainer(std::move(trainer_options));
  client::ClientOptions options;
  options.server = config.server;
  options.state = config.state;
  options.jobs = config.jobs;
  options.software = "chorus-agent " CHORUS_VERSION;
  options.tasks_max = config.tasks_max;
  client::Progress last;
  options.on_progress = [&last](const client::Progress& progress) { log_progress(progress, last); };
  auto client = client::Client::create(std::move(options));
  if (!client) return report(client.error());
  stop.watch(**client);
  const auto summary = (*client)->run(*trainer);
  if (!summary) return report(summary.error());
  spdlog::info(
      "stopped: {} updates accepted, {} rejected, {} discarded; {} bytes sent, {} received",
      summary->accepted,
      summary->rejected,
      summary->discarded,
      summary->bytes_sent,
      summary->bytes_received);
  return kOk;
}

int run_enroll(const client::EnrollOptions& options) {
  const auto name = client::enroll(options);
  if (!name) return report(name.error());
  std::printf("enrolled as %s; the identity is in %s\n", name->c_str(), options.state.c_str());
  return kOk;
}

Result<nlohmann::ordered_json> evaluate(const std::filesystem::path& file, const DataConfig& data) {
  CHORUS_TRY(const auto model, tensor::read_safetensors(file));
  const auto text = model.metadata.find(std::string(tensor::kModelMetadataKey));
  if (text == model.metadata.end()) {
    return fail(errc::malformed_file,
                "'" + file.string() + "' does not say its architecture (metadata '" +
                    std::string(tensor::kModelMetadataKey) + "'): it was not exported by Chorus");
  }
  CHORUS_TRY(const ModelSpec spec, tensor::model_from_json(text->second));
  CHORUS_TRY(const Shares shares, load_shares(data));
  // With a common test set that is what is measured; else the whole file.
  const bool test = data.test_fraction > 0.0;
  CHORUS_TRY(
      const auto result,
      client::evaluate_model(
          spec, {model.data.data(), model.data.size()}, test ? shares.test : shares.train));
  nlohmann::ordered_json json;
  json["examples"] = result.examples;
  for (const Metric& metric : result.metrics) json[metric.name] = metric.value;
  return json;
}

int run_evaluate(const std::filesystem::path& file, const DataConfig& data, bool as_json) {
  DataConfig whole = data;
  if (whole.test_fraction == 0.0) whole.hold_out = 0.0;
  const auto result = evaluate(file, whole);
  if (!result) return report(result.error());
  if (as_json) {
    std::printf("%s\n", result->dump().c_str());
    return kOk;
  }
  for (const auto& [name, value] : result->items()) {
    std::printf("%-10s %s\n", name.c_str(), value.dump().c_str());
  }
  return kOk;
}

void add_data_options(CLI::App& app, DataConfig& data) {
  app.add_option("--data", data.csv, "examples as CSV, also .gz");
  app.add_flag("--header", data.header, "the CSV's first line holds column names");
  app.add_option("--label-column", data.label_column, "name or number; -1: the last");
  app.add_option("--scale", data.scale, "features are divided by this")->check(CLI::PositiveNumber);
  app.add_option("--shape", data.shape, "of one example, e.g. 1x8x8");
  app.add_option("--images", data.images, "examples as idx (MNIST family), also .gz");
  app.add_option("--labels", data.labels, "their labels as idx, also .gz");
  app.add_option(
         "--test-fraction", data.test_fraction, "kept from all devices as a common test set")
      ->check(CLI::Range(0.0, 0.9));
  app.add_option("--partition",
                 data.partition,
                 "how devices share the file: iid, dirichlet:ALPHA, shards:S, column:NAME");
  app.add_option("--parts", data.parts, "devices that share the file")->check(CLI::PositiveNumber);
  app.add_option("--part", data.part, "which of them this is, from 0");
  app.add_option("--hold-out", data.hold_out, "of this device's examples, for evaluation")
      ->check(CLI::Range(0.0, 0.9));
  app.add_option("--seed", data.seed, "of all these cuts; the same on every device");
}

/// The file is read before the flags, so that flags win.
const char* config_argument(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word(argv[i]);
    if (word == "--config" && i + 1 < argc) return argv[i + 1];
    if (word.starts_with("--config=")) return argv[i] + std::strlen("--config=");
  }
  return nullptr;
}

int run(int argc, char** argv) {
  AgentConfig config;
  if (const char* file = config_argument(argc, argv); file != nullptr) {
    if (auto read = read_agent_config(file, config); !read) return report(read.error());
  }
  std::string config_file;
  client::EnrollOptions enrollment;
  std::filesystem::path model;
  bool as_json = false;

  CLI::App app("chorus-agent: a device of a federation");
  app.require_subcommand(1);
  app.set_version_flag("--version", "chorus-agent " CHORUS_VERSION);
  app.footer("Exit codes: 0 done, 1 failed, 2 usage, configuration or data, 4 not authorised.");

  auto* enroll =
      app.add_subcommand("enroll",
                         "join a federation with a token\n"
                         "Example: chorus-agent enroll --token chorus-join-1.… --state phone");
  enroll->add_option("--token", enrollment.token, "what 'chorus enroll' printed")->required();
  enroll->add_option("--state", enrollment.state, "folder for identity and models")->required();
  enroll->add_option("--name", enrollment.name, "wanted device name");

  auto* start = app.add_subcommand("run",
                                   "take part until stopped\n"
                                   "Example: chorus-agent run --state phone --data digits.csv.gz "
                                   "--scale 16 --shape 1x8x8");
  start->add_option("--config", config_file, "agent.toml; flags win over it");
  start->add_option("--server", config.server, "host:port, instead of the join token's");
  start->add_option("--state", config.state, "folder that 'enroll' made");
  start->add_option("--job", config.jobs, "only this job; may be repeated");
  start->add_option("--tasks-max", config.tasks_max, "leave after so many accepted updates");
  start->add_option("--log-level", config.log.level, "trace, debug, info, warn, error or off");
  add_data_options(*start, config.data);

  auto* measure = app.add_subcommand("evaluate",
                                     "measure an exported model\n"
                                     "Example: chorus-agent evaluate --model m.safetensors --data "
                                     "digits.csv.gz --scale 16 --shape 1x8x8");
  measure->add_option("--model", model, "safetensors, from 'chorus model export'")->required();
  measure->add_flag("--json", as_json, "print JSON");
  add_data_options(*measure, config.data);

  auto* version = app.add_subcommand("version", "print the version");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kOk : kUsage;
  }
  if (version->parsed()) {
    std::printf("chorus-agent %s\n", CHORUS_VERSION);
    return kOk;
  }
  if (enroll->parsed()) return run_enroll(enrollment);
  if (measure->parsed()) return run_evaluate(model, config.data, as_json);
  return run_agent(config);
}

}  // namespace
}  // namespace chorus::agent

int main(int argc, char** argv) {
  try {
    return chorus::agent::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "chorus-agent: %s\n", error.what());
    return 1;
  }
}
