#include "common/codec/update.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "chorus/kernels/kernels.hpp"
#include "chorus/kernels/training.hpp"
#include "common/base/assert.hpp"
#include "common/base/try.hpp"
#include "common/codec/feedback.hpp"
#include "common/codec/names.hpp"

namespace chorus::codec {
namespace {

template <class T>
std::span<T> of_piece(std::span<T> all, const Piece& piece) {
  return all.subspan(static_cast<std::size_t>(piece.first), static_cast<std::size_t>(piece.count));
}

// What all directions leave out because it cancels in the mean (devices that learn from unlike data
// pull against each other where a model has settled) would be kept anew in every round, and come at
// once when one of those devices stays away.
void bound_memory(std::span<const float> x, std::span<float> memory) {
  constexpr double kUpdates = 10.0;
  const double most = kUpdates * std::sqrt(kernels::stats_f32(x).sum_squares);
  const double norm = std::sqrt(kernels::stats_f32(memory).sum_squares);
  if (most > 0.0 && norm > most) kernels::scale_f32(static_cast<float>(most / norm), memory);
}

Result<std::vector<std::byte>> encode_piece(const Piece& piece,
                                            std::span<const float> x,
                                            const FeedbackMemory& memory,
                                            const Keys& keys) {
  if (!memory.sent.empty()) {
    const auto before = of_piece(memory.sent, piece);
    CHORUS_TRY(auto sent, encode_difference(piece.codec, x, before, keys));
    std::copy(sent.memory.begin(), sent.memory.end(), before.begin());
    return std::move(sent.payload);
  }
  if (memory.error.empty() || !leaves_out(piece.codec)) return encode(piece.codec, x, keys);
  const auto error = of_piece(memory.error, piece);
  const bool corrected = !memory.velocity.empty() && chooses_elements(piece.codec);
  CHORUS_TRY(
      auto sent,
      corrected
          ? encode_with_momentum(
                piece.codec, x, error, memory.momentum, of_piece(memory.velocity, piece), keys)
          : encode_with_error(piece.codec, x, error, keys));
  std::copy(sent.memory.begin(), sent.memory.end(), error.begin());
  if (has_basis(piece.codec)) bound_memory(x, error);
  return std::move(sent.payload);
}

/// Calls f(piece's number, payload) for each.
template <class F>
Result<void> for_each_payload(const UpdateForm& form, std::span<const std::byte> body, F f) {
  CHORUS_ASSERT(form.compressed());
  const auto table = body.first(std::min<std::size_t>(body.size(), form.table_bytes()));
  CHORUS_TRY(const auto at, form.offsets(table, body.size()));
  for (std::size_t p = 0; p < form.pieces().size(); ++p) {
    const Result<void> good = f(p, body.subspan(at[p], at[p + 1] - at[p]));
    if (!good) return in_piece(form.pieces()[p], good.error());
  }
  return {};
}

}  // namespace

Failure in_piece(const Piece& piece, const Failure& why) {
  return fail(why.code,
              "elements " + std::to_string(piece.first) + " to " +
                  std::to_string(piece.first + piece.count - 1) + " of the update: " + why.detail);
}

Result<std::vector<std::byte>> encode_update(const UpdateForm& form,
                                             std::span<const float> delta,
                                             const FeedbackMemory& memory) {
  CHORUS_ASSERT(form.compressed() && delta.size() == form.parameters());
  CHORUS_ASSERT(memory.error.empty() || memory.error.size() == delta.size());
  CHORUS_ASSERT(memory.sent.empty() || memory.sent.size() == delta.size());
  CHORUS_ASSERT(memory.velocity.empty() || memory.velocity.size() == memory.error.size());
  std::vector<std::uint32_t> sizes;
  std::vector<std::byte> payloads;
  for (std::size_t p = 0; p < form.pieces().size(); ++p) {
    const Piece& piece = form.pieces()[p];
    const auto payload = encode_piece(piece, of_piece(delta, piece), memory, form.keys(p));
    if (!payload) return in_piece(piece, payload.error());
    sizes.push_back(static_cast<std::uint32_t>(payload->size()));
    payloads.insert(payloads.end(), payload->begin(), payload->end());
  }
  std::vector<std::byte> body = form.table_of(sizes);
  body.insert(body.end(), payloads.begin(), payloads.end());
  return body;
}

Result<void> decode_update(const UpdateForm& form,
                           std::span<const std::byte> body,
                           float value_max,
                           std::span<float> into) {
  CHORUS_ASSERT(into.size() == form.parameters());
  std::fill(into.begin(), into.end(), 0.0F);
  return for_each_payload(form, body, [&](std::size_t p, std::span<const std::byte> payload) {
    const Piece& piece = form.pieces()[p];
    return decode(piece.codec, payload, form.keys(p), value_max, of_piece(into, piece));
  });
}

Result<void> add_payload(const UpdateForm& form,
                         std::size_t piece,
                         std::span<const std::byte> payload,
                         std::span<float> x) {
  std::vector<float> change(x.size());
  const Codec& codec = form.pieces()[piece].codec;
  CHORUS_OK(decode(codec, payload, form.keys(piece), std::numeric_limits<float>::max(), change));
  kernels::add_scaled_f32(x, 1.0, change, x);
  return {};
}

Result<void> add_update(const UpdateForm& form,
                        std::span<const std::byte> body,
                        std::span<float> x) {
  CHORUS_ASSERT(x.size() == form.parameters());
  return for_each_payload(form, body, [&](std::size_t p, std::span<const std::byte> payload) {
    return add_payload(form, p, payload, of_piece(x, form.pieces()[p]));
  });
}

}  // namespace chorus::codec
