// The loops of training for the CPU every build must run on: the definition.
#include "kernels/body/training-inl.hpp"

namespace chorus::kernels {

constinit const TrainingTable kRefTrainingTable = kTraining;

}  // namespace chorus::kernels
