// What a step follows: where gradients come from, and what corrects them.
#pragma once

#include <cstdint>

namespace chorus {

/// Where the direction of a step comes from. B is the step's batch (or batches, `accumulate`).
///
/// batch             g = ∇f(w; B)
/// whole             no step is made: the mean of ∇f(x; ·) over the examples of the budget is
///                   reported, x being the received model
/// variance_reduced  d ← anchor in the first step, then d ← d + ∇f(w; B) − ∇f(w₋; B), w₋ being the
///                   weights of the step before; the same dropout at both points. The task brings
///                   the vector "anchor"
/// zeroth_order      w ← w − η·(1/S)·Σⱼ ρⱼ·zⱼ with ρⱼ = (f(w + ε·zⱼ; B) − f(w − ε·zⱼ; B)) / 2ε and
///                   S directions zⱼ of ±1 from the plan's seed; only the ρ are reported, from
///                   which common/tensor/zeroth_order.hpp makes the same w, bit by bit
/// @source FedAMD: Wu et al. 2023; MeZO: Malladi et al. 2023, arXiv:2305.17333
struct GradientSource {
  enum class Kind : std::uint8_t { batch = 1, whole = 2, variance_reduced = 3, zeroth_order = 4 };
  Kind kind = Kind::batch;
  std::uint32_t directions = 1;  ///< S, 1 to 1024, zeroth_order
  double distance = 1e-3;        ///< ε > 0, zeroth_order
  bool operator==(const GradientSource&) const = default;
};

/// SCAFFOLD: every step follows g − cᵢ + c, where c is the server's control variate (the vector
/// "control" of the task) and cᵢ the device's (its local state, 0 at first). Afterwards, with K
/// steps of rates ηₖ from x to y,
///
/// from_steps     cᵢ⁺ = cᵢ − c + (x − y) / Σₖ ηₖ
/// from_gradient  cᵢ⁺ = ∇fᵢ(x), one more pass over the data
///
/// cᵢ⁺ − cᵢ is reported beside y − x, and cᵢ⁺ kept.
/// @source Karimireddy et al. 2020, arXiv:1910.06378, algorithm 1
enum class ControlVariates : std::uint8_t { none = 0, from_steps = 1, from_gradient = 2 };

/// Training for what a few further steps make of a model.
///
/// reptile            repeat: w' ← inner_steps steps from w; w ← w + rate·(w' − w).
///                    inner_steps 0: all steps of the task
/// first_order_maml   a step of batches D, D': follows ∇f(w − rate·∇f(w; D); D')
/// @source Nichol et al. 2018, arXiv:1803.02999; Per-FedAvg (FO): Fallah et al. 2020,
///         arXiv:2002.07948
struct Meta {
  enum class Kind : std::uint8_t { none = 0, reptile = 1, first_order_maml = 2 };
  Kind kind = Kind::none;
  double rate = 0.1;  ///< > 0; reptile: at most 1
  std::uint32_t inner_steps = 0;
  bool operator==(const Meta&) const = default;
};

}  // namespace chorus
