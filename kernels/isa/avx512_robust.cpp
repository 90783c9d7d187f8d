// Rules over all updates with AVX-512. Only the table may be visible to the linker.
#include "kernels/body/avx512-inl.hpp"
#include "kernels/body/gram-inl.hpp"
#include "kernels/body/order-inl.hpp"

namespace chorus::kernels {

constinit const RobustTable kAvx512RobustTable = {trimmed_mean<Avx512>, gram_add<Avx512, 5, 4>};

}  // namespace chorus::kernels
