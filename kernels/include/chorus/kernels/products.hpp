// Products of small matrices, row-major, float32, on the calling thread: for the batches of
// devices, where calling a general library costs more than the arithmetic. All variants give the
// same bits.
#pragma once

#include <cstddef>
#include <span>

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
inline constexpr std::size_t kOneSumColumnsShort = 16;  ///< with k < kOneSumLength
inline constexpr std::size_t kOneSumLength = 128;

/// With s the sum over p: C[i,j] ← α·s when β = 0, else fma(α, s, β·C[i,j]).
///
/// nn: s = Σ_p A[i,p]·B[p,j]   A m × k, B k × n. One sum in the order of p, by fused multiply-add.
/// tn: s = Σ_p A[p,i]·B[p,j]   A k × m, B k × n. The same.
/// nt: s = Σ_p A[i,p]·B[j,p]   A m × k, B n × k. The same with m ≥ kOneSumRows and
///     n ≥ kOneSumColumns, or n ≥ kOneSumColumnsShort and k < kOneSumLength. Else sixteen sums, of
///     the p that are equal mod 16; then sum[j] += sum[j + h] for h = 8, 4, 2, 1.
///
/// Uses up to 96 KiB of stack.
///
/// @determinism  bitwise equal on every variant, whatever the block sizes
void product_nt_f32(const Product& p) noexcept;
void product_nn_f32(const Product& p) noexcept;
void product_tn_f32(const Product& p) noexcept;

/// The right side of products, to be laid out once and used many times.
struct RightSide {
  std::size_t n = 0;
  std::size_t k = 0;
  const float* b = nullptr;
  std::size_t ldb = 0;
};

inline constexpr std::size_t kPackedColumns = 32;

/// Numbers of a packed right side: panels of kPackedColumns columns, each k rows of so many; the
/// last one is filled up with zeros.
constexpr std::size_t packed_floats(std::size_t n, std::size_t k) noexcept {
  return (n + kPackedColumns - 1) / kPackedColumns * kPackedColumns * k;
}

/// Lays out B, which is k × n in nn and n × k in nt.
/// @pre packed.size() == packed_floats(n, k)
void pack_nn_f32(const RightSide& b, std::span<float> packed) noexcept;
void pack_nt_f32(const RightSide& b, std::span<float> packed) noexcept;

enum class PanelOrder : bool { from_first, from_last };

/// As product_nn_f32, with p.b packed; p.ldb is not used. Who multiplies by the same B again and
/// again turns the order each time: what was read last is still in a cache.
void product_packed_f32(const Product& p, PanelOrder order) noexcept;

}  // namespace chorus::kernels
