// The bodies as plain C++, and how arguments get to them.
#include <array>
#include <cstring>
#include <type_traits>
#include <utility>

#include "chorus/kernels/gpu_programs.hpp"
#include "kernels/gpu/dialect_plain.hpp"

namespace chorus::kernels::gpu {
namespace {

#include "kernels/gpu/body/elementwise.h"
#include "kernels/gpu/body/fold.h"
#include "kernels/gpu/body/rows.h"
#include "kernels/gpu/body/steps.h"

template <class T>
T argument(const void* from) {
  std::remove_cv_t<T> value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

template <class... Args, std::size_t... I>
void call(void (*kernel)(u64, Args...),
          u64 work_item,
          const void* const* arguments,
          std::index_sequence<I...> /*places*/) {
  kernel(work_item, argument<Args>(arguments[I])...);
}

template <class... Args>
constexpr std::size_t arity(void (* /*kernel*/)(u64, Args...)) {
  return sizeof...(Args);
}

template <auto kKernel>
void invoke(u64 work_item, const void* const* arguments) {
  call(kKernel, work_item, arguments, std::make_index_sequence<arity(kKernel)>{});
}

struct Row {
  std::string_view name;
  PlainKernel kernel;
};

#define CHORUS_ROW(name)            \
  Row {                             \
#name, invoke < &chorus_##name> \
  }
constexpr std::array kRows = {
    CHORUS_ROW(copy_f32),
    CHORUS_ROW(bias_relu_f32),
    CHORUS_ROW(relu_backward_f32),
    CHORUS_ROW(column_sums_f32),
    CHORUS_ROW(dropout_f32),
    CHORUS_ROW(multiply_f32),
    CHORUS_ROW(embedding_f32),
    CHORUS_ROW(fold_f32),
    CHORUS_ROW(lane_mean_f32),
    CHORUS_ROW(product_f32),
    CHORUS_ROW(softmax_cross_entropy_f32),
    CHORUS_ROW(layer_norm_f32),
    CHORUS_ROW(sgd_step_f32),
    CHORUS_ROW(momentum_step_f32),
    CHORUS_ROW(adam_step_f32),
};
#undef CHORUS_ROW

constexpr auto kNames = [] {
  std::array<std::string_view, kRows.size()> names;
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = kRows[i].name;
  return names;
}();

}  // namespace

PlainKernel plain_kernel(std::string_view name) noexcept {
  for (const Row& row : kRows) {
    if (row.name == name) return row.kernel;
  }
  return nullptr;
}

std::span<const std::string_view> kernel_names() noexcept {
  return kNames;
}

}  // namespace chorus::kernels::gpu
