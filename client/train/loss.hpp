// Softmax cross-entropy: loss, derivative, and how many were right.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace chorus::train {

/// Sums over the examples of a batch.
struct BatchResult {
  double loss = 0.0;  ///< NaN or infinite when an output is
  std::uint64_t correct =
      0;  ///< examples whose largest output is their label's (the first of equals)
};

/// loss_i = log Σ_c exp(z_ic) − z_i,label;  ∂(mean loss)/∂z_ic = (softmax(z_i)_c − [c = label]) /
/// n. Computed in double, without overflow.
/// @param outputs   f32[n × classes]  z, row-major
/// @param labels    u32[n]            each < classes (asserted)
/// @param gradient  f32[n × classes]  out; empty: not wanted
/// @determinism     order of examples fixed; bits depend on the C library's exp and log
BatchResult softmax_cross_entropy(std::span<const float> outputs,
                                  std::span<const std::uint32_t> labels,
                                  std::size_t classes,
                                  std::span<float> gradient);

}  // namespace chorus::train
