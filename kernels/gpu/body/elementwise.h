// Element by element: activations, bias, dropout. Rounded one by one as written: every dialect
// gives the bits of training.hpp.

KERNEL(copy_f32, (GLOBAL const float* x, GLOBAL float* y, u64 n)) {
  INDEX(i, n);
  y[i] = x[i];
}

// y[i] = x[i] + bias[i mod width], then as relu_f32; slope = 1: no activation
KERNEL(bias_relu_f32,
       (GLOBAL const float* x,
        GLOBAL const float* bias,
        u32 width,
        float slope,
        GLOBAL float* y,
        u64 n)) {
  INDEX(i, n);
  const float sum = x[i] + bias[i % width];
  y[i] = sum > 0.0f ? sum : slope * sum;
}

// dx[i] = y[i] > 0 ? dy[i] : slope·dy[i]; dx may be dy
KERNEL(relu_backward_f32,
       (GLOBAL const float* y, GLOBAL const float* dy, float slope, GLOBAL float* dx, u64 n)) {
  INDEX(i, n);
  dx[i] = y[i] > 0.0f ? dy[i] : slope * dy[i];
}

// The gradient of a bias: sums[j] = Σ_r dy[r·width + j], rows in order
KERNEL(column_sums_f32, (GLOBAL const float* dy, u32 rows, GLOBAL float* sums, u64 width)) {
  INDEX(j, width);
  float sum = 0.0f;
  for (u32 r = 0; r < rows; ++r) sum += dy[r * width + j];
  sums[j] = sum;
}

// Philox 4x32-10, as common/base/rng.hpp. `words` is counter in, block out.
FUNCTION void philox4x32(u32* words, u32 key0, u32 key1) {
  for (int round = 0; round < 10; ++round) {
    const u32 high0 = HIGH_PRODUCT(0xD2511F53U, words[0]);
    const u32 low0 = 0xD2511F53U * words[0];
    const u32 high1 = HIGH_PRODUCT(0xCD9E8D57U, words[2]);
    const u32 low1 = 0xCD9E8D57U * words[2];
    words[0] = high1 ^ words[1] ^ key0;
    words[1] = low1;
    words[2] = high0 ^ words[3] ^ key1;
    words[3] = low0;
    key0 += 0x9E3779B9U;
    key1 += 0xBB67AE85U;
  }
}

// Dropout of client/train/tape/activation.cpp: one item draws a block for four values. kept[i] is
// scale or 0, y[i] = x[i]·kept[i]; the backward pass multiplies by kept.
KERNEL(dropout_f32,
       (GLOBAL const float* x,
        u64 key,
        u64 step,
        u32 layer,
        u32 threshold,
        float scale,
        GLOBAL float* kept,
        GLOBAL float* y,
        u64 n)) {
  INDEX(block, (n + 3) / 4);
  u32 words[4];
  words[0] = (u32)block;
  words[1] = layer;
  words[2] = (u32)step;
  words[3] = (u32)(step >> 32);
  philox4x32(words, (u32)key, (u32)(key >> 32));
  for (u32 j = 0; j < 4 && 4 * block + j < n; ++j) {
    const u64 i = 4 * block + j;
    kept[i] = words[j] >= threshold ? scale : 0.0f;
    y[i] = x[i] * kept[i];
  }
}

KERNEL(multiply_f32, (GLOBAL const float* x, GLOBAL const float* factor, GLOBAL float* y, u64 n)) {
  INDEX(i, n);
  y[i] = x[i] * factor[i];
}

// Row `ids[r]` of the table, for every r; n = rows·width. @pre ids[r] is a row of the table
KERNEL(embedding_f32,
       (GLOBAL const float* table, GLOBAL const u32* ids, u32 width, GLOBAL float* y, u64 n)) {
  INDEX(i, n);
  y[i] = table[(u64)ids[i / width] * width + i % width];
}
