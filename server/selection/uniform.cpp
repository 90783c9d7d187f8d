// Uniform selection without replacement: every free device has the same chance.
// McMahan et al. 2017, arXiv:1602.05629, Algorithm 1 ("random set of m clients").
#include <algorithm>
#include <array>

#include "common/base/assert.hpp"
#include "server/selection/selection.hpp"

namespace chorus::server {
namespace {

class Uniform final : public Selection {
 public:
  std::vector<ClientId> choose(std::span<const ClientId> candidates,
                               std::size_t wanted,
                               Rng& rng) const override {
    CHORUS_ASSERT(wanted <= candidates.size());
    std::vector<ClientId> pool(candidates.begin(), candidates.end());
    for (std::size_t i = 0; i < wanted; ++i) {  // the first steps of a Fisher-Yates shuffle
      const std::size_t j = i + static_cast<std::size_t>(rng.below(pool.size() - i));
      std::swap(pool[i], pool[j]);
    }
    pool.resize(wanted);
    std::sort(pool.begin(), pool.end());
    return pool;
  }
};

constexpr std::array kAll{
    SelectionEntry{"uniform",
                   "every free device with the same chance",
                   []() -> std::unique_ptr<Selection> { return std::make_unique<Uniform>(); }},
};

}  // namespace

std::span<const SelectionEntry> all_selections() noexcept {
  return kAll;
}

}  // namespace chorus::server
