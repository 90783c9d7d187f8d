// A trainer whose two functions are a C program's callbacks.
#include "client/src/c_api_trainer.hpp"

#include <memory>
#include <utility>

#include "common/tensor/model_json.hpp"

namespace chorus::capi {
namespace {

class CallbackTrainer final : public client::Trainer {
 public:
  explicit CallbackTrainer(const chorus_trainer_callbacks& callbacks) : callbacks_(callbacks) {}
  ~CallbackTrainer() override {
    if (callbacks_.destroy != nullptr) callbacks_.destroy(callbacks_.context);
  }

  Result<client::TaskReport> train(const client::TrainTask& task,
                                   std::span<float> parameters) override {
    return call(task, parameters, callbacks_.train, "the trainer's train()");
  }
  Result<client::TaskReport> evaluate(const client::EvaluateTask& task,
                                      std::span<const float> parameters) override {
    return call(task, parameters, callbacks_.evaluate, "the trainer's evaluate()");
  }

 private:
  template <class Task, class Parameters, class Function>
  Result<client::TaskReport> call(const Task& task,
                                  Parameters parameters,
                                  Function function,
                                  std::string_view name) {
    chorus_task view;
    CHORUS_OK(show(task, view));
    CHORUS_TRY(view.model, tensor::model_to_json(*task.model));
    chorus_report report;
    set_last_error("");  // what a callback fails with is its own
    const chorus_status status =
        function(&view, parameters.data(), parameters.size(), &report, callbacks_.context);
    view.kind = Handle::closed;
    report.kind = Handle::closed;
    if (status != CHORUS_OK) return failure_of(status, name);
    return std::move(report.report);
  }

  const chorus_trainer_callbacks callbacks_;
};

Result<void> create(const chorus_trainer_callbacks* given, chorus_trainer** trainer) {
  CHORUS_OK(not_null(trainer, "trainer"));
  *trainer = nullptr;
  CHORUS_TRY(const auto callbacks, copied(given, "chorus_trainer_callbacks"));
  if (callbacks.train == nullptr) return null_argument("chorus_trainer_callbacks.train");
  if (callbacks.evaluate == nullptr) return null_argument("chorus_trainer_callbacks.evaluate");
  auto handle = std::make_unique<chorus_trainer>();
  handle->trainer = std::make_shared<CallbackTrainer>(callbacks);
  *trainer = handle.release();
  return {};
}

}  // namespace
}  // namespace chorus::capi

extern "C" {

chorus_status chorus_trainer_create(const chorus_trainer_callbacks* callbacks,
                                    chorus_trainer** trainer) {
  return chorus::capi::guarded([&] { return chorus::capi::create(callbacks, trainer); });
}

void chorus_trainer_destroy(chorus_trainer** trainer) {
  chorus::capi::close_handle(trainer);
}

}  // extern "C"
