// The loops of training with AVX-512. Nothing here may be visible to the linker but the table.
#include "kernels/body/training-inl.hpp"

namespace chorus::kernels {

constinit const TrainingTable kAvx512TrainingTable = kTraining;

}  // namespace chorus::kernels
