// From the difference of models to the body of a compressed update (common/codec/update_form.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "chorus/client/local_state.hpp"
#include "chorus/model.hpp"
#include "chorus/plan.hpp"
#include "chorus/result.hpp"
#include "common/codec/basis.hpp"

namespace chorus::client {

/// Name, in the job's local state, of what codecs left out of former updates.
inline constexpr std::string_view kErrorMemory = "compression.error";
/// And of the running sum of momentum correction.
inline constexpr std::string_view kVelocity = "compression.momentum";
/// With Feedback::difference: h, the sum of what was sent; and f32[2], the round since which that
/// is so and how many updates were accepted since then.
inline constexpr std::string_view kSent = "compression.sent";
inline constexpr std::string_view kSentSince = "compression.sent_since";

struct EncodedUpdate {
  std::vector<std::byte> body;
  std::optional<std::uint64_t> state_epoch;  ///< of its offer; none: nothing is kept
};

/// Encodes y − x as the plan's compression says. With error feedback, what earlier updates left out
/// is added first, and what this one leaves out is stored in its place; likewise the running sum of
/// momentum correction. With Feedback::difference it is the difference to what was sent before,
/// begun anew if that was before the plan's `since`; of buffers it is the update.
///
/// @param delta  f32[layout.parameters], finite
/// @param state  of the job; may be null without feedback
/// @param basis  of the round, where its codecs have one; null: of a first round
/// @pre plan.compression
/// @errors unsupported_feature (feedback without a state); value_out_of_range (an element too large
///         for the codec); as codec::UpdateForm::of; of the state
/// @determinism  a function of plan, layout, delta, state and basis
Result<EncodedUpdate> encode_update(const TrainPlan& plan,
                                    const TensorLayout& layout,
                                    std::span<const float> delta,
                                    LocalState* state,
                                    std::shared_ptr<const codec::Basis> basis = nullptr);

}  // namespace chorus::client
