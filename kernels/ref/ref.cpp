// The definition of every kernel: plain loops, no instruction set beyond the build's baseline. The
// other variants must give these bits.
#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/table.hpp"

namespace chorus::kernels {
namespace {

constexpr size_t kAccumulators = 16;

// Two's complement addition that wraps. Sums of a lane never overflow, but a defect that made one
// overflow should give the same wrong number on every variant instead of undefined behaviour.
int64_t add_wrapping(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

void fold_f32(
    const float* const* x, const double* multipliers, size_t count, int64_t* acc, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    int64_t sum = acc[i];
    for (size_t k = 0; k < count; ++k) {
      const double product = static_cast<double>(x[k][i]) * multipliers[k];
      sum = add_wrapping(sum, static_cast<int64_t>(std::nearbyint(product)));
    }
    acc[i] = sum;
  }
}

void fold_codes(const uint8_t* const* codes,
                const double* bases,
                const double* units,
                size_t count,
                int64_t* acc,
                size_t n) {
  for (size_t i = 0; i < n; ++i) {
    int64_t sum = acc[i];
    for (size_t k = 0; k < count; ++k) {
      const double addend = std::fma(units[k], static_cast<double>(codes[k][i]), bases[k]);
      sum = add_wrapping(sum, static_cast<int64_t>(std::nearbyint(addend)));
    }
    acc[i] = sum;
  }
}

void merge_i64(const int64_t* other, int64_t* acc, size_t n) {
  for (size_t i = 0; i < n; ++i) acc[i] = add_wrapping(acc[i], other[i]);
}

void lane_mean_f32(const int64_t* sum, double divisor, float* mean, size_t n) {
  for (size_t i = 0; i < n; ++i)
    mean[i] = static_cast<float>(static_cast<double>(sum[i]) / divisor);
}

void add_scaled_f32(const float* base, double alpha, const float* x, float* out, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    const double step = alpha * static_cast<double>(x[i]);
    out[i] = static_cast<float>(static_cast<double>(base[i]) + step);
  }
}

void subtract_f32(const float* y, const float* x, float* out, size_t n) {
  for (size_t i = 0; i < n; ++i) out[i] = y[i] - x[i];
}

RawStats stats_f32(const float* x, size_t n) {
  double sums[kAccumulators] = {};
  uint32_t max_bits = 0;
  for (size_t i = 0; i < n; ++i) {
    const double value = static_cast<double>(x[i]);
    sums[i % kAccumulators] += value * value;
    max_bits = std::max(max_bits, std::bit_cast<uint32_t>(x[i]) & 0x7FFFFFFFU);
  }
  for (size_t half = kAccumulators / 2; half > 0; half /= 2) {
    for (size_t j = 0; j < half; ++j) sums[j] += sums[j + half];
  }
  return {max_bits, sums[0]};
}

}  // namespace

constinit const Table kRefTable = {"ref",
                                   fold_f32,
                                   fold_codes,
                                   nullptr,
                                   nullptr,
                                   merge_i64,
                                   lane_mean_f32,
                                   add_scaled_f32,
                                   subtract_f32,
                                   stats_f32};

}  // namespace chorus::kernels
