// The only door to oneDNN. A Tape is one model compiled for one batch size: built layer by layer,
// then run as often as wanted. No oneDNN type is visible here, and every descriptor is made in
// onednn_adapter.cpp, so that oneDNN 3, which makes them in another way, means changing one file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "chorus/result.hpp"

namespace chorus::train {

/// Sets the number of OpenMP threads for the calling thread while it lives, then restores it.
class ThreadLimit {
 public:
  explicit ThreadLimit(unsigned threads) noexcept;
  ThreadLimit(const ThreadLimit&) = delete;
  ThreadLimit& operator=(const ThreadLimit&) = delete;
  ~ThreadLimit();

 private:
  int before_;
};

/// One layer's tensors inside the flat vectors; they must stay where they are while the tape lives.
struct LayerTensors {
  float* weight = nullptr;
  float* bias = nullptr;
  float* weight_gradient = nullptr;  ///< null on a tape without backward pass
  float* bias_gradient = nullptr;
};

/// kernel × kernel windows. Numbers are within model limits.
struct Window {
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t padding = 0;
};

/// Forward (and backward) pass over one batch, float32. Building and running throw what oneDNN
/// throws: wrap both in guarded(). Build and run under the same ThreadLimit.
class Tape {
 public:
  enum class Mode : std::uint8_t { forward_only, forward_and_backward };

  /// @param shape  of the input, batch first: {n, features} or {n, c, h, w}
  Tape(Mode mode, const std::vector<std::int64_t>& shape);
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;
  ~Tape();

  /// Layers, in order. `dense` needs a flat input.
  void dense(std::int64_t units, const LayerTensors& tensors);
  void convolution(std::int64_t channels, const Window& window, const LayerTensors& tensors);
  void max_pool(const Window& window);
  void relu();
  void flatten();
  /// After the last layer, whose output must be flat.
  void finish();

  /// f32[n × inputs], row-major (NCHW): fill before forward().
  std::span<float> input() noexcept;
  /// f32[n × outputs]: of the last forward().
  std::span<const float> output() const noexcept;
  /// f32[n × outputs]: ∂loss/∂output; fill before backward().
  std::span<float> output_gradient() noexcept;

  void forward();
  /// Overwrites every layer's gradients. @pre forward() ran on the same input
  void backward();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Runs `work` and turns what oneDNN or the allocator throw into a Failure: busy when memory is
/// short, unsupported_feature when oneDNN has no implementation, internal otherwise.
Result<void> guarded(const std::function<void()>& work);

}  // namespace chorus::train
