// What a variant provides for rules over all updates, like table.hpp: built-in types only.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace chorus::kernels {

/// Rows and Exchange for the loops: see chorus/kernels/robust.hpp.
struct RawRows {
  const float* x;
  size_t rows, columns, stride;
};
struct RawExchange {
  uint16_t low, high;
};
/// Whole blocks of kBlockRows rows are sorted first, then come the exchanges.
struct RawOrder {
  const RawExchange* exchanges;
  size_t count, trim;
};

constexpr size_t kBlockRows = 16;  // kRowBlock

/// Columns that are put in order side by side, whatever a vector holds.
constexpr size_t kColumnsAside = 64;

struct RobustTable {
  /// scratch: f32[rows · kColumnsAside]
  void (*trimmed_mean)(const RawRows& x, const RawOrder& order, float* scratch, float* mean);
  void (*gram_add)(const RawRows& x, double* scratch, double* sums);
};

extern const RobustTable kRefRobustTable;
#if defined(__x86_64__)
extern const RobustTable kAvx2RobustTable;
extern const RobustTable kAvx512RobustTable;
#elif defined(__aarch64__)
extern const RobustTable kNeonRobustTable;
#endif

}  // namespace chorus::kernels
