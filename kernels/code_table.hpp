// What a variant provides of the loops of compression, like table.hpp: built-in types only.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace chorus::kernels {

/// Grid and Draws for the loops: see chorus/kernels/codes.hpp.
struct RawGrid {
  float low, per_step;
  uint32_t levels;
};
struct RawDraws {
  uint64_t key, first;
};
struct RawRange {
  float low, high;
};

struct CodeTable {
  void (*quantise)(
      const float* x, const RawGrid& grid, const RawDraws& draws, uint8_t* codes, size_t n);
  void (*bin)(
      const float* x, float factor, const float* bounds, size_t count, uint8_t* codes, size_t n);
  void (*look_up)(const uint8_t* codes, const float* table, float* values, size_t n);
  void (*pack)(const uint8_t* codes, unsigned bits, uint8_t* bytes, size_t n);
  void (*unpack)(const uint8_t* bytes, unsigned bits, uint8_t* codes, size_t n);
  RawRange (*range)(const float* x, size_t n);  ///< n > 0
  double (*sum_magnitudes)(const float* x, size_t n);
  void (*to_half)(const float* x, uint16_t* half, size_t n);
  void (*from_half)(const uint16_t* half, float* x, size_t n);
  void (*to_bfloat)(const float* x, uint16_t* bfloat, size_t n);
  void (*from_bfloat)(const uint16_t* bfloat, float* x, size_t n);
  void (*hadamard)(float* x, size_t n);
  void (*flip_signs)(uint64_t key, float* x, size_t n);
  size_t (*elements_above)(
      const float* x, float least, uint32_t* indices, float* values, size_t room, size_t n);
};

extern const CodeTable kRefCodeTable;
#if defined(__x86_64__)
extern const CodeTable kAvx2CodeTable;
extern const CodeTable kAvx512CodeTable;
#elif defined(__aarch64__)
extern const CodeTable kNeonCodeTable;
#endif

}  // namespace chorus::kernels
