#include "tests/support/gpu_calls.hpp"

#include <algorithm>
#include <cmath>

#include "chorus/kernels/gpu_programs.hpp"
#include "common/base/try.hpp"

namespace chorus::gpu {
namespace {

constexpr std::uint32_t kRows = 37;
constexpr std::uint32_t kWidth = 29;
constexpr std::uint64_t kCount = std::uint64_t{kRows} * kWidth;

// In [-2, 2), signs mixed, no two alike.
std::vector<float> numbers(std::size_t count, std::uint32_t seed) {
  std::vector<float> values(count);
  std::uint32_t state = seed * 2654435761U + 1U;
  for (float& value : values) {
    state = state * 1664525U + 1013904223U;
    value = static_cast<float>(state >> 8U) * 0x1.0p-22F - 2.0F;
  }
  return values;
}

std::vector<float> squares(std::vector<float> values) {
  for (float& value : values) value *= value;
  return values;
}

std::vector<std::uint32_t> places(std::size_t count, std::uint32_t below) {
  std::vector<std::uint32_t> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<std::uint32_t>(i * 7U) % below;
  return values;
}

template <class... T>
Call call(const char* kernel, std::uint64_t items, bool exact, const T&... operands) {
  return {kernel, items, exact, {Operand::of(operands)...}};
}

void add_elementwise(std::vector<Call>& calls) {
  const auto x = numbers(kCount, 1);
  const auto y = numbers(kCount, 2);
  const std::vector<float> zeros(kCount);
  calls.push_back(call("copy_f32", kCount, true, x, zeros, kCount));
  calls.push_back(
      call("bias_relu_f32", kCount, true, x, numbers(kWidth, 3), kWidth, 0.1F, zeros, kCount));
  calls.push_back(call("relu_backward_f32", kCount, true, y, x, 0.1F, zeros, kCount));
  calls.push_back(call("column_sums_f32",
                       kWidth,
                       true,
                       x,
                       kRows,
                       std::vector<float>(kWidth),
                       std::uint64_t{kWidth}));
  calls.push_back(call("dropout_f32",
                       (kCount + 3) / 4,
                       true,
                       x,
                       std::uint64_t{0x0123456789ABCDEFU},
                       std::uint64_t{0x100000007U},
                       std::uint32_t{5},
                       std::uint32_t{0x40000000U},
                       4.0F / 3.0F,
                       zeros,
                       zeros,
                       kCount));
  calls.push_back(call("multiply_f32", kCount, true, x, y, zeros, kCount));
  calls.push_back(call("embedding_f32",
                       kCount,
                       true,
                       numbers(std::size_t{11} * kWidth, 4),
                       places(kRows, 11),
                       kWidth,
                       zeros,
                       kCount));
}

void add_rows(std::vector<Call>& calls) {
  constexpr std::uint32_t kInner = 13;
  const std::vector<float> zeros(kCount);
  const auto x = numbers(kCount, 5);
  // a is stored transposed
  calls.push_back(call("product_f32",
                       kCount,
                       true,
                       numbers(std::size_t{kInner} * kRows, 6),
                       std::uint32_t{1},
                       kRows,
                       numbers(std::size_t{kInner} * kWidth, 7),
                       kWidth,
                       std::uint32_t{1},
                       zeros,
                       kWidth,
                       kInner,
                       kCount));
  calls.push_back(call("softmax_cross_entropy_f32",
                       kRows,
                       false,
                       x,
                       places(kRows, kWidth),
                       kWidth,
                       1.0F / 37.0F,
                       std::vector<float>(kRows),
                       zeros,
                       std::uint64_t{kRows}));
  calls.push_back(call("layer_norm_f32",
                       kRows,
                       false,
                       x,
                       numbers(kWidth, 8),
                       numbers(kWidth, 9),
                       1e-5F,
                       kWidth,
                       zeros,
                       std::uint64_t{kRows}));
}

void add_steps(std::vector<Call>& calls) {
  const auto w = numbers(kCount, 10);
  const auto g = numbers(kCount, 11);
  const auto m = numbers(kCount, 12);
  calls.push_back(call("sgd_step_f32", kCount, true, w, g, 0.05F, 0.01F, kCount));
  calls.push_back(
      call("momentum_step_f32", kCount, true, w, g, m, 0.05F, 0.01F, 0.9F, 1.0F, 0.9F, kCount));
  // Division and square root: correctly rounded where the device can.
  calls.push_back(call("adam_step_f32",
                       kCount,
                       false,
                       w,
                       g,
                       m,
                       squares(numbers(kCount, 13)),
                       0.001F,
                       0.9F,
                       0.999F,
                       1e-8F,
                       1.5F,
                       3.0F,
                       0.02F,
                       0.99F,
                       kCount));
}

void add_sums(std::vector<Call>& calls) {
  constexpr std::uint32_t kInputs = 9;
  // Halves, so that ties occur; the multipliers reach past 32 bits.
  std::vector<float> x = numbers(kInputs * kCount, 14);
  for (std::size_t i = 0; i < x.size(); i += 3) x[i] = std::floor(x[i] * 8.0F) + 0.5F;
  std::vector<double> multipliers(kInputs, 1.0);
  for (std::size_t k = 1; k < kInputs; ++k) multipliers[k] = multipliers[k - 1] * 97.0;
  std::vector<std::int64_t> sums(kCount);
  for (std::size_t i = 0; i < kCount; ++i) {
    sums[i] = (static_cast<std::int64_t>(i) - 500) * 1'000'000'007'000;
  }
  calls.push_back(call("fold_f32", kCount, true, x, multipliers, kInputs, sums, kCount));
  calls.push_back(call(
      "lane_mean_f32", kCount, true, sums, 12345.0 * 0x1.0p20, std::vector<float>(kCount), kCount));
}

bool near(float got, float expected) {
  if (std::isnan(got) || std::isnan(expected)) return false;
  return std::fabs(got - expected) <= 1e-5F * std::max(1.0F, std::fabs(expected));
}

}  // namespace

OpenOptions with_kernels() {
  return {{kernels::gpu::opencl_source(), kernels::gpu::cuda_image(), kernels::gpu::plain_kernel},
          ""};
}

std::vector<Call> all_calls() {
  std::vector<Call> calls;
  add_elementwise(calls);
  add_rows(calls);
  add_steps(calls);
  add_sums(calls);
  return calls;
}

Result<void> execute(Device& device, Call& call) {
  std::vector<Buffer> buffers;
  std::vector<Argument> arguments;
  for (const Operand& operand : call.operands) {
    if (operand.value) {
      arguments.push_back(*operand.value);
      continue;
    }
    CHORUS_TRY(Buffer buffer, device.allocate(operand.array.size()));
    CHORUS_OK(device.write(buffer, operand.array));
    arguments.emplace_back(buffer);
    buffers.push_back(std::move(buffer));
  }
  CHORUS_OK(device.launch(call.kernel, call.items, arguments));
  CHORUS_OK(device.finish());
  std::size_t next = 0;
  for (Operand& operand : call.operands) {
    if (!operand.value) CHORUS_OK(device.read(buffers[next++], operand.array));
  }
  return {};
}

std::string difference(const Call& got, const Call& expected) {
  for (std::size_t k = 0; k < got.operands.size(); ++k) {
    const auto& left = got.operands[k].array;
    const auto& right = expected.operands[k].array;
    if (left == right) continue;
    const std::string where = got.kernel + ", argument " + std::to_string(k);
    if (got.exact) return where + ": other bits";
    const auto a = got.operands[k].as<float>();
    const auto b = expected.operands[k].as<float>();
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (near(a[i], b[i])) continue;
      return where + "[" + std::to_string(i) + "]: " + std::to_string(a[i]) + " instead of " +
             std::to_string(b[i]);
    }
  }
  return "";
}

}  // namespace chorus::gpu
