#include <chrono>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "chorus/client/builtin_trainer.hpp"
#include "client/agent/commands.hpp"
#include "client/agent/data.hpp"
#include "client/agent/metrics_json.hpp"
#include "client/agent/model_source.hpp"
#include "common/base/rng.hpp"
#include "common/base/try.hpp"
#include "common/tensor/safetensors.hpp"
#include "common/tensor/version_metadata.hpp"

namespace chorus::agent {
namespace {

using client::TaskReport;

struct RoundResult {
  std::uint64_t round = 0;
  TaskReport trained;
  TaskReport measured;   ///< no examples: nothing to measure on
  double seconds = 0.0;  ///< of training
};

std::string words_of(const TaskReport& report) {
  std::string words;
  for (const auto& metric : report.metrics) {
    words += fmt::format("{}{} {:.4f}", words.empty() ? "" : "  ", metric.name, metric.value);
  }
  return words;
}

void print(const RoundResult& result, bool json, std::ostream& out) {
  if (json) {
    nlohmann::json line = {{"round", result.round},
                           {"seconds", result.seconds},
                           {"steps", result.trained.steps},
                           {"train", metrics_json(result.trained)}};
    if (result.measured.examples > 0) line["test"] = metrics_json(result.measured);
    out << line.dump() << std::endl;
    return;
  }
  out << fmt::format("round {:<4} {}", result.round, words_of(result.trained));
  if (result.measured.examples > 0) out << "   test: " << words_of(result.measured);
  out << fmt::format("   {:.1f} s", result.seconds) << std::endl;
}

// What chorusd does between the rounds of a federation of one device: nothing but the seeds.
class Rehearsal {
 public:
  Rehearsal(const TrainCommand& command, ModelSource source, TensorLayout layout)
      : command_(command), source_(std::move(source)), layout_(std::move(layout)) {}

  Result<void> run(client::Trainer& trainer, bool measures, std::ostream& out) {
    for (std::uint64_t round = 1; round <= command_.rounds; ++round) {
      CHORUS_TRY(const auto result, one_round(trainer, round, measures));
      print(result, command_.json, out);
    }
    return {};
  }

  Result<void> save() const {
    CHORUS_TRY(const auto metadata, tensor::metadata_of(source_.model, source_.train.normalise));
    return tensor::write_safetensors(command_.out, layout_, source_.parameters, metadata);
  }

 private:
  Result<RoundResult> one_round(client::Trainer& trainer, std::uint64_t round, bool measures) {
    const client::CancelToken never{};
    client::TrainTask task;
    task.job = kJob;
    task.round = round;
    task.plan = source_.train;
    const std::string number = std::to_string(round);
    const std::string_view purpose[] = {"rehearsal", number};
    task.plan.seed = stream_key(command_.data.seed, purpose);
    task.model = &source_.model;
    task.layout = &layout_;
    task.cancel = &never;
    RoundResult result;
    result.round = round;
    const auto begun = std::chrono::steady_clock::now();
    CHORUS_TRY(result.trained, trainer.train(task, source_.parameters));
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    if (!measures) return result;
    client::EvaluateTask evaluation;
    evaluation.job = kJob;
    evaluation.round = round;
    evaluation.plan.normalise = source_.train.normalise;
    evaluation.model = &source_.model;
    evaluation.layout = &layout_;
    evaluation.cancel = &never;
    CHORUS_TRY(result.measured, trainer.evaluate(evaluation, source_.parameters));
    return result;
  }

  static constexpr const char* kJob = "rehearsal";

  const TrainCommand& command_;
  ModelSource source_;
  TensorLayout layout_;
};

}  // namespace

Result<void> train(const TrainCommand& command, std::ostream& out) {
  CHORUS_TRY(ModelSource source, load_model(command.model, command.data.seed));
  CHORUS_TRY(TensorLayout layout, layout_of(source.model));
  DataConfig config = command.data;
  const bool apart = has_test_set(config);
  if (apart) config.hold_out = 0.0;  // one set to measure on is enough
  CHORUS_TRY(DeviceData data, load_data(config));
  client::BuiltinTrainerOptions options;
  options.holdout = apart ? std::move(data.test) : std::move(data.holdout);
  options.train = std::move(data.train);
  options.threads = command.threads;
  options.augmentation = config.augmentation;
  const bool measures = !options.holdout.empty();
  if (!command.json) {
    out << fmt::format("{} parameters, training on {} examples, measuring on {}\n",
                       layout.parameters,
                       options.train.size(),
                       options.holdout.size());
  }
  const auto trainer = client::make_builtin_trainer(std::move(options));
  Rehearsal rehearsal(command, std::move(source), std::move(layout));
  CHORUS_OK(rehearsal.run(*trainer, measures, out));
  if (command.out.empty()) return {};
  CHORUS_OK(rehearsal.save());
  if (!command.json) out << "saved to " << command.out.string() << "\n";
  return {};
}

}  // namespace chorus::agent
