#include "chorus/client/example_keys.hpp"

namespace chorus::client {

void ExampleKeys::add(std::string_view name, std::size_t examples) {
  auto place = places_.find(name);
  if (place == places_.end()) {
    place = places_.emplace(name, static_cast<std::uint32_t>(names_.size())).first;
    names_.emplace_back(name);
  }
  numbers_.insert(numbers_.end(), examples, place->second);
}

}  // namespace chorus::client
