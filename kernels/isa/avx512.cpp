// AVX-512 (F, DQ, VL, BW). Compiled with those flags: nothing here may be visible to the linker but
// the table (tests/unit/kernels checks the object file).
#include "kernels/body/avx512-inl.hpp"
#include "kernels/body/code-product-inl.hpp"
#include "kernels/body/packed-fold-inl.hpp"
#include "kernels/body/vector-inl.hpp"

namespace chorus::kernels {

constinit const Table kAvx512Table = table_of<Avx512>("avx512", fold_packed, fold_products);

}  // namespace chorus::kernels
