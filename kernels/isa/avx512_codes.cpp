// The loops of compression with AVX-512. Only the table may be visible to the linker.
#include "kernels/body/codes-inl.hpp"

namespace chorus::kernels {

constinit const CodeTable kAvx512CodeTable = kCodes;

}  // namespace chorus::kernels
