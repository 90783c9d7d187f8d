// Array files and archives of NumPy. The same bytes are read as features, labels and archive.
#include <cstddef>
#include <cstdint>

#include "chorus/client/npy.hpp"
#include "tests/fuzz/memory_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const chorus::fuzz::MemoryFile file(data, size);
  chorus::client::NpyOptions options;
  options.bytes_max = 1U << 16U;
  options.features = file.path();
  options.labels = file.path();
  static_cast<void>(chorus::client::load_npy(options));
  chorus::client::NpyOptions archive;
  archive.bytes_max = 1U << 16U;
  archive.archive = file.path();
  archive.keys = "who";
  const auto loaded = chorus::client::load_npy(archive);
  if (loaded) CHORUS_ASSERT(loaded->keys.size() == loaded->dataset.size());
  return 0;
}
