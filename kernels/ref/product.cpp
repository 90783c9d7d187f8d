// The definition of the products: plain loops. The sums are fused (rounded once per term), which a
// baseline CPU does in software: slow here, and the same bits as the instruction.
#include <cmath>

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

void strided(const RawProduct& p) {
  for (size_t i = 0; i < p.m; ++i) {
    for (size_t j = 0; j < p.n; ++j) {
      float sum = 0.0F;
      for (size_t q = 0; q < p.k; ++q) {
        sum = std::fma(p.a[i * p.row + q * p.step], p.b[q * p.ldb + j], sum);
      }
      float* const c = p.c + i * p.ldc + j;
      *c = finish(p, sum, p.beta == 0.0F ? 0.0F : *c);
    }
  }
}

}  // namespace

constinit const ProductTable kRefProductTable = {dots, strided};

}  // namespace chorus::kernels
