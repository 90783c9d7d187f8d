// The loops of training with AVX2. Nothing here may be visible to the linker but the table.
#include "kernels/body/training-inl.hpp"

namespace chorus::kernels {

constinit const TrainingTable kAvx2TrainingTable = kTraining;

}  // namespace chorus::kernels
