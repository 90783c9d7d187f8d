#include "chorus/client/local_state.hpp"

#include <utility>

namespace chorus::client {

Result<std::optional<std::vector<float>>> MemoryState::load(std::string_view name) {
  const auto found = kept_.find(name);
  if (found == kept_.end()) return std::optional<std::vector<float>>();
  return std::optional(found->second);
}

Result<void> MemoryState::store(std::string_view name, std::span<const float> numbers) {
  staged_.insert_or_assign(std::string(name), std::vector<float>(numbers.begin(), numbers.end()));
  return {};
}

void MemoryState::accept() {
  if (staged_.empty()) return;
  staged_.merge(kept_);  // what both have stays as it is staged
  kept_ = std::exchange(staged_, {});
  ++epoch_;
}

}  // namespace chorus::client
