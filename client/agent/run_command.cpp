#include <chrono>
#include <csignal>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include "chorus/client/builtin_trainer.hpp"
#include "chorus/client/client.hpp"
#include "client/agent/commands.hpp"
#include "client/agent/data.hpp"
#include "common/base/log.hpp"
#include "common/base/try.hpp"

namespace chorus::agent {
namespace {

using client::EvaluateTask;
using client::Progress;
using client::State;
using client::TaskReport;
using client::TrainTask;

/// One line for each task that is done.
class LoggingTrainer final : public client::Trainer {
 public:
  /// @param scales  what this device normalises by without a plan that says how
  LoggingTrainer(client::Trainer& inner, std::vector<FeatureScale> scales)
      : inner_(inner), scales_(std::move(scales)) {}

  Result<TaskReport> train(const TrainTask& task, std::span<float> parameters) override {
    const auto began = Clock::now();
    tell_of_other_scales(task);
    auto report = inner_.train(task, parameters);
    log("trained on", task.job, task.round, report, began);
    return report;
  }
  Result<TaskReport> evaluate(const EvaluateTask& task,
                              std::span<const float> parameters) override {
    const auto began = Clock::now();
    auto report = inner_.evaluate(task, parameters);
    log("evaluated on", task.job, task.round, report, began);
    return report;
  }

 private:
  using Clock = std::chrono::steady_clock;

  // The plan's are what the job's devices have in common; what this one was told is left out.
  void tell_of_other_scales(const TrainTask& task) {
    const auto& given = task.plan.normalise;
    if (given.empty() || scales_.empty() || given == scales_ || task.job == told_) return;
    told_ = task.job;
    spdlog::warn(
        "{}: the job says how features are normalised; this device's own settings (--normalise, "
        "--mean, --deviation) do not count for it",
        task.job);
  }

  static void log(const char* what,
                  const std::string& job,
                  std::uint64_t round,
                  const Result<TaskReport>& report,
                  Clock::time_point began) {
    if (!report) {
      const bool cancelled = report.error().code == errc::cancelled;
      spdlog::log(cancelled ? spdlog::level::info : spdlog::level::warn,
                  "{} round {}: {}",
                  job,
                  round,
                  report.error().to_string());
      return;
    }
    std::string metrics;
    for (const auto& metric : report->metrics) {
      metrics += fmt::format(", {} {:.4f}", metric.name, metric.value);
    }
    const std::chrono::duration<double> seconds = Clock::now() - began;
    spdlog::info("{} round {}: {} {} examples{} ({:.2f} s)",
                 job,
                 round,
                 what,
                 report->examples,
                 metrics,
                 seconds.count());
  }

  client::Trainer& inner_;
  std::vector<FeatureScale> scales_;
  std::string told_;  // the job of the last warning
};

/// Says when something changes, not for every chunk.
class ProgressLog {
 public:
  void operator()(const Progress& progress) {
    const bool same = progress.state == last_.state && progress.job == last_.job &&
                      progress.round == last_.round && progress.detail == last_.detail;
    last_ = progress;
    if (same) return;
    const std::string why = progress.detail.empty() ? "" : ": " + progress.detail;
    if (progress.state == State::connecting && !progress.detail.empty()) {
      spdlog::warn("not connected{}", why);
    } else if (progress.job.empty()) {
      spdlog::info("{}{}", to_string(progress.state), why);
    } else {
      spdlog::debug(
          "{} round {}: {}{}", progress.job, progress.round, to_string(progress.state), why);
    }
  }

 private:
  Progress last_{State::stopped, "", 0, 0, 0, ""};
};

/// SIGINT and SIGTERM end a client in good order while this lives; a second one ends the process.
class SignalStop {
 public:
  explicit SignalStop(client::Client& client) : signals_(context_, SIGINT, SIGTERM) {
    signals_.async_wait([this, &client](const boost::system::error_code& error, int signal) {
      if (error) return;
      spdlog::info("signal {}: leaving; once more to leave at once", signal);
      client.stop();
      signals_.async_wait([](const boost::system::error_code& again, int number) {
        if (!again) std::_Exit(128 + number);
      });
    });
    thread_ = std::thread([this] { context_.run(); });
  }
  SignalStop(const SignalStop&) = delete;
  SignalStop& operator=(const SignalStop&) = delete;
  ~SignalStop() {
    context_.stop();
    thread_.join();
  }

 private:
  boost::asio::io_context context_{1};
  boost::asio::signal_set signals_;
  std::thread thread_;
};

std::string describe(const client::Dataset& dataset) {
  std::string shape;
  for (const auto extent : dataset.feature_shape()) {
    shape += (shape.empty() ? "" : "x") + std::to_string(extent);
  }
  return fmt::format("{} examples of {}", dataset.size(), shape);
}

}  // namespace

Result<void> run_device(const AgentConfig& config) {
  CHORUS_TRY(auto data, load_data(config.data));
  spdlog::info(
      "training on {}, {} held out for evaluation", describe(data.train), data.holdout.size());
  client::BuiltinTrainerOptions trainer_options;
  trainer_options.train = std::move(data.train);
  trainer_options.holdout = std::move(data.holdout);
  trainer_options.threads = config.threads;
  trainer_options.augmentation = config.data.augmentation;
  std::vector<FeatureScale> scales = trainer_options.train.scales();
  const auto builtin = client::make_builtin_trainer(std::move(trainer_options));
  LoggingTrainer trainer(*builtin, std::move(scales));

  client::ClientOptions options;
  options.server = config.server;
  options.state = config.state;
  options.jobs = config.jobs;
  options.software = "chorus-agent " CHORUS_VERSION;
  options.tasks_max = config.tasks_max;
  options.on_progress = ProgressLog();
  CHORUS_TRY(const auto client, client::Client::create(std::move(options)));
  const SignalStop on_signal(*client);
  CHORUS_TRY(const auto summary, client->run(trainer));
  spdlog::info(
      "{} updates accepted, {} rejected, {} discarded; {} evaluations; {} reconnects; "
      "{} bytes sent, {} received",
      summary.accepted,
      summary.rejected,
      summary.discarded,
      summary.evaluated,
      summary.reconnects,
      summary.bytes_sent,
      summary.bytes_received);
  return {};
}

}  // namespace chorus::agent
