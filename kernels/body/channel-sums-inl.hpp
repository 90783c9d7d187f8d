// Sums per channel, for channel-inl.hpp: of a row whose values are all of one channel, or several
// channels side by side.
#pragma once

#include <stddef.h>

#include "kernels/body/row-sum-inl.hpp"
#include "kernels/channel_table.hpp"

namespace chorus::kernels {
namespace {

/// Some values of one block of one example: of `channel`, or of it and its neighbours.
struct RawRun {
  size_t first;
  size_t positions;
  size_t step;  ///< from one position to the next
  size_t channel;
};

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
