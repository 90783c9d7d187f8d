// The loops of compression for the CPU every build must run on: the definition.
#include "kernels/body/codes-inl.hpp"

namespace chorus::kernels {

constinit const CodeTable kRefCodeTable = kCodes;

}  // namespace chorus::kernels
