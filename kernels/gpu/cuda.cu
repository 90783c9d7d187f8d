// Every kernel for CUDA: nvcc turns this file into a fatbin that the library carries as bytes.
#include "kernels/gpu/dialect_cuda.h"

#include "kernels/gpu/body/elementwise.h"
#include "kernels/gpu/body/fold.h"
#include "kernels/gpu/body/rows.h"
#include "kernels/gpu/body/steps.h"
