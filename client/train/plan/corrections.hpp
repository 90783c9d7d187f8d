// What is kept on the device between tasks and changes its steps: control variates, local tensors.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "chorus/client/local_state.hpp"
#include "chorus/plan.hpp"
#include "chorus/result.hpp"
#include "client/train/plan/passes.hpp"

namespace chorus::train {

/// SCAFFOLD's correction c − cᵢ and what becomes of cᵢ. The state's vector "control" is cᵢ.
class Corrections {
 public:
  /// @param server  c, f32[parameters]
  /// @param shared  what is trained and not local
  /// @errors as LocalState; busy: no memory
  static Result<Corrections> create(client::LocalState& state,
                                    std::span<const float> server,
                                    std::vector<tensor::Range> shared);

  /// gradient ← gradient + c − cᵢ
  void correct(std::span<float> gradient) const;
  /// from_gradient: cᵢ⁺ is this, ∇f at the received model.
  void use_gradient(std::span<const float> gradient);

  /// Stores cᵢ⁺ and gives cᵢ⁺ − cᵢ.
  struct End {
    std::span<const float> received;  ///< x
    std::span<const float> trained;   ///< y
    double rates = 0.0;               ///< Σ η
    std::span<const float> mask;      ///< empty: none
  };
  Result<std::vector<float>> finish(client::LocalState& state, const End& end);

 private:
  std::vector<tensor::Range> shared_;
  std::vector<float> device_;      // cᵢ
  std::vector<float> correction_;  // c − cᵢ
  std::vector<float> gradient_;    // cᵢ⁺ of from_gradient
};

/// Tensors that stay on the device.
class LocalTensors {
 public:
  /// @errors invalid_argument: a pattern that names no tensor
  static Result<LocalTensors> create(const TrainPlan& plan, const TensorLayout& layout);

  const std::vector<tensor::Range>& ranges() const noexcept { return ranges_; }
  const std::vector<bool>& tensors() const noexcept { return chosen_; }

  /// The received values make room for the device's. False: it has none yet, or for other tensors.
  Result<bool> put_in(client::LocalState& state, std::span<float> parameters);
  /// Stores the device's values (null: does not) and gives the received ones back.
  Result<void> take_out(client::LocalState* state, std::span<float> parameters);

 private:
  std::vector<bool> chosen_;
  std::vector<tensor::Range> ranges_;
  std::vector<float> header_;  // how many tensors, and their places: of which the values are
  std::vector<float> received_;
};

}  // namespace chorus::train
