// The only door to oneDNN. A Tape is one model compiled for one batch size, then run as often as
// wanted. No oneDNN type is visible here, and every descriptor is made in describe.cpp, so that
// oneDNN 3, which makes them in another way, needs one more file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "chorus/model.hpp"
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

/// w ← keep·w − rate·g, done where g is computed: g itself is not written then.
struct FusedStep {
  float rate = 0.0F;
  float keep = 1.0F;
};

/// Forward (and backward) pass over one batch, float32. Making and running throw what oneDNN
/// throws: wrap both in guarded(). Make and run under the same ThreadLimit.
class Tape {
 public:
  enum class Mode : std::uint8_t { evaluate, train };
  /// Precision of what is multiplied in convolutions and products with many rows.
  enum class Factors : std::uint8_t {
    f32,
    fast,  ///< bf16 where this CPU multiplies it faster
    bf16,  ///< also where it does not
  };

  struct Options {
    const ModelSpec* model = nullptr;      ///< checked; not needed after making
    const TensorLayout* layout = nullptr;  ///< of the model; not needed after making
    float* parameters = nullptr;           ///< f32[layout->parameters]; must stay where they are
    float* gradient = nullptr;             ///< the same size; null with Mode::evaluate
    std::size_t batch = 1;
    Mode mode = Mode::train;
    /// By tensor: whose gradients are wanted; null: all. Nothing is computed backwards beyond the
    /// first layer with a wanted one; the gradients of the others are not specified.
    const std::vector<bool>* trained = nullptr;
    Factors factors = Factors::f32;
    std::size_t observed = kNone;  ///< number of the layer whose output observed() gives
  };
  static constexpr std::size_t kNone = ~std::size_t{0};

  explicit Tape(const Options& options);
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;
  ~Tape();

  /// f32[batch × inputs], row-major: fill before forward().
  std::span<float> input() noexcept;
  /// f32[batch × outputs]: of the last forward().
  std::span<const float> output() const noexcept;
  /// f32[batch × outputs of Options::observed]: of the last forward(); empty with kNone.
  std::span<const float> observed() const noexcept;
  /// f32[batch × outputs]: ∂loss/∂output; fill before backward().
  std::span<float> output_gradient() noexcept;

  /// Dropout draws from (key, step) and the place of a value: equal arguments, equal masks.
  void set_randomness(std::uint64_t key, std::uint64_t step) noexcept;

  /// With Mode::train batch norm moves its running values in `parameters`.
  void forward();
  /// Overwrites the gradients of all tensors but buffers, whose gradients it does not touch.
  /// @param fused  not null: tensors that fused() names are stepped, their gradients not written
  /// @pre forward() ran on the same input
  void backward(const FusedStep* fused = nullptr);

  /// Whether backward() can step the tensor at this place of the layout. The others are the
  /// caller's.
  bool fused(std::size_t tensor) const noexcept;

  /// Bytes of the one block that holds activations, gradients of activations and scratch.
  std::size_t arena_bytes() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Whether this CPU multiplies bfloat16 (AVX512-BF16, AMX), as far as oneDNN uses it.
bool multiplies_bf16() noexcept;

/// Whether oneDNN computes bfloat16 products here at all, at whatever speed.
bool computes_bf16() noexcept;

/// What the exception that is being handled means. @pre in a handler
Failure failure_of_exception();

/// Runs `work` and turns what oneDNN or the allocator throw into a Failure: busy when memory is
/// short, unsupported_feature when oneDNN has no implementation, internal otherwise.
template <class Work>
Result<void> guarded(const Work& work) {
  try {
    work();
    return {};
  } catch (...) {
    return failure_of_exception();
  }
}

}  // namespace chorus::train
