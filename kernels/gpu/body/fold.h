// Exact sums on the device, as kernels.hpp defines them. Only where the device computes in double.
#if CHORUS_DOUBLE

// acc[i] += Σ_k round_half_even(double(x[k·n + i])·multipliers[k]); x is f32[count·n]
KERNEL(
    fold_f32,
    (GLOBAL const float* x, GLOBAL const double* multipliers, u32 count, GLOBAL i64* acc, u64 n)) {
  INDEX(i, n);
  u64 sum = (u64)acc[i];
  for (u32 k = 0; k < count; ++k) {
    const double product = (double)x[k * n + i] * multipliers[k];
    sum += (u64)ROUND_TO_I64(product);
  }
  acc[i] = (i64)sum;
}

// mean[i] = float(double(sum[i]) / divisor)
KERNEL(lane_mean_f32, (GLOBAL const i64* sum, double divisor, GLOBAL float* mean, u64 n)) {
  INDEX(i, n);
  mean[i] = (float)((double)sum[i] / divisor);
}

#endif
