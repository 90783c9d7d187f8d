// What a custom trainer asks of its task, in C.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "client/src/c_api_trainer.hpp"
#include "common/tensor/plan_features.hpp"
#include "common/tensor/schedule.hpp"

namespace chorus::capi {
namespace {

Result<void> check_plan(const chorus_task* task, const char* const* known, std::size_t count) {
  CHORUS_TRY(const auto* const opened, open_handle(task));
  if (count > 0) CHORUS_OK(not_null(known, "known"));
  for (std::size_t i = 0; i < count; ++i) {
    CHORUS_TRY(const std::string_view name, not_null(known[i], "known[i]"));
    const auto all = tensor::plan_features();
    if (std::find(all.begin(), all.end(), name) == all.end()) {
      return fail(errc::invalid_argument,
                  "known[" + std::to_string(i) + "]: '" + std::string(name) +
                      "' is no feature of plans; chorus/c/plan.h has their names in brackets");
    }
  }
  const auto needed = opened->train != nullptr ? tensor::features_of(opened->train->plan)
                                               : tensor::features_of(opened->evaluate->plan);
  for (const std::string_view feature : needed) {
    if (std::find(known, known + count, feature) == known + count) {
      return fail(
          errc::unsupported_feature,
          "the plan needs '" + std::string(feature) + "', which this trainer does not know");
    }
  }
  return {};
}

Result<const chorus_tensor*> find_tensor(const chorus_task* task, const char* name) {
  CHORUS_TRY(const auto* const opened, open_handle(task));
  CHORUS_TRY(const std::string_view wanted, not_null(name, "name"));
  const auto& tensors = opened->tensors;
  const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const chorus_tensor& tensor) {
    return wanted == tensor.name;
  });
  if (found != tensors.end()) return &*found;
  std::string names;
  for (const chorus_tensor& tensor : tensors) {
    names += (names.empty() ? "" : ", ") + std::string(tensor.name);
  }
  return fail(errc::not_found,
              "the model has no tensor '" + std::string(wanted) + "'; it has: " + names);
}

Result<client::LocalState*> state_of(const chorus_task* task) {
  CHORUS_TRY(const auto* const opened, open_handle(task));
  if (opened->train == nullptr || opened->train->state == nullptr) {
    return fail(errc::wrong_state, "this task has no local state");
  }
  return opened->train->state;
}

Result<void> load_state(const chorus_task* task,
                        const char* name,
                        float* numbers,
                        std::uint64_t capacity,
                        std::uint64_t* count) {
  CHORUS_TRY(auto* const state, state_of(task));
  CHORUS_TRY(const std::string_view wanted, not_null(name, "name"));
  CHORUS_TRY(const auto kept, state->load(wanted));
  if (!kept) {
    return fail(errc::not_found, "the local state has no vector '" + std::string(wanted) + "' yet");
  }
  if (count != nullptr) *count = kept->size();
  if (numbers == nullptr) return {};
  if (kept->size() > capacity) {
    return fail(errc::shape_mismatch,
                "the vector '" + std::string(wanted) + "' has " + std::to_string(kept->size()) +
                    " elements; there is room for " + std::to_string(capacity));
  }
  std::copy(kept->begin(), kept->end(), numbers);
  return {};
}

}  // namespace
}  // namespace chorus::capi

namespace capi = chorus::capi;
using chorus::Result;

