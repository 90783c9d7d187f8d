// The dialect of kernels/gpu/body in plain C++: a kernel is a function that does one work item,
// whose number comes first. The reference in the tests of the other two.
#pragma once

#include <cmath>
#include <cstdint>

namespace chorus::kernels::gpu {
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i64 = std::int64_t;
}  // namespace chorus::kernels::gpu

#define CHORUS_DOUBLE 1
#define GLOBAL
#define FUNCTION inline
#define CHORUS_BARE(...) __VA_ARGS__
#define KERNEL(name, parameters) void chorus_##name(u64 work_item, CHORUS_BARE parameters)
#define INDEX(i, n)        \
  const u64 i = work_item; \
  if (i >= (n)) return
#define EXP(x) std::exp(x)
#define LOG(x) std::log(x)
#define SQRT(x) std::sqrt(x)
#define HIGH_PRODUCT(a, b) static_cast<u32>((static_cast<u64>(a) * (b)) >> 32U)
#define ROUND_TO_I64(x) static_cast<i64>(std::nearbyint(x))
