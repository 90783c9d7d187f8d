// The loops of training with NEON. Nothing here may be visible to the linker but the table.
#include "kernels/body/training-inl.hpp"

namespace chorus::kernels {

constinit const TrainingTable kNeonTrainingTable = kTraining;

}  // namespace chorus::kernels
