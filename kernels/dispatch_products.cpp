// Forwards matrix products to the variant in use.
#include <array>

#include "chorus/kernels/products.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/product_table.hpp"

namespace chorus::kernels {
namespace {

const ProductTable& product_table() noexcept {
  static constexpr std::array kTables{CHORUS_VARIANTS(ProductTable)};
  return *kTables[active_index()];
}

}  // namespace

void product_nt_f32(const Product& p) noexcept {
  require(p.lda >= p.k && p.ldb >= p.k && p.ldc >= p.n, "product_nt_f32: rows overlap");
  const ProductTable& products = product_table();
  // Turning a side costs about as much as its products with some rows or columns; the end of
  // sixteen sums as much as the products of a hundred terms.
  const std::size_t columns = p.k < kOneSumLength ? kOneSumColumnsShort : kOneSumColumns;
  const bool one_sum = p.m >= kOneSumRows && p.n >= columns;
  (one_sum ? products.turned : products.dots)(
      {p.m, p.n, p.k, p.a, p.lda, 1, p.b, p.ldb, p.c, p.ldc, p.alpha, p.beta});
}

void product_nn_f32(const Product& p) noexcept {
  require(p.lda >= p.k && p.ldb >= p.n && p.ldc >= p.n, "product_nn_f32: rows overlap");
  product_table().strided({p.m, p.n, p.k, p.a, p.lda, 1, p.b, p.ldb, p.c, p.ldc, p.alpha, p.beta});
}

void product_tn_f32(const Product& p) noexcept {
  require(p.lda >= p.m && p.ldb >= p.n && p.ldc >= p.n, "product_tn_f32: rows overlap");
  product_table().strided({p.m, p.n, p.k, p.a, 1, p.lda, p.b, p.ldb, p.c, p.ldc, p.alpha, p.beta});
}

void pack_nn_f32(const RightSide& b, std::span<float> packed) noexcept {
  require(b.ldb >= b.n, "pack_nn_f32: rows overlap");
  require(packed.size() == packed_floats(b.n, b.k), "pack_nn_f32: sizes");
  product_table().pack({b.n, b.k, b.b, b.ldb, 1, packed.data()});
}

void pack_nt_f32(const RightSide& b, std::span<float> packed) noexcept {
  require(b.ldb >= b.k, "pack_nt_f32: rows overlap");
  require(packed.size() == packed_floats(b.n, b.k), "pack_nt_f32: sizes");
  product_table().pack({b.n, b.k, b.b, 1, b.ldb, packed.data()});
}

void product_packed_f32(const Product& p, PanelOrder order) noexcept {
  require(p.lda >= p.k && p.ldc >= p.n, "product_packed_f32: rows overlap");
  product_table().packed({p.m, p.n, p.k, p.a, p.lda, 1, p.b, 0, p.c, p.ldc, p.alpha, p.beta},
                         order == PanelOrder::from_last);
}

}  // namespace chorus::kernels
