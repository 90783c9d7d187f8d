// The loops of compression, written once and compiled for every instruction set, as
// training-inl.hpp: the compiler makes the vectors.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/body/above-inl.hpp"
#include "kernels/body/hadamard-inl.hpp"
#include "kernels/body/halves-inl.hpp"
#include "kernels/body/loops-inl.hpp"
#include "kernels/body/packing-inl.hpp"
#include "kernels/body/philox-inl.hpp"
#include "kernels/body/row-sum-inl.hpp"
#include "kernels/code_table.hpp"

namespace chorus::kernels {
namespace {

constexpr size_t kGroup = 4 * kPhiloxBlocks;  // kDrawGroup

// One group: sixteen elements to each of the four words of sixteen blocks.
inline void quantise_group(const float* x,
                           const RawGrid& grid,
                           const PhiloxWords& words,
                           uint8_t* codes) {
  const int32_t levels = static_cast<int32_t>(grid.levels);
  for (size_t w = 0; w < 4; ++w) {
    int32_t within[kPhiloxBlocks];  // with bytes in the same loop its vectors would be short
    CHORUS_ONE_VECTOR
    for (size_t j = 0; j < kPhiloxBlocks; ++j) {
      const float u = (x[w * kPhiloxBlocks + j] - grid.low) * grid.per_step;
      const int32_t whole = static_cast<int32_t>(u);
      const float draw =
          static_cast<float>(static_cast<int32_t>(words.word[w][j] >> 8U)) * 0x1.0p-24F;
      const int32_t code = whole + (draw < u - static_cast<float>(whole) ? 1 : 0);
      const int32_t from_below = code < 0 ? 0 : code;
      within[j] = from_below > levels ? levels : from_below;
    }
    CHORUS_ONE_VECTOR
    for (size_t j = 0; j < kPhiloxBlocks; ++j) {
      codes[w * kPhiloxBlocks + j] = static_cast<uint8_t>(within[j]);
    }
  }
}

void quantise(
    const float* x, const RawGrid& grid, const RawDraws& draws, uint8_t* codes, size_t n) {
  const PhiloxKeys keys(draws.key);
  PhiloxWords words;
  uint64_t block = draws.first / 4;
  size_t i = 0;
  for (; i + kGroup <= n; i += kGroup, block += kPhiloxBlocks) {
    philox_blocks(keys, block, words);
    quantise_group(x + i, grid, words, codes + i);
  }
  if (i == n) return;
  float rest[kGroup];
  uint8_t rest_codes[kGroup];
  for (size_t j = 0; j < kGroup; ++j) rest[j] = i + j < n ? x[i + j] : grid.low;
  philox_blocks(keys, block, words);
  quantise_group(rest, grid, words, rest_codes);
  for (size_t j = 0; i + j < n; ++j) codes[i + j] = rest_codes[j];
}

void bin(
    const float* x, float factor, const float* bounds, size_t count, uint8_t* codes, size_t n) {
  constexpr size_t kBatch = 64;
  for (size_t i = 0; i < n; i += kBatch) {
    const size_t length = n - i < kBatch ? n - i : kBatch;
    float z[kBatch];
    int32_t reached[kBatch];
    for (size_t j = 0; j < length; ++j) z[j] = x[i + j] * factor;
    for (size_t j = 0; j < length; ++j) reached[j] = 0;
    for (size_t b = 0; b < count; ++b) {
      const float bound = bounds[b];
      for (size_t j = 0; j < length; ++j) reached[j] += z[j] >= bound ? 1 : 0;
    }
    for (size_t j = 0; j < length; ++j) codes[i + j] = static_cast<uint8_t>(reached[j]);
  }
}

void look_up(const uint8_t* codes, const float* table, float* values, size_t n) {
  for (size_t i = 0; i < n; ++i) values[i] = table[codes[i]];
}

// Sixteen at a time, so that the order does not depend on the width of a vector.
RawRange range(const float* x, size_t n) {
  float low[kAside];
  float high[kAside];
  for (size_t j = 0; j < kAside; ++j) low[j] = high[j] = x[0];
  size_t i = 0;
  for (; i + kAside <= n; i += kAside) {
    CHORUS_ONE_VECTOR
    for (size_t j = 0; j < kAside; ++j) {
      const float value = x[i + j];
      low[j] = value < low[j] ? value : low[j];
      high[j] = value > high[j] ? value : high[j];
    }
  }
  for (size_t j = 0; i + j < n; ++j) {
    const float value = x[i + j];
    low[j] = value < low[j] ? value : low[j];
    high[j] = value > high[j] ? value : high[j];
  }
  RawRange found{low[0], high[0]};
  for (size_t j = 1; j < kAside; ++j) {
    found.low = low[j] < found.low ? low[j] : found.low;
    found.high = high[j] > found.high ? high[j] : found.high;
  }
  return found;
}

double sum_magnitudes(const float* x, size_t n) {
  return row_sum(Magnitude{x}, 0, n, 0.0F);
}

// Sixteen blocks are 2048 signs; those of block j are x[128·j] and the following.
void flip_signs(uint64_t key, float* x, size_t n) {
  constexpr size_t kPer = 128;
  const PhiloxKeys keys(key);
  PhiloxWords words;
  for (size_t first = 0; first < n; first += kPer * kPhiloxBlocks) {
    philox_blocks(keys, first / kPer, words);
    for (size_t j = 0; j < kPhiloxBlocks; ++j) {
      for (size_t w = 0; w < 4; ++w) {
        const size_t at = first + j * kPer + w * 32;
        if (at >= n) return;
        const uint32_t word = words.word[w][j];
        const size_t length = n - at < 32 ? n - at : 32;
        for (size_t b = 0; b < length; ++b) {
          const uint32_t sign = (~word >> b) << 31U;
          x[at + b] = __builtin_bit_cast(float, __builtin_bit_cast(uint32_t, x[at + b]) ^ sign);
        }
      }
    }
  }
}

constexpr CodeTable kCodes = {quantise,
                              bin,
                              look_up,
                              pack,
                              unpack,
                              range,
                              sum_magnitudes,
                              to_half,
                              from_half,
                              to_bfloat,
                              from_bfloat,
                              hadamard,
                              flip_signs,
                              elements_above};

}  // namespace
}  // namespace chorus::kernels
