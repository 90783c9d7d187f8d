// From the difference of models to the body of a compressed update (common/codec/update_form.hpp).
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "chorus/client/local_state.hpp"
#include "chorus/model.hpp"
#include "chorus/plan.hpp"
#include "chorus/result.hpp"

namespace chorus::client {

/// Name, in the job's local state, of what codecs left out of former updates.
inline constexpr std::string_view kErrorMemory = "compression.error";
/// And of the running sum of momentum correction.
inline constexpr std::string_view kVelocity = "compression.momentum";

/// Encodes y − x as the plan's compression says. With error feedback, what earlier updates left out
/// is added first, and what this one leaves out is stored in its place; likewise the running sum of
/// momentum correction.
///
/// @param delta  f32[layout.parameters], finite
/// @param state  of the job; may be null without feedback
/// @pre plan.compression
/// @errors unsupported_feature (feedback without a state); value_out_of_range (an element too large
///         for the codec); as codec::UpdateForm::of; of the state
/// @determinism  a function of plan, layout, delta and state
Result<std::vector<std::byte>> encode_update(const TrainPlan& plan,
                                             const TensorLayout& layout,
                                             std::span<const float> delta,
                                             LocalState* state);

}  // namespace chorus::client
