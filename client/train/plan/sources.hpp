// Where the direction of a step comes from: chorus/plan_sources.hpp has the formulas.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "chorus/result.hpp"
#include "client/train/plan/passes.hpp"

namespace chorus::train {

/// Makes the direction of a step.
class DirectionSource {
 public:
  DirectionSource() = default;
  DirectionSource(const DirectionSource&) = delete;
  DirectionSource& operator=(const DirectionSource&) = delete;
  virtual ~DirectionSource() = default;

  /// network().gradient() ← the direction of a step over these rows. @errors as Passes
  virtual Result<void> direction(Passes& passes, Rows rows) = 0;
};

/// Of a plan's source and meta. @pre the source is batch or variance_reduced
/// @param anchor  f32[parameters], for variance_reduced
/// @errors busy: no memory
Result<std::unique_ptr<DirectionSource>> make_source(Passes& passes, std::span<const float> anchor);

/// The mean gradient over all rows it is given, batch by batch, without a step.
class WholeGradient {
 public:
  /// @errors busy: no memory
  static Result<WholeGradient> create(Passes& passes);
  /// @param rows  at most a batch. @errors as Passes
  Result<void> add(Passes& passes, Rows rows, Counted counted);
  /// f32[parameters]: 0 for what is not trained. Ends the sum.
  std::span<float> mean(Passes& passes);

 private:
  tensor::AlignedBuffer<float> sum_;
  double rows_ = 0.0;
};

/// Two-point differences along random directions, and what is reported of them.
class ZerothOrder {
 public:
  /// One step. @errors not_finite; as Passes
  Result<void> step(Passes& passes, Rows rows);
  std::vector<float> take_scalars() { return std::move(scalars_); }

 private:
  std::vector<float> scalars_;
  std::vector<float> point_;  // the weights before the step
};

}  // namespace chorus::train
