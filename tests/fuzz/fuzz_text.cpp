// Plays, divided by who speaks.
#include <cstddef>
#include <cstdint>

#include "chorus/client/text.hpp"
#include "tests/fuzz/memory_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const chorus::fuzz::MemoryFile file(data, size);
  chorus::client::TextOptions options;
  options.path = file.path();
  options.window = 4;
  options.bytes_max = 1U << 16U;
  options.replacement = '?';
  static_cast<void>(chorus::client::load_text(options));
  options.by_role = true;
  const auto play = chorus::client::load_text(options);
  if (play) CHORUS_ASSERT(play->keys.size() == play->dataset.size());
  return 0;
}
