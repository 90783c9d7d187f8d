// AVX2. Compiled with -mavx2: nothing here may be visible to the linker but the table
// (tests/unit/kernels checks the object file).
#include "kernels/body/avx2-inl.hpp"
#include "kernels/body/vector-inl.hpp"

namespace chorus::kernels {

constinit const Table kAvx2Table = table_of<Avx2>("avx2");

}  // namespace chorus::kernels