extern "C" {

const char* chorus_task_job(const chorus_task* task) {
  return capi::guarded_or<const char*>(nullptr, [&]() -> Result<const char*> {
    CHORUS_TRY(const auto* const opened, capi::open_handle(task));
    return opened->train != nullptr ? opened->train->job.c_str() : opened->evaluate->job.c_str();
  });
}

uint64_t chorus_task_round(const chorus_task* task) {
  return capi::guarded_or<std::uint64_t>(0, [&]() -> Result<std::uint64_t> {
    CHORUS_TRY(const auto* const opened, capi::open_handle(task));
    return opened->train != nullptr ? opened->train->round : opened->evaluate->round;
  });
}

bool chorus_task_cancelled(const chorus_task* task) {
  return capi::guarded_or<bool>(false, [&]() -> Result<bool> {
    CHORUS_TRY(const auto* const opened, capi::open_handle(task));
    return opened->cancel->cancelled();
  });
}

const chorus_plan* chorus_task_plan(const chorus_task* task) {
  return capi::guarded_or<const chorus_plan*>(nullptr, [&]() -> Result<const chorus_plan*> {
    CHORUS_TRY(const auto* const opened, capi::open_handle(task));
    return opened->train != nullptr ? &opened->plan : nullptr;
  });
}

uint32_t chorus_task_batch_size(const chorus_task* task) {
  return capi::guarded_or<std::uint32_t>(0, [&]() -> Result<std::uint32_t> {
    CHORUS_TRY(const auto* const opened, capi::open_handle(task));
    return opened->train != nullptr ? opened->plan.batch_size : opened->evaluate->plan.batch_size;
  });
}

const chorus_scale* chorus_task_normalise(const chorus_task* task, size_t* count) {
  if (count != nullptr) *count = 0;
  return capi::guarded_or<const chorus_scale*>(nullptr, [&]() -> Result<const chorus_scale*> {
    CHORUS_TRY(const auto* const opened, capi::open_handle(task));
    if (count != nullptr) *count = opened->normalise.size();
    return opened->normalise.empty() ? nullptr : opened->normalise.data();
  });
}

double chorus_task_learning_rate(const chorus_task* task, uint64_t step) {
  return capi::guarded_or<double>(0.0, [&]() -> Result<double> {
    CHORUS_TRY(const auto* const opened, capi::open_handle(task));
    return opened->train != nullptr ? chorus::tensor::rate_at(opened->train->plan, step) : 0.0;
  });
}

chorus_status chorus_task_check_plan(const chorus_task* task,
                                     const char* const* known,
                                     size_t count) {
  return capi::guarded([&] { return capi::check_plan(task, known, count); });
}

size_t chorus_task_tensor_count(const chorus_task* task) {
  return capi::guarded_or<std::size_t>(0, [&]() -> Result<std::size_t> {
    CHORUS_TRY(const auto* const opened, capi::open_handle(task));
    return opened->tensors.size();
  });
}

const chorus_tensor* chorus_task_tensor(const chorus_task* task, size_t index) {
  return capi::guarded_or<const chorus_tensor*>(nullptr, [&]() -> Result<const chorus_tensor*> {
    CHORUS_TRY(const auto* const opened, capi::open_handle(task));
    return capi::tensor_at(opened->tensors, index);
  });
}

const chorus_tensor* chorus_task_find_tensor(const chorus_task* task, const char* name) {
  return capi::guarded_or<const chorus_tensor*>(nullptr,
                                                [&] { return capi::find_tensor(task, name); });
}

const char* chorus_task_model(const chorus_task* task) {
  return capi::guarded_or<const char*>(nullptr, [&]() -> Result<const char*> {
    CHORUS_TRY(const auto* const opened, capi::open_handle(task));
    return opened->model.c_str();
  });
}

const float* chorus_task_vector(const chorus_task* task, const char* name) {
  return capi::guarded_or<const float*>(nullptr, [&]() -> Result<const float*> {
    CHORUS_TRY(const auto* const opened, capi::open_handle(task));
    CHORUS_TRY(const std::string_view wanted, capi::not_null(name, "name"));
    if (opened->train == nullptr) return nullptr;
    const auto vectors = opened->train->vectors;
    const auto found = std::find_if(
        vectors.begin(), vectors.end(), [&](const auto& vector) { return vector.name == wanted; });
    return found != vectors.end() ? found->numbers.data() : nullptr;
  });
}

chorus_status chorus_task_state_epoch(const chorus_task* task, uint64_t* epoch) {
  return capi::guarded([&]() -> Result<void> {
    CHORUS_TRY(const auto* const state, capi::state_of(task));
    CHORUS_OK(capi::not_null(epoch, "epoch"));
    *epoch = state->epoch();
    return {};
  });
}

chorus_status chorus_task_state_load(
    const chorus_task* task, const char* name, float* numbers, uint64_t capacity, uint64_t* count) {
  return capi::guarded([&] { return capi::load_state(task, name, numbers, capacity, count); });
}

chorus_status chorus_task_state_store(const chorus_task* task,
                                      const char* name,
                                      const float* numbers,
                                      uint64_t count) {
  return capi::guarded([&]() -> Result<void> {
    CHORUS_TRY(auto* const state, capi::state_of(task));
    CHORUS_TRY(const std::string_view wanted, capi::not_null(name, "name"));
    CHORUS_OK(capi::not_null(numbers, "numbers"));
    return state->store(wanted, {numbers, count});
  });
}

}  // extern "C"
