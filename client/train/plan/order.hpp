// Which examples a pass over the data visits, and in which order.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "chorus/result.hpp"
#include "client/train/plan/passes.hpp"

namespace chorus::train {

/// Examples in use in step `step` of `steps`, of `examples`: g(t) of Curriculum, cut and held
/// within 1 and `examples`.
std::uint64_t examples_in_use(const Curriculum& curriculum,
                              std::uint64_t step,
                              std::uint64_t steps,
                              std::uint64_t examples) noexcept;

class Arrangement {
 public:
  /// @param steps  the budget, in steps (for a curriculum)
  Arrangement(const TrainPlan& plan, std::size_t examples, std::uint64_t steps);

  /// For a curriculum: sorts the examples.
  /// @param scores  f32[examples] given by the device; empty: none
  /// @errors unsupported_feature: scores are missing or not as many as examples; as Passes
  Result<void> prepare(Passes& passes, std::span<const float> scores);

  /// Rows of pass `number`: all in the natural order, or shuffled with the stream ("shuffle",
  /// number) of the plan's seed. With a curriculum those in use before step `step`.
  std::span<const std::uint32_t> pass(std::uint64_t number, std::uint64_t step);

  /// These rows of the pass were visited.
  void visited(std::span<const std::uint32_t> rows);
  std::uint64_t visits() const noexcept { return visits_; }
  /// Different examples among them.
  std::uint64_t distinct() const noexcept;

 private:
  Result<std::vector<float>> losses(Passes& passes) const;

  const TrainPlan& plan_;
  std::uint64_t steps_;
  std::vector<std::uint32_t> sorted_;  // by score; only for a curriculum
  std::vector<std::uint32_t> rows_;
  std::vector<bool> seen_;  // only for a curriculum
  std::uint64_t seen_count_ = 0;
  std::uint64_t visits_ = 0;
};

}  // namespace chorus::train
