// Sums per channel, for channel-inl.hpp. The compiler never reorders a sum; so the loops here keep
// several at once.
#pragma once

#include <stddef.h>

#include "kernels/channel_table.hpp"

namespace chorus::kernels {
namespace {

constexpr size_t kParts = 16;  // sums of a row whose values are all of one channel

/// Some values of one block of one example: of `channel`, or of it and its neighbours.
struct RawRun {
  size_t first;
  size_t positions;
  size_t step;  ///< from one position to the next
  size_t channel;
};

// Terms of the three sums: the value at i, of the channel whose mean is given.
struct Plain {
  const float* x;
  double operator()(size_t i, float) const { return static_cast<double>(x[i]); }
};
struct Square {
  const float* x;
  double operator()(size_t i, float mean) const {
    const double off = static_cast<double>(x[i] - mean);
    return off * off;
  }
};
struct Product {
  const float* x;
  const float* dy;
  double operator()(size_t i, float mean) const {
    return static_cast<double>(x[i] - mean) * static_cast<double>(dy[i]);
  }
};

// All values of a row belong to one channel.
template <class Term>
double row_sum(const Term& term, size_t first, size_t count, float mean) {
  double parts[kParts] = {};
  size_t s = 0;
  for (; s + kParts <= count; s += kParts) {
    for (size_t j = 0; j < kParts; ++j) parts[j] += term(first + s + j, mean);
  }
  for (size_t j = 0; s < count; ++s, ++j) parts[j] += term(first + s, mean);
  for (size_t half = kParts / 2; half > 0; half /= 2) {
    for (size_t j = 0; j < half; ++j) parts[j] += parts[j + half];
  }
  return parts[0];
}

// Every run of the values: `row` for those of one channel, `lanes<16>`, `<8>`, `<1>` for the
// others.
template <class Row, class Lanes>
void each_run(const RawChannels& at, const Row& row, const Lanes& lanes) {
  for (size_t n = 0; n < at.examples; ++n) {
    for (size_t b = 0; b < at.blocks; ++b) {
      RawRun run{
          (n * at.blocks + b) * at.positions * at.lanes, at.positions, at.lanes, b * at.lanes};
      if (at.lanes == 1) {
        row(run);
        continue;
      }
      for (size_t left = at.lanes; left > 0;) {
        const size_t width = left >= 16 ? 16 : left >= 8 ? 8 : 1;
        lanes(run, width);
        run.first += width;
        run.channel += width;
        left -= width;
      }
    }
  }
}

// Neighbours belong to different channels: `kLanes` of them at once, at all positions.
template <size_t kLanes, class Term>
void lane_sums(const Term& term, const RawRun& run, const float* mean, double* sum) {
  double now[kLanes];
  float middle[kLanes];
  for (size_t j = 0; j < kLanes; ++j) {
    now[j] = sum[run.channel + j];
    middle[j] = mean[run.channel + j];
  }
  for (size_t s = 0; s < run.positions; ++s) {
    const size_t i = run.first + s * run.step;
    for (size_t j = 0; j < kLanes; ++j) now[j] += term(i + j, middle[j]);
  }
  for (size_t j = 0; j < kLanes; ++j) sum[run.channel + j] = now[j];
}

template <class Term>
void sums_of(const RawChannels& at, const Term& term, const float* mean, double* sum) {
  for (size_t c = 0; c < at.blocks * at.lanes; ++c) sum[c] = 0.0;
  each_run(
      at,
      [&](const RawRun& run) {
        sum[run.channel] += row_sum(term, run.first, run.positions, mean[run.channel]);
      },
      [&](const RawRun& run, size_t width) {
        if (width == 16) return lane_sums<16>(term, run, mean, sum);
        if (width == 8) return lane_sums<8>(term, run, mean, sum);
        lane_sums<1>(term, run, mean, sum);
      });
}

void sums(const RawChannels& at, const float* x, double* sum) {
  sums_of(at, Plain{x}, x, sum);  // any numbers as means: Plain takes none
}

void squares(const RawChannels& at, const float* x, const float* mean, double* sum) {
  sums_of(at, Square{x}, mean, sum);
}

void products(
    const RawChannels& at, const float* x, const float* mean, const float* dy, double* sum) {
  sums_of(at, Product{x, dy}, mean, sum);
}

}  // namespace
}  // namespace chorus::kernels
