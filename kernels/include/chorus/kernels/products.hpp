// Products of small matrices, row-major, float32, on the calling thread: for the batches of
// devices, where calling a general library costs more than the arithmetic. All variants give the
// same bits.
#pragma once

#include <cstddef>

namespace chorus::kernels {

/// C is m × n, k the dimension that is summed over; ld… is the distance of two rows in elements.
/// C must not overlap A or B. β = 0 does not read C.
struct Product {
  std::size_t m = 0;
  std::size_t n = 0;
  std::size_t k = 0;
  const float* a = nullptr;
  std::size_t lda = 0;
  const float* b = nullptr;
  std::size_t ldb = 0;
  float* c = nullptr;
  std::size_t ldc = 0;
  float alpha = 1.0F;
  float beta = 0.0F;
};

inline constexpr std::size_t kOneSumRows = 12;
inline constexpr std::size_t kOneSumColumns = 64;
inline constexpr std::size_t kOneSumLength = 64;

/// With s the sum over p: C[i,j] ← α·s when β = 0, else fma(α, s, β·C[i,j]).
///
/// nn: s = Σ_p A[i,p]·B[p,j]   A m × k, B k × n. One sum in the order of p, by fused multiply-add.
/// tn: s = Σ_p A[p,i]·B[p,j]   A k × m, B k × n. The same.
/// nt: s = Σ_p A[i,p]·B[j,p]   A m × k, B n × k. The same with m ≥ kOneSumRows, n ≥ kOneSumColumns
/// and
///     k ≥ kOneSumLength: B is read once, as it lies. Else sixteen sums, of the p that are equal
///     mod 16; then sum[j] += sum[j + h] for h = 8, 4, 2, 1.
///
/// Uses up to 96 KiB of stack.
///
/// @determinism  bitwise equal on every variant, whatever the block sizes
void product_nt_f32(const Product& p) noexcept;
void product_nn_f32(const Product& p) noexcept;
void product_tn_f32(const Product& p) noexcept;

}  // namespace chorus::kernels
