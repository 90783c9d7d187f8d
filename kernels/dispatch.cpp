// Chooses a variant on first use and forwards to it; the families are in dispatch_*.cpp.
#include "kernels/dispatch.hpp"

#include <array>
#include <atomic>
#include <bit>
#include <cstdio>
#include <cstdlib>

#include "chorus/kernels/kernels.hpp"

namespace chorus::kernels {
namespace {

// What this CPU and its operating system can run, from CPUID feature bits (never the model).
#if defined(__x86_64__)
bool has_avx2() noexcept {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
}
bool has_avx512() noexcept {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512bw") != 0;
}
#endif
bool always() noexcept {
  return true;
}

constexpr std::array kTables{CHORUS_VARIANTS(Table)};
// Of the same order.
using RunsHere = bool (*)() noexcept;
constexpr std::array<RunsHere, kTables.size()> kRunsHere {
#if defined(__x86_64__)
  has_avx512, has_avx2,
#elif defined(__aarch64__)
  always,
#endif
      always
};

struct Available {
  std::array<std::string_view, kTables.size()> names;
  std::array<std::size_t, kTables.size()> indices{};  // into kTables
  std::size_t count = 0;
};

const Available& available() noexcept {
  static const Available found = [] {
    Available here;
    for (std::size_t i = 0; i < kTables.size(); ++i) {
      if (!kRunsHere[i]()) continue;
      here.names[here.count] = kTables[i]->name;
      here.indices[here.count] = i;
      ++here.count;
    }
    return here;
  }();
  return found;
}

constexpr std::size_t kNone = kTables.size();

std::size_t find(std::string_view name) noexcept {
  const Available& here = available();
  for (std::size_t i = 0; i < here.count; ++i) {
    if (here.names[i] == name) return here.indices[i];
  }
  return kNone;
}

// Constant-initialised, so that kernels may run before or during static initialisation.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): the one choice of the process
constinit std::atomic<std::size_t> active{kNone};

[[gnu::noinline, gnu::cold]] std::size_t choose_first() noexcept {
  std::size_t chosen = available().indices[0];
  const char* wanted = std::getenv("CHORUS_ISA");
  const bool named = wanted != nullptr && *wanted != '\0';
  const std::size_t by_name = named ? find(wanted) : kNone;
  if (by_name != kNone) chosen = by_name;
  // Threads may arrive here together; all choose the same, one of them reports.
  std::size_t expected = kNone;
  if (!active.compare_exchange_strong(expected, chosen, std::memory_order_acq_rel)) {
    return expected;
  }
  if (named && by_name == kNone) {
    std::fprintf(stderr,
                 "chorus: CHORUS_ISA=%s is not available in this build or on this CPU; using %s\n",
                 wanted,
                 kTables[chosen]->name);
  }
  return chosen;
}

const Table& table() noexcept {
  return *kTables[active_index()];
}

}  // namespace

std::size_t active_index() noexcept {
  const std::size_t chosen = active.load(std::memory_order_acquire);
  return chosen != kNone ? chosen : choose_first();
}

bool multiplies_52_bits() noexcept {
#if defined(__x86_64__)
  static const bool has = [] {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512ifma") != 0;
  }();
  return has;
#else
  return false;
#endif
}

void require(bool ok, const char* what) noexcept {
  if (ok) return;
  std::fprintf(stderr, "chorus: assertion failed: %s\n", what);
  std::abort();
}

void fold_f32(std::span<const FoldInput> inputs, std::span<std::int64_t> acc) noexcept {
  require(!inputs.empty() && inputs.size() <= kFoldInputsMax, "fold_f32: 1 to 32 inputs");
  for_each_pass(inputs, acc, [](auto of_pass, std::size_t first, auto sums) {
    std::array<const float*, kPassInputs> x{};
    std::array<double, kPassInputs> multipliers{};
    for (std::size_t k = 0; k < of_pass.size(); ++k) {
      x[k] = of_pass[k].x + first;
      multipliers[k] = of_pass[k].multiplier;
    }
    table().fold_f32(x.data(), multipliers.data(), of_pass.size(), sums.data(), sums.size());
  });
}

void merge_i64(std::span<const std::int64_t> other, std::span<std::int64_t> acc) noexcept {
  require(other.size() == acc.size(), "merge_i64: sizes differ");
  table().merge_i64(other.data(), acc.data(), acc.size());
}

void lane_mean_f32(std::span<const std::int64_t> sum,
                   double divisor,
                   std::span<float> mean) noexcept {
  require(sum.size() == mean.size(), "lane_mean_f32: sizes differ");
  table().lane_mean_f32(sum.data(), divisor, mean.data(), mean.size());
}

void add_scaled_f32(std::span<const float> base,
                    double alpha,
                    std::span<const float> x,
                    std::span<float> out) noexcept {
  require(base.size() == out.size() && x.size() == out.size(), "add_scaled_f32: sizes differ");
  table().add_scaled_f32(base.data(), alpha, x.data(), out.data(), out.size());
}

void subtract_f32(std::span<const float> y,
                  std::span<const float> x,
                  std::span<float> out) noexcept {
  require(y.size() == out.size() && x.size() == out.size(), "subtract_f32: sizes differ");
  table().subtract_f32(y.data(), x.data(), out.data(), out.size());
}

VectorStats stats_f32(std::span<const float> x) noexcept {
  constexpr std::uint32_t kInfinityBits = 0x7F800000U;
  const RawStats raw = table().stats_f32(x.data(), x.size());
  if (raw.max_bits >= kInfinityBits) return {.finite = false};
  return {.finite = true,
          .max_abs = std::bit_cast<float>(raw.max_bits),
          .sum_squares = raw.sum_squares};
}

std::string_view active_variant() noexcept {
  return table().name;
}

bool select_variant(std::string_view name) noexcept {
  const std::size_t wanted = find(name);
  if (wanted == kNone) return false;
  active.store(wanted, std::memory_order_release);
  return true;
}

std::span<const std::string_view> available_variants() noexcept {
  const Available& here = available();
  return std::span(here.names).first(here.count);
}

}  // namespace chorus::kernels
