// Rules over all updates with AVX2. Only the table may be visible to the linker.
#include "kernels/body/avx2-inl.hpp"
#include "kernels/body/gram-inl.hpp"
#include "kernels/body/order-inl.hpp"

namespace chorus::kernels {

constinit const RobustTable kAvx2RobustTable = {trimmed_mean<Avx2>, gram_add<Avx2, 4, 3>};

}  // namespace chorus::kernels
