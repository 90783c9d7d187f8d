// The updates of a round, side by side, for rules that look at all of them at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "chorus/result.hpp"
#include "server/store/journal.hpp"

namespace chorus::server {

/// Neighbouring elements of every update of a set.
struct UpdateRun {
  std::uint64_t count = 0;
  bool sent = true;  ///< else the updates do not hold them: all are 0
};

/// Updates of the same parameters. Any thread may read, several at once.
class UpdateSet {
 public:
  UpdateSet() = default;
  UpdateSet(const UpdateSet&) = delete;
  UpdateSet& operator=(const UpdateSet&) = delete;
  virtual ~UpdateSet() = default;

  virtual std::size_t updates() const = 0;
  virtual std::uint64_t parameters() const = 0;
  /// Elements [first, first + into.size()) of an update, as float32.
  /// @errors of reading it
  virtual Result<void> read(std::size_t update,
                            std::uint64_t first,
                            std::span<float> into) const = 0;

  /// What begins at `first`: read it at once where the updates are coded(). @pre first <
  /// parameters()
  virtual UpdateRun run(std::uint64_t first) const { return {parameters() - first}; }
  /// Whether a few elements of a run cost as much as all of it.
  virtual bool coded() const { return false; }
};

/// Bodies of raw float32, as the journal keeps them.
/// @errors shape_mismatch: one of them has another length than the parameters
Result<std::unique_ptr<UpdateSet>> staged_updates(
    std::vector<std::shared_ptr<const UpdateReader>> bodies, std::uint64_t parameters);

}  // namespace chorus::server
