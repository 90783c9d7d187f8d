// The dialect of kernels/gpu/body in CUDA C++. Compiled by nvcc with -fmad=false.
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#define CHORUS_DOUBLE 1
#define GLOBAL
#define FUNCTION static __device__
#define KERNEL(name, parameters) extern "C" __global__ void chorus_##name parameters
#define INDEX(i, n)                                                      \
  const u64 i = static_cast<u64>(blockIdx.x) * blockDim.x + threadIdx.x; \
  if (i >= (n)) return
#define EXP(x) expf(x)
#define LOG(x) logf(x)
#define SQRT(x) sqrtf(x)
#define HIGH_PRODUCT(a, b) __umulhi(a, b)
#define ROUND_TO_I64(x) __double2ll_rn(x)
