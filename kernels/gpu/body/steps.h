// Optimisers' steps as step_rules.hpp defines them, with the bits of training.hpp.

KERNEL(sgd_step_f32, (GLOBAL float* w, GLOBAL const float* g, float rate, float decay, u64 n)) {
  INDEX(i, n);
  w[i] -= rate * (g[i] + decay * w[i]);
}

KERNEL(momentum_step_f32,
       (GLOBAL float* w,
        GLOBAL const float* g,
        GLOBAL float* v,
        float rate,
        float decay,
        float momentum,
        float now,
        float ahead,
        u64 n)) {
  INDEX(i, n);
  const float slope = g[i] + decay * w[i];
  v[i] = momentum * v[i] + slope;
  w[i] -= rate * (now * slope + ahead * v[i]);
}

// `coupled` decay is added to the gradient (Adam); `shrink` = 1 − rate·decay (AdamW).
KERNEL(adam_step_f32,
       (GLOBAL float* w,
        GLOBAL const float* g,
        GLOBAL float* m,
        GLOBAL float* v,
        float rate,
        float beta1,
        float beta2,
        float epsilon,
        float first_scale,
        float second_scale,
        float coupled,
        float shrink,
        u64 n)) {
  INDEX(i, n);
  const float slope = g[i] + coupled * w[i];
  m[i] = beta1 * m[i] + (1.0f - beta1) * slope;
  v[i] = beta2 * v[i] + (1.0f - beta2) * slope * slope;
  const float direction = m[i] * first_scale / (SQRT(v[i]) * second_scale + epsilon);
  w[i] = shrink * w[i] - rate * direction;
}
