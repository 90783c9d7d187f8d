// Rules over all updates with NEON. Only the table may be visible to the linker.
#include "kernels/body/gram-inl.hpp"
#include "kernels/body/neon-inl.hpp"
#include "kernels/body/order-inl.hpp"

namespace chorus::kernels {

constinit const RobustTable kNeonRobustTable = {trimmed_mean<Neon>, gram_add<Neon, 5, 4>};

}  // namespace chorus::kernels
