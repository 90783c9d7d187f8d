// The dialect of kernels/gpu/body in OpenCL C 1.2. Compiled at run time, with
// -DCHORUS_DOUBLE=1 where the device computes in double.
#if CHORUS_DOUBLE
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif
#pragma OPENCL FP_CONTRACT OFF

typedef uint u32;
typedef ulong u64;
typedef long i64;

#define GLOBAL __global
#define FUNCTION static
// Parameters come in their parentheses: OpenCL C has no macros of any number of arguments.
#define KERNEL(name, parameters) __kernel void chorus_##name parameters
#define INDEX(i, n)               \
  const u64 i = get_global_id(0); \
  if (i >= (n)) return
#define EXP(x) exp(x)
#define LOG(x) log(x)
#define SQRT(x) sqrt(x)
#define HIGH_PRODUCT(a, b) mul_hi(a, b)
#define ROUND_TO_I64(x) convert_long_rte(x)
