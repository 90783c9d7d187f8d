// The loops per channel, written once and compiled for every instruction set, as training-inl.hpp:
// the compiler makes the vectors.
#pragma once

#include <stddef.h>

#include "kernels/body/channel-sums-inl.hpp"
#include "kernels/body/loops-inl.hpp"
#include "kernels/channel_table.hpp"

namespace chorus::kernels {
namespace {

// Neighbours belong to different channels, of which `kLanes` are done at once at all positions. A
// vector is read before it is written: the result may take an operand's place.
template <size_t kLanes>
void lane_map(const RawChannelMap& of, const RawRun& run, const float* x, float* y) {
  float mean[kLanes];
  float scale[kLanes];
  float shift[kLanes];
  for (size_t j = 0; j < kLanes; ++j) {
    mean[j] = of.mean[run.channel + j];
    scale[j] = of.scale[run.channel + j];
    shift[j] = of.shift[run.channel + j];
  }
  for (size_t s = 0; s < run.positions; ++s) {
    const size_t i = run.first + s * run.step;
    float out[kLanes];
    for (size_t j = 0; j < kLanes; ++j) out[j] = (x[i + j] - mean[j]) * scale[j] + shift[j];
    for (size_t j = 0; j < kLanes; ++j) y[i + j] = out[j];
  }
}

void row_map(const RawChannelMap& of, const RawRun& run, const float* x, float* y) {
  const float mean = of.mean[run.channel];
  const float scale = of.scale[run.channel];
  const float shift = of.shift[run.channel];
  const float* const from = x + run.first;
  float* const to = y + run.first;
  CHORUS_SIDE_BY_SIDE
  for (size_t i = 0; i < run.positions; ++i) to[i] = (from[i] - mean) * scale + shift;
}

template <size_t kLanes>
void lane_slopes(const RawChannelMap& of, const RawSlopes& at, const RawRun& run) {
  float mean[kLanes];
  float scale[kLanes];
  float shift[kLanes];
  float slope[kLanes];
  for (size_t j = 0; j < kLanes; ++j) {
    mean[j] = of.mean[run.channel + j];
    scale[j] = of.scale[run.channel + j];
    shift[j] = of.shift[run.channel + j];
    slope[j] = at.slope[run.channel + j];
  }
  for (size_t s = 0; s < run.positions; ++s) {
    const float* const x = at.x + run.first + s * run.step;
    const float* const dy = at.dy + run.first + s * run.step;
    float* const dx = at.dx + run.first + s * run.step;
    float out[kLanes];
    for (size_t j = 0; j < kLanes; ++j) {
      out[j] = (dy[j] * scale[j] - (x[j] - mean[j]) * slope[j]) + shift[j];
    }
    for (size_t j = 0; j < kLanes; ++j) dx[j] = out[j];
  }
}

void row_slopes(const RawChannelMap& of, const RawSlopes& at, const RawRun& run) {
  const float mean = of.mean[run.channel];
  const float scale = of.scale[run.channel];
  const float shift = of.shift[run.channel];
  const float slope = at.slope[run.channel];
  const float* const x = at.x + run.first;
  const float* const dy = at.dy + run.first;
  float* const dx = at.dx + run.first;
  CHORUS_SIDE_BY_SIDE
  for (size_t i = 0; i < run.positions; ++i) {
    dx[i] = (dy[i] * scale - (x[i] - mean) * slope) + shift;
  }
}

void map(const RawChannels& at, const RawChannelMap& of, const float* x, float* y) {
  each_run(
      at,
      [&](const RawRun& run) { row_map(of, run, x, y); },
      [&](const RawRun& run, size_t width) {
        if (width == 16) return lane_map<16>(of, run, x, y);
        if (width == 8) return lane_map<8>(of, run, x, y);
        lane_map<1>(of, run, x, y);
      });
}

void slopes(const RawChannels& at, const RawChannelMap& of, const RawSlopes& with) {
  each_run(
      at,
      [&](const RawRun& run) { row_slopes(of, with, run); },
      [&](const RawRun& run, size_t width) {
        if (width == 16) return lane_slopes<16>(of, with, run);
        if (width == 8) return lane_slopes<8>(of, with, run);
        lane_slopes<1>(of, with, run);
      });
}

constexpr ChannelTable kChannels = {sums, squares, products, map, slopes};

}  // namespace
}  // namespace chorus::kernels
