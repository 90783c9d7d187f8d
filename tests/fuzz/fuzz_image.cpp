// JPEG and PNG files, and what becomes of their pixels.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "chorus/client/images.hpp"
#include "tests/fuzz/memory_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const chorus::fuzz::MemoryFile file(data, size);
  const auto image = chorus::client::load_image(file.path(), 1U << 16U);
  if (!image) return 0;
  CHORUS_ASSERT(image->pixels.size() ==
                std::size_t{image->width} * image->height * image->channels);
  const auto features = chorus::client::image_features(*image, {{3, 5, 4}});
  CHORUS_ASSERT(features.has_value());
  CHORUS_ASSERT(std::all_of(
      features->begin(), features->end(), [](float x) { return x >= 0.0F && x <= 1.00001F; }));
  return 0;
}
