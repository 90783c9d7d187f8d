// Who is invited. Pure: candidates and a seeded generator in, a choice out.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "common/base/rng.hpp"
#include "common/base/types.hpp"

namespace chorus::server {

class Selection {
 public:
  virtual ~Selection() = default;
  /// @param candidates  devices that are free, sorted
  /// @param wanted      <= candidates.size()
  /// @return `wanted` of them, sorted; a function of (candidates, rng) alone
  virtual std::vector<ClientId> choose(std::span<const ClientId> candidates,
                                       std::size_t wanted,
                                       Rng& rng) const = 0;
};

struct SelectionEntry {
  std::string_view name;
  std::string_view summary;
  std::unique_ptr<Selection> (*make)();
};

/// Every selection there is; the names of job.toml's [selection] name.
std::span<const SelectionEntry> all_selections() noexcept;

}  // namespace chorus::server
