#include "chorus/client/builtin_trainer.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "client/train/network.hpp"
#include "client/train/plan_runner.hpp"
#include "common/base/assert.hpp"
#include "common/base/try.hpp"

namespace chorus::client {
namespace {

Result<void> load_parameters(train::Network& network, std::span<const float> parameters) {
  if (parameters.size() != network.parameters().size()) {
    return fail(errc::shape_mismatch,
                fmt::format("the model has {} parameters; {} were received",
                            network.parameters().size(),
                            parameters.size()));
  }
  std::copy(parameters.begin(), parameters.end(), network.parameters().begin());
  return {};
}

class BuiltinTrainer final : public Trainer {
 public:
  explicit BuiltinTrainer(BuiltinTrainerOptions options) : options_(std::move(options)) {}

  Result<TaskReport> train(const TrainTask& task, std::span<float> parameters) override {
    CHORUS_ASSERT(task.model != nullptr && task.cancel != nullptr);
    CHORUS_TRY(train::Network* const network, prepare(*task.model, parameters));
    const train::TrainInputs inputs{task.cancel,
                                    task.vectors,
                                    task.state,
                                    options_.scores,
                                    &options_.enough,
                                    options_.augmentation};
    CHORUS_TRY(TaskReport report, train::run_plan(*network, options_.train, task.plan, inputs));
    std::copy(network->parameters().begin(), network->parameters().end(), parameters.begin());
    return report;
  }

  Result<TaskReport> evaluate(const EvaluateTask& task,
                              std::span<const float> parameters) override {
    CHORUS_ASSERT(task.model != nullptr && task.cancel != nullptr);
    CHORUS_TRY(train::Network* const network, prepare(*task.model, parameters));
    return train::run_plan(*network, options_.holdout, task.plan, *task.cancel);
  }

 private:
  // The network of the task before, if it was for the same model: its primitives are compiled.
  Result<train::Network*> prepare(const ModelSpec& model, std::span<const float> parameters) {
    if (network_ == nullptr || network_->model() != model) {
      network_.reset();
      CHORUS_TRY(network_, train::Network::create(model, options_.threads));
    }
    CHORUS_OK(load_parameters(*network_, parameters));
    return network_.get();
  }

  const BuiltinTrainerOptions options_;
  std::unique_ptr<train::Network> network_;
};

}  // namespace

std::unique_ptr<Trainer> make_builtin_trainer(BuiltinTrainerOptions options) {
  return std::make_unique<BuiltinTrainer>(std::move(options));
}

Result<TaskReport> evaluate_model(const ModelSpec& model,
                                  std::span<const float> parameters,
                                  const Dataset& dataset,
                                  std::uint32_t batch_size) {
  CHORUS_TRY(const std::unique_ptr<train::Network> network, train::Network::create(model));
  CHORUS_OK(load_parameters(*network, parameters));
  const CancelToken never{};
  return train::run_plan(*network, dataset, EvaluatePlan{batch_size}, never);
}

}  // namespace chorus::client
