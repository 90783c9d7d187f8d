// From the difference of models to the body of a compressed update, and back.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "chorus/result.hpp"
#include "common/codec/update_form.hpp"

namespace chorus::codec {

/// What a device keeps from update to update, each f32[form.parameters()] or empty. `error` and
/// `velocity` are looked at and changed under codecs that leave something out (names.hpp) and stay
/// as they are elsewhere; `sent` is alone, and of all codecs.
struct FeedbackMemory {
  std::span<float> error;     ///< what earlier updates left out: added, then what this one does;
                              ///< of codecs with a basis at most ten times the update's norm
  std::span<float> velocity;  ///< of momentum correction, under top_k and ternary; with `error`
  double momentum = 0.0;
  std::span<float> sent;  ///< of Feedback::difference: h, from which the next update differs
};

/// The body of an update.
///
/// @param delta  f32[form.parameters()], finite
/// @pre form.compressed()
/// @errors value_out_of_range (an element too large for its codec), not_finite: the detail names
///         the elements; the memory is then of no use any more
/// @determinism  a function of the arguments
Result<std::vector<std::byte>> encode_update(const UpdateForm& form,
                                             std::span<const float> delta,
                                             const FeedbackMemory& memory = {});

/// What a body says; 0 for what it does not hold.
/// @param into  f32[form.parameters()]
/// @errors as UpdateForm::offsets and Method::check; the detail names the elements
Result<void> decode_update(const UpdateForm& form,
                           std::span<const std::byte> body,
                           float value_max,
                           std::span<float> into);

/// x += what a payload says, rounded to float32: how a version becomes the next one, on the server
/// and on the device (version_steps.hpp).
/// @param piece  of the form
/// @param x      f32[piece's count]
/// @errors as Method::check; the detail names the elements
/// @determinism  bitwise equal on every instruction set
Result<void> add_payload(const UpdateForm& form,
                         std::size_t piece,
                         std::span<const std::byte> payload,
                         std::span<float> x);

/// The same with all payloads of a body.
/// @param x  f32[form.parameters()]; after an error some of it has been added
/// @errors as decode_update()
Result<void> add_update(const UpdateForm& form,
                        std::span<const std::byte> body,
                        std::span<float> x);

/// A failure of one payload, with the elements that it is about in front.
Failure in_piece(const Piece& piece, const Failure& why);

}  // namespace chorus::codec
