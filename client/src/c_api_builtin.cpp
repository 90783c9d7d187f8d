// The built-in trainer, and models outside of a federation, in C.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "chorus/c/builtin.h"
#include "chorus/client/builtin_trainer.hpp"
#include "chorus/client/normalisation.hpp"
#include "client/src/c_api_dataset.hpp"
#include "client/src/c_api_trainer.hpp"
#include "common/tensor/model_json.hpp"
#include "common/tensor/safetensors.hpp"
#include "common/tensor/version_file.hpp"
#include "common/tensor/version_metadata.hpp"

struct chorus_model {
  static constexpr auto kKind = chorus::capi::Handle::model;
  chorus_model() = default;
  chorus_model(const chorus_model&) = delete;  // `tensors` points into `file`
  chorus_model& operator=(const chorus_model&) = delete;

  chorus::capi::Handle kind = kKind;
  chorus::tensor::VersionFile file;
  std::string architecture;
  std::vector<chorus_tensor> tensors;
  std::optional<chorus::client::TaskReport> measured;
};

namespace chorus::capi {
namespace {

constexpr std::uint32_t kBatchDefault = 256;

Result<void> create_trainer(const chorus_builtin_options* given, chorus_trainer** trainer) {
  CHORUS_OK(not_null(trainer, "trainer"));
  *trainer = nullptr;
  CHORUS_TRY(const auto from, copied(given, "chorus_builtin_options"));
  CHORUS_TRY(const auto* const examples, open_handle(from.train));
  client::BuiltinTrainerOptions options;
  options.train = examples->data;
  if (from.holdout != nullptr) {
    CHORUS_TRY(const auto* const holdout, open_handle(from.holdout));
    options.holdout = holdout->data;
  }
  options.threads = from.threads == 0 ? 1 : from.threads;
  CHORUS_TRY(options.scores,
             list_from(from.scores, from.score_count, "chorus_builtin_options.scores"));
  if (!options.scores.empty() && options.scores.size() != options.train.size()) {
    return fail(errc::shape_mismatch,
                "chorus_builtin_options.score_count is " + std::to_string(options.scores.size()) +
                    "; there are " + std::to_string(options.train.size()) + " examples");
  }
  if (from.enough != nullptr) {
    options.enough = [ask = from.enough, context = from.context] { return ask(context); };
  }
  options.augmentation = {from.crop_padding, from.flip, from.noise};
  auto handle = std::make_unique<chorus_trainer>();
  handle->trainer = client::make_builtin_trainer(std::move(options));
  *trainer = handle.release();
  return {};
}

Result<void> give_model(tensor::VersionFile file, chorus_model** model) {
  auto made = std::make_unique<chorus_model>();
  made->file = std::move(file);
  CHORUS_TRY(made->architecture, tensor::model_to_json(made->file.model));
  made->tensors = tensors_of(made->file.layout);
  *model = made.release();
  return {};
}

Result<void> load_model(const char* path, chorus_model** model) {
  CHORUS_OK(not_null(model, "model"));
  *model = nullptr;
  CHORUS_TRY(const char* const name, not_null(path, "path"));
  CHORUS_TRY(auto file, tensor::read_version(name));
  return give_model(std::move(file), model);
}

Result<void> create_model(const char* architecture,
                          const float* parameters,
                          std::uint64_t count,
                          chorus_model** model) {
  CHORUS_OK(not_null(model, "model"));
  *model = nullptr;
  CHORUS_TRY(const char* const text, not_null(architecture, "architecture"));
  CHORUS_TRY(const float* const numbers, not_null(parameters, "parameters"));
  tensor::VersionFile file;
  CHORUS_TRY(file.model, tensor::model_from_json(text));
  CHORUS_TRY(file.layout, layout_of(file.model));
  if (count != file.layout.parameters) {
    return fail(errc::shape_mismatch,
                "count is " + std::to_string(count) + "; the architecture has " +
                    std::to_string(file.layout.parameters) + " parameters");
  }
  CHORUS_TRY(file.parameters, tensor::AlignedBuffer<float>::create(count));
  std::copy(numbers, numbers + count, file.parameters.begin());
  return give_model(std::move(file), model);
}

Result<void> save_model(const chorus_model* model, const char* path) {
  CHORUS_TRY(const auto* const opened, open_handle(model));
  CHORUS_TRY(const char* const name, not_null(path, "path"));
  const tensor::VersionFile& file = opened->file;
  CHORUS_TRY(const auto metadata, tensor::metadata_of(file.model, file.normalise));
  return tensor::write_safetensors(name, file.layout, file.parameters.span(), metadata);
}

Result<void> evaluate(chorus_model* model, const chorus_dataset* dataset, std::uint32_t batch) {
  CHORUS_TRY(auto* const opened, open_handle(model));
  CHORUS_TRY(const auto* const examples, open_handle(dataset));
  opened->measured.reset();
  CHORUS_TRY(const auto data, client::renormalised(examples->data, opened->file.normalise));
  CHORUS_TRY(opened->measured,
             client::evaluate_model(opened->file.model,
                                    opened->file.parameters.span(),
                                    data,
                                    batch == 0 ? kBatchDefault : batch));
  return {};
}

Result<void> metric(const chorus_model* model, const char* name, double* value) {
  CHORUS_TRY(const auto* const opened, open_handle(model));
  CHORUS_TRY(const std::string_view wanted, not_null(name, "name"));
  CHORUS_OK(not_null(value, "value"));
  if (!opened->measured) {
    return fail(errc::wrong_state, "the model was not evaluated; call chorus_model_evaluate()");
  }
  std::string names;
  for (const Metric& measured : opened->measured->metrics) {
    if (measured.name == wanted) {
      *value = measured.value;
      return {};
    }
    names += (names.empty() ? "" : ", ") + measured.name;
  }
  return fail(errc::not_found,
              "there is no metric '" + std::string(wanted) + "'; there are: " + names);
}

/// What `get` says of an open model; otherwise nothing.
template <class T, class Get>
T ask(const chorus_model* model, Get&& get) noexcept {
  return guarded_or<T>(T{}, [&]() -> Result<T> {
    CHORUS_TRY(const auto* const opened, open_handle(model));
    return get(*opened);
  });
}

}  // namespace
}  // namespace chorus::capi

