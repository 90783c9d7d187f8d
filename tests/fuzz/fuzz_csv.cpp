// Tables. The same bytes are read as plain numbers, and with a column of words, gaps and
// normalisation; what the second reading fitted must read them to the same features.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "chorus/client/dataset.hpp"
#include "tests/fuzz/memory_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace chorus::client;
  const chorus::fuzz::MemoryFile file(data, size);
  CsvOptions plain;
  plain.path = file.path();
  plain.bytes_max = 1U << 16U;
  static_cast<void>(load_csv(plain));
  CsvOptions words = plain;
  words.header = true;
  words.key_column = "0";
  words.categories.push_back({"1", {}});
  words.missing = 0.0;
  words.normalisation = Normalisation::standard;
  const auto first = load_csv(words);
  if (!first || first->categories[0].values.empty()) return 0;
  words.categories = first->categories;
  words.scales = first->scales;
  const auto second = load_csv(words);
  CHORUS_ASSERT(second.has_value());
  for (std::size_t i = 0; i < first->dataset.size(); ++i) {
    CHORUS_ASSERT(first->dataset.example(i)->features == second->dataset.example(i)->features);
  }
  return 0;
}
