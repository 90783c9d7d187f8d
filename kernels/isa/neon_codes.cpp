// The loops of compression with NEON. Only the table may be visible to the linker.
#include "kernels/body/codes-inl.hpp"

namespace chorus::kernels {

constinit const CodeTable kNeonCodeTable = kCodes;

}  // namespace chorus::kernels
