// What a trainer keeps on the device between the tasks of a job: control variates, personal heads.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/export.hpp"
#include "chorus/result.hpp"

namespace chorus::client {

/// Named vectors of one job and one layout of tensors. What a task stores counts from the moment
/// the server has accepted its update; a refused, cancelled or failed task leaves everything as it
/// was. So every device's state has as many steps behind it as the server has counted updates.
class CHORUS_EXPORT LocalState {
 public:
  LocalState() = default;
  LocalState(const LocalState&) = delete;
  LocalState& operator=(const LocalState&) = delete;
  virtual ~LocalState() = default;

  /// How many accepted tasks the state has behind it. 0: there is none, or what was there is
  /// damaged or of another layout and was dropped (the log says so).
  virtual std::uint64_t epoch() const = 0;
  /// The vector as the last accepted task left it.
  virtual Result<std::optional<std::vector<float>>> load(std::string_view name) = 0;
  /// Becomes the vector once this task is accepted; vectors of other names stay as they are.
  /// @param name  [a-z0-9] then [a-z0-9._-], at most limits::kNameBytesMax
  virtual Result<void> store(std::string_view name, std::span<const float> numbers) = 0;
};

/// A state in memory: for tests, simulations and devices without a disk.
class CHORUS_EXPORT MemoryState final : public LocalState {
 public:
  std::uint64_t epoch() const override { return epoch_; }
  Result<std::optional<std::vector<float>>> load(std::string_view name) override;
  Result<void> store(std::string_view name, std::span<const float> numbers) override;

  /// The task was accepted: what it stored counts.
  void accept();
  /// The task came to nothing.
  void discard() { staged_.clear(); }

 private:
  using Vectors = std::map<std::string, std::vector<float>, std::less<>>;
  Vectors kept_;
  Vectors staged_;
  std::uint64_t epoch_ = 0;
};

}  // namespace chorus::client
