// WAV files, and the features of what they hold.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "chorus/client/audio.hpp"
#include "tests/fuzz/memory_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const chorus::fuzz::MemoryFile file(data, size);
  const auto sound = chorus::client::load_wav(file.path(), 1U << 16U);
  if (!sound) return 0;
  CHORUS_ASSERT(std::all_of(
      sound->samples.begin(), sound->samples.end(), [](float x) { return std::isfinite(x); }));
  return 0;
}
