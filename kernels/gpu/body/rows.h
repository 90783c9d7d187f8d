// One work item per row, or per element of a product.

// c[i·columns + j] = Σ_k a[i·a_row + k·a_column]·b[k·b_row + j·b_column], k in order. Strides say
// what is transposed; n = rows·columns of c.
KERNEL(product_f32,
       (GLOBAL const float* a,
        u32 a_row,
        u32 a_column,
        GLOBAL const float* b,
        u32 b_row,
        u32 b_column,
        GLOBAL float* c,
        u32 columns,
        u32 inner,
        u64 n)) {
  INDEX(item, n);
  const u64 i = item / columns;
  const u64 j = item % columns;
  float sum = 0.0f;
  for (u64 k = 0; k < inner; ++k) {
    sum += a[i * a_row + k * a_column] * b[k * b_row + j * b_column];
  }
  c[item] = sum;
}

// losses[r] = −log softmax(z_r)[label_r]; gradient = scale·(softmax(z_r) − onehot(label_r))
// @pre labels[r] < classes; gradient may be z
KERNEL(softmax_cross_entropy_f32,
       (GLOBAL const float* z,
        GLOBAL const u32* labels,
        u32 classes,
        float scale,
        GLOBAL float* losses,
        GLOBAL float* gradient,
        u64 rows)) {
  INDEX(r, rows);
  GLOBAL const float* in = z + r * classes;
  GLOBAL float* out = gradient + r * classes;
  float top = in[0];
  for (u32 c = 1; c < classes; ++c) top = in[c] > top ? in[c] : top;
  float sum = 0.0f;
  for (u32 c = 0; c < classes; ++c) sum += EXP(in[c] - top);
  losses[r] = LOG(sum) + top - in[labels[r]];
  for (u32 c = 0; c < classes; ++c) {
    const float p = EXP(in[c] - top) / sum;
    out[c] = scale * (c == labels[r] ? p - 1.0f : p);
  }
}

// y = (x − mean)/√(variance + ε)·gain + shift over each row; moments in two passes
KERNEL(layer_norm_f32,
       (GLOBAL const float* x,
        GLOBAL const float* gain,
        GLOBAL const float* shift,
        float epsilon,
        u32 width,
        GLOBAL float* y,
        u64 rows)) {
  INDEX(r, rows);
  GLOBAL const float* in = x + r * width;
  float sum = 0.0f;
  for (u32 j = 0; j < width; ++j) sum += in[j];
  const float mean = sum / (float)width;
  float squares = 0.0f;
  for (u32 j = 0; j < width; ++j) squares += (in[j] - mean) * (in[j] - mean);
  const float inverse = 1.0f / SQRT(squares / (float)width + epsilon);
  for (u32 j = 0; j < width; ++j) y[r * width + j] = (in[j] - mean) * inverse * gain[j] + shift[j];
}
