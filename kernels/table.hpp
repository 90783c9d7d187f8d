// What a variant provides: one table of plain functions. Only built-in types cross this border, so
// that a source compiled for AVX-512 emits no inline function the linker could keep for everyone.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace chorus::kernels {

/// VectorStats before the finiteness test. `max_bits` is the largest magnitude seen as an integer
/// (IEEE magnitudes order like integers): below 0x7F800000 exactly if every element is finite.
struct RawStats {
  uint32_t max_bits;
  double sum_squares;
};

/// One variant of the folds and what goes with them; other families have tables of their own. The
/// contracts are those of chorus/kernels/kernels.hpp; sizes are checked before.
struct Table {
  const char* name;
  /// `count` inputs, 1..8: x[k] has n elements, multipliers[k] belongs to it.
  void (*fold_f32)(
      const float* const* x, const double* multipliers, size_t count, int64_t* acc, size_t n);
  /// The same of codes, a byte each: their addends are fma(units[k], codes[k][i], bases[k]).
  void (*fold_codes)(const uint8_t* const* codes,
                     const double* bases,
                     const double* units,
                     size_t count,
                     int64_t* acc,
                     size_t n);
  /// The same of packed codes of 1 to 4 bits: fma(units[k], values[k][code], bases[k]). Values are
  /// 16, again and again those of fewer codes. Null: unpack them.
  void (*fold_packed)(const uint8_t* const* codes,
                      unsigned bits,
                      const float* const* values,
                      const double* bases,
                      const double* units,
                      size_t count,
                      int64_t* acc,
                      size_t n);
  /// acc[i] += base + Σ_k units[k] · codes[k][i], of codes of a byte and units below 2^44. Null:
  /// fold_codes gives the same. To be called only where multiplies_52_bits().
  void (*fold_products)(const uint8_t* const* codes,
                        const uint64_t* units,
                        int64_t base,
                        size_t count,
                        int64_t* acc,
                        size_t n);
  void (*merge_i64)(const int64_t* other, int64_t* acc, size_t n);
  void (*lane_mean_f32)(const int64_t* sum, double divisor, float* mean, size_t n);
  void (*add_scaled_f32)(const float* base, double alpha, const float* x, float* out, size_t n);
  void (*subtract_f32)(const float* y, const float* x, float* out, size_t n);
  RawStats (*stats_f32)(const float* x, size_t n);
};

extern const Table kRefTable;
#if defined(__x86_64__)
extern const Table kAvx2Table;
extern const Table kAvx512Table;
#elif defined(__aarch64__)
extern const Table kNeonTable;
#endif

}  // namespace chorus::kernels
