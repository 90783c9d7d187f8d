// y = x·Wᵀ + b and its derivatives, for the layers that are made of it. Internal to this folder.
#pragma once

#include <cstddef>

#include "client/train/tape/multiply.hpp"
#include "client/train/tape/tape.hpp"

namespace chorus::train {

struct Linear {
  std::size_t rows = 0;  ///< of x and y
  std::size_t inputs = 0;
  std::size_t outputs = 0;
  const float* weight = nullptr;  ///< f32[outputs × inputs]
  const float* bias = nullptr;    ///< f32[outputs]; null: none

  /// ld…: distance of two rows.
  void forward(const float* x, std::size_t ldx, float* y, std::size_t ldy) const;
  /// dx ← dy·W + beta·dx; dx's rows are contiguous.
  void input_gradient(const float* dy, std::size_t ldy, float* dx, float beta) const;
};

struct LinearGradient {
  std::size_t rows = 0;
  std::size_t inputs = 0;
  std::size_t outputs = 0;
  const float* x = nullptr;
  std::size_t ldx = 0;
  const float* dy = nullptr;
  std::size_t ldy = 0;
  float* gradient = nullptr;  ///< f32[outputs × inputs]: out, dyᵀ·x
  float* weight = nullptr;    ///< in/out instead, when the step is fused
};
void weight_gradient(const LinearGradient& g, const FusedStep* fused);

/// sum[j] = Σ_i dy[i, j]
void sum_rows(const float* dy, std::size_t ldy, std::size_t rows, std::size_t count, float* sum);

}  // namespace chorus::train
