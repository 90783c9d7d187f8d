// What a variant provides of the loops per channel, like table.hpp: built-in types only.
#pragma once

#include <stddef.h>

namespace chorus::kernels {

/// ChannelLayout for the loops: see chorus/kernels/channels.hpp.
struct RawChannels {
  size_t examples, blocks, positions, lanes;
};

struct RawChannelMap {
  const float* mean;
  const float* scale;
  const float* shift;
};

struct RawSlopes {
  const float* slope;
  const float* x;
  const float* dy;
  float* dx;
};

struct ChannelTable {
  void (*sums)(const RawChannels& at, const float* x, double* sum);
  void (*squares)(const RawChannels& at, const float* x, const float* mean, double* sum);
  void (*products)(
      const RawChannels& at, const float* x, const float* mean, const float* dy, double* sum);
  void (*map)(const RawChannels& at, const RawChannelMap& map, const float* x, float* y);
  void (*slopes)(const RawChannels& at, const RawChannelMap& map, const RawSlopes& with);
};

extern const ChannelTable kRefChannelTable;
#if defined(__x86_64__)
extern const ChannelTable kAvx2ChannelTable;
extern const ChannelTable kAvx512ChannelTable;
#elif defined(__aarch64__)
extern const ChannelTable kNeonChannelTable;
#endif

}  // namespace chorus::kernels
