// NEON (Advanced SIMD of every aarch64). Only the table may be visible to the linker
// (tests/unit/kernels checks the object file).
#include "kernels/body/neon-inl.hpp"
#include "kernels/body/vector-inl.hpp"

namespace chorus::kernels {

constinit const Table kNeonTable = table_of<Neon>("neon");

}  // namespace chorus::kernels
