// The definition of the products: plain loops. The sums are fused (rounded once per term), which a
// baseline CPU does in software: slow here, and the same bits as the instruction.
#include <cmath>

#include "chorus/kernels/products.hpp"
#include "kernels/product_table.hpp"

namespace chorus::kernels {
namespace {

constexpr size_t kSums = 16;

float finish(const RawProduct& p, float sum, float before) {
  return p.beta == 0.0F ? p.alpha * sum : std::fma(p.alpha, sum, p.beta * before);
}

void dots(const RawProduct& p) {
  for (size_t i = 0; i < p.m; ++i) {
    for (size_t j = 0; j < p.n; ++j) {
      float sums[kSums] = {};
      for (size_t q = 0; q < p.k; q += kSums) {
        for (size_t lane = 0; lane < kSums; ++lane) {
          const bool there = q + lane < p.k;  // beyond the end vectors add 0 · 0
          const float a = there ? p.a[i * p.row + q + lane] : 0.0F;
          const float b = there ? p.b[j * p.ldb + q + lane] : 0.0F;
          sums[lane] = std::fma(a, b, sums[lane]);
        }
      }
      for (size_t half = kSums / 2; half > 0; half /= 2) {
        for (size_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
      }
      float* const c = p.c + i * p.ldc + j;
      *c = finish(p, sums[0], p.beta == 0.0F ? 0.0F : *c);
    }
  }
}

// B's element (q, j) lies at b[q * b_row + j * b_step].
void one_sum(const RawProduct& p, size_t b_row, size_t b_step) {
  for (size_t i = 0; i < p.m; ++i) {
    for (size_t j = 0; j < p.n; ++j) {
      float sum = 0.0F;
      for (size_t q = 0; q < p.k; ++q) {
        sum = std::fma(p.a[i * p.row + q * p.step], p.b[q * b_row + j * b_step], sum);
      }
      float* const c = p.c + i * p.ldc + j;
      *c = finish(p, sum, p.beta == 0.0F ? 0.0F : *c);
    }
  }
}

void turned(const RawProduct& p) {
  one_sum(p, 1, p.ldb);
}

void strided(const RawProduct& p) {
  one_sum(p, p.ldb, 1);
}

// Where element (q, j) of a packed right side lies.
size_t packed_at(size_t k, size_t q, size_t j) {
  return (j / kPackedColumns * k + q) * kPackedColumns + j % kPackedColumns;
}

void pack(const RawPack& p) {
  const size_t columns = packed_floats(p.n, p.k) / (p.k == 0 ? 1 : p.k);
  for (size_t j = 0; j < columns; ++j) {
    for (size_t q = 0; q < p.k; ++q) {
      p.to[packed_at(p.k, q, j)] = j < p.n ? p.b[q * p.row + j * p.step] : 0.0F;
    }
  }
}

void packed(const RawProduct& p, bool) {
  for (size_t i = 0; i < p.m; ++i) {
    for (size_t j = 0; j < p.n; ++j) {
      float sum = 0.0F;
      for (size_t q = 0; q < p.k; ++q) {
        sum = std::fma(p.a[i * p.row + q * p.step], p.b[packed_at(p.k, q, j)], sum);
      }
      float* const c = p.c + i * p.ldc + j;
      *c = finish(p, sum, p.beta == 0.0F ? 0.0F : *c);
    }
  }
}

}  // namespace

constinit const ProductTable kRefProductTable = {dots, turned, strided, pack, packed};

}  // namespace chorus::kernels
