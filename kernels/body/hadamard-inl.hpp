// The Hadamard transform, over vectors of sixteen floats that the compiler splits as the
// instruction set needs. Each value is the same tree of additions whatever is done first, so all
// variants give the same bits.
#pragma once

#include <stddef.h>

namespace chorus::kernels {
namespace {

// The widest vector there is: a wider one would be taken apart into single floats where it is
// shuffled.
#if defined(__AVX512F__)
#define CHORUS_LINE_BYTES 64
#elif defined(__AVX__)
#define CHORUS_LINE_BYTES 32
#else
#define CHORUS_LINE_BYTES 16
#endif
typedef float Line __attribute__((vector_size(CHORUS_LINE_BYTES)));
typedef float LooseLine __attribute__((vector_size(CHORUS_LINE_BYTES), aligned(4), may_alias));

constexpr size_t kLineFloats = CHORUS_LINE_BYTES / sizeof(float);
/// Floats of a piece that stays in the first-level cache while all its stages run.
constexpr size_t kPiece = 4096;
/// Stages done in one pass: as many values as there are registers for.
constexpr size_t kStagesAtOnce = CHORUS_LINE_BYTES == 64 ? 3 : 2;

// A stage within a line: each value beside that of the other index, then sums where the distance's
// bit of the index is 0, differences where it is 1.
#define CHORUS_STAGE(x, partners, kept)                         \
  do {                                                          \
    const Line other = __builtin_shufflevector(x, x, partners); \
    const Line sum = (x) + other;                               \
    const Line difference = other - (x);                        \
    (x) = __builtin_shufflevector(sum, difference, kept);       \
  } while (false)
#define CHORUS_LIST(...) __VA_ARGS__

inline void within_line(float* at) {
  Line x = *reinterpret_cast<const LooseLine*>(at);
#if CHORUS_LINE_BYTES == 64
  CHORUS_STAGE(x,
               CHORUS_LIST(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14),
               CHORUS_LIST(0, 17, 2, 19, 4, 21, 6, 23, 8, 25, 10, 27, 12, 29, 14, 31));
  CHORUS_STAGE(x,
               CHORUS_LIST(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13),
               CHORUS_LIST(0, 1, 18, 19, 4, 5, 22, 23, 8, 9, 26, 27, 12, 13, 30, 31));
  CHORUS_STAGE(x,
               CHORUS_LIST(4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11),
               CHORUS_LIST(0, 1, 2, 3, 20, 21, 22, 23, 8, 9, 10, 11, 28, 29, 30, 31));
  CHORUS_STAGE(x,
               CHORUS_LIST(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7),
               CHORUS_LIST(0, 1, 2, 3, 4, 5, 6, 7, 24, 25, 26, 27, 28, 29, 30, 31));
#elif CHORUS_LINE_BYTES == 32
  CHORUS_STAGE(x, CHORUS_LIST(1, 0, 3, 2, 5, 4, 7, 6), CHORUS_LIST(0, 9, 2, 11, 4, 13, 6, 15));
  CHORUS_STAGE(x, CHORUS_LIST(2, 3, 0, 1, 6, 7, 4, 5), CHORUS_LIST(0, 1, 10, 11, 4, 5, 14, 15));
  CHORUS_STAGE(x, CHORUS_LIST(4, 5, 6, 7, 0, 1, 2, 3), CHORUS_LIST(0, 1, 2, 3, 12, 13, 14, 15));
#else
  CHORUS_STAGE(x, CHORUS_LIST(1, 0, 3, 2), CHORUS_LIST(0, 5, 2, 7));
  CHORUS_STAGE(x, CHORUS_LIST(2, 3, 0, 1), CHORUS_LIST(0, 1, 6, 7));
#endif
  *reinterpret_cast<LooseLine*>(at) = x;
}
#undef CHORUS_STAGE
#undef CHORUS_LIST

// kStages stages at once, of distances h, 2h, …, in 2^kStages streams: each value is read and
// written once for all of them.
template <size_t kStages>
void stages(float* x, size_t n, size_t h) {
  constexpr size_t kStreams = size_t{1} << kStages;
  for (size_t base = 0; base < n; base += h * kStreams) {
    for (size_t i = 0; i < h; i += kLineFloats) {
      Line value[kStreams];
      for (size_t s = 0; s < kStreams; ++s) {
        value[s] = *reinterpret_cast<const LooseLine*>(x + base + s * h + i);
      }
      for (size_t half = 1; half < kStreams; half *= 2) {
        for (size_t s = 0; s < kStreams; ++s) {
          if ((s & half) != 0) continue;
          const Line a = value[s];
          const Line b = value[s + half];
          value[s] = a + b;
          value[s + half] = a - b;
        }
      }
      for (size_t s = 0; s < kStreams; ++s) {
        *reinterpret_cast<LooseLine*>(x + base + s * h + i) = value[s];
      }
    }
  }
}

// All stages of distance h and more.
void remaining_stages(float* x, size_t n, size_t h) {
  while (h < n) {
    constexpr size_t kStreams = size_t{1} << kStagesAtOnce;
    if (n / h >= kStreams) {
      stages<kStagesAtOnce>(x, n, h);
      h *= kStreams;
    } else if (n / h >= 4) {
      stages<2>(x, n, h);
      h *= 4;
    } else {
      stages<1>(x, n, h);
      h *= 2;
    }
  }
}

void hadamard(float* x, size_t n) {
  if (n < kLineFloats) {
    for (size_t h = 1; h < n; h *= 2) {
      for (size_t i = 0; i < n; ++i) {
        if ((i & h) != 0) continue;
        const float a = x[i];
        const float b = x[i + h];
        x[i] = a + b;
        x[i + h] = a - b;
      }
    }
    return;
  }
  const size_t piece = n < kPiece ? n : kPiece;
  for (size_t first = 0; first < n; first += piece) {
    for (size_t i = 0; i < piece; i += kLineFloats) within_line(x + first + i);
    remaining_stages(x + first, piece, kLineFloats);
  }
  remaining_stages(x, n, piece);
}

}  // namespace
}  // namespace chorus::kernels
