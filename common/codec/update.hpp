// From the difference of models to the body of a compressed update, and back.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "chorus/result.hpp"
#include "common/codec/update_form.hpp"

namespace chorus::codec {

/// The body of an update.
///
/// @param delta   f32[form.parameters()], finite
/// @param memory  of error feedback, f32[form.parameters()], or empty: under codecs that leave
///                something out (names.hpp), what earlier updates left out is added first, and what
///                this one leaves out takes its place; elsewhere it stays as it is
/// @pre form.compressed()
/// @errors value_out_of_range (an element too large for its codec), not_finite: the detail names
///         the elements; the memory is then of no use any more
/// @determinism  a function of the arguments
Result<std::vector<std::byte>> encode_update(const UpdateForm& form,
                                             std::span<const float> delta,
                                             std::span<float> memory = {});

/// What a body says; 0 for what it does not hold.
/// @param into  f32[form.parameters()]
/// @errors as UpdateForm::offsets and Method::check; the detail names the elements
Result<void> decode_update(const UpdateForm& form,
                           std::span<const std::byte> body,
                           float value_max,
                           std::span<float> into);

/// A failure of one payload, with the elements that it is about in front.
Failure in_piece(const Piece& piece, const Failure& why);

}  // namespace chorus::codec
