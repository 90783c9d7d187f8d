// What a variant provides of matrix products, like table.hpp: built-in types only.
#pragma once

#include <stddef.h>

namespace chorus::kernels {

/// The contracts are those of chorus/kernels/products.hpp. In `strided`, A's element (i, p) lies at
/// a[i * row + p * step]: a matrix as it is, or transposed.
struct RawProduct {
  size_t m, n, k;
  const float* a;
  size_t row, step;
  const float* b;
  size_t ldb;
  float* c;
  size_t ldc;
  float alpha, beta;
};

/// A right side to be packed: its element (q, j) lies at b[q * row + j * step], row or step is 1.
struct RawPack {
  size_t n, k;
  const float* b;
  size_t row, step;
  float* to;
};

struct ProductTable {
  /// C ← α·A·Bᵀ + β·C; A's rows are contiguous: sixteen sums, and one.
  void (*dots)(const RawProduct& p);
  void (*turned)(const RawProduct& p);
  void (*strided)(const RawProduct& p);  ///< C ← α·A·B + β·C
  void (*pack)(const RawPack& p);
  /// The same with a B that was packed; `from_last`: begins with the last panel.
  void (*packed)(const RawProduct& p, bool from_last);
};

extern const ProductTable kRefProductTable;
#if defined(__x86_64__)
extern const ProductTable kAvx2ProductTable;
extern const ProductTable kAvx512ProductTable;
#elif defined(__aarch64__)
extern const ProductTable kNeonProductTable;
#endif

}  // namespace chorus::kernels