namespace capi = chorus::capi;
using chorus::Result;

extern "C" {

chorus_status chorus_builtin_trainer_create(const chorus_builtin_options* options,
                                            chorus_trainer** trainer) {
  return capi::guarded([&] { return capi::create_trainer(options, trainer); });
}

chorus_status chorus_model_load(const char* path, chorus_model** model) {
  return capi::guarded([&] { return capi::load_model(path, model); });
}

chorus_status chorus_model_create(const char* architecture,
                                  const float* parameters,
                                  uint64_t count,
                                  chorus_model** model) {
  return capi::guarded([&] { return capi::create_model(architecture, parameters, count, model); });
}

chorus_status chorus_model_save(const chorus_model* model, const char* path) {
  return capi::guarded([&] { return capi::save_model(model, path); });
}

const float* chorus_model_parameters(const chorus_model* model, uint64_t* count) {
  if (count != nullptr) *count = 0;
  return capi::ask<const float*>(model, [&](const auto& opened) {
    if (count != nullptr) *count = opened.file.parameters.size();
    return opened.file.parameters.begin();
  });
}

size_t chorus_model_tensor_count(const chorus_model* model) {
  return capi::ask<std::size_t>(model, [](const auto& opened) { return opened.tensors.size(); });
}

const chorus_tensor* chorus_model_tensor(const chorus_model* model, size_t index) {
  return capi::guarded_or<const chorus_tensor*>(nullptr, [&]() -> Result<const chorus_tensor*> {
    CHORUS_TRY(const auto* const opened, capi::open_handle(model));
    return capi::tensor_at(opened->tensors, index);
  });
}

const char* chorus_model_architecture(const chorus_model* model) {
  return capi::ask<const char*>(model,
                                [](const auto& opened) { return opened.architecture.c_str(); });
}

chorus_status chorus_model_evaluate(chorus_model* model,
                                    const chorus_dataset* dataset,
                                    uint32_t batch_size) {
  return capi::guarded([&] { return capi::evaluate(model, dataset, batch_size); });
}

chorus_status chorus_model_metric(const chorus_model* model, const char* name, double* value) {
  return capi::guarded([&] { return capi::metric(model, name, value); });
}

void chorus_model_destroy(chorus_model** model) {
  capi::close_handle(model);
}

}  // extern "C"
