#include "common/codec/update.hpp"

#include <algorithm>
#include <string>
#include <utility>

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

Result<std::vector<std::byte>> encode_piece(const Piece& piece,
                                            std::span<const float> x,
                                            std::span<float> memory,
                                            const Keys& keys) {
  if (memory.empty()) return encode(piece.codec, x, keys);
  CHORUS_TRY(auto sent, encode_with_error(piece.codec, x, memory, keys));
  std::copy(sent.memory.begin(), sent.memory.end(), memory.begin());
  return std::move(sent.payload);
}

}  // namespace

Failure in_piece(const Piece& piece, const Failure& why) {
  return fail(why.code,
              "elements " + std::to_string(piece.first) + " to " +
                  std::to_string(piece.first + piece.count - 1) + " of the update: " + why.detail);
}

Result<std::vector<std::byte>> encode_update(const UpdateForm& form,
                                             std::span<const float> delta,
                                             std::span<float> memory) {
  CHORUS_ASSERT(form.compressed() && delta.size() == form.parameters());
  CHORUS_ASSERT(memory.empty() || memory.size() == delta.size());
  std::vector<std::uint32_t> sizes;
  std::vector<std::byte> payloads;
  for (std::size_t p = 0; p < form.pieces().size(); ++p) {
    const Piece& piece = form.pieces()[p];
    const bool fed = !memory.empty() && leaves_out(piece.codec);
    const auto kept = fed ? of_piece(memory, piece) : std::span<float>();
    const auto payload = encode_piece(piece, of_piece(delta, piece), kept, form.keys(p));
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
  CHORUS_ASSERT(form.compressed() && into.size() == form.parameters());
  const auto table = body.first(std::min<std::size_t>(body.size(), form.table_bytes()));
  CHORUS_TRY(const auto at, form.offsets(table, body.size()));
  std::fill(into.begin(), into.end(), 0.0F);
  for (std::size_t p = 0; p < form.pieces().size(); ++p) {
    const Piece& piece = form.pieces()[p];
    const auto payload = body.subspan(at[p], at[p + 1] - at[p]);
    const auto good = decode(piece.codec, payload, form.keys(p), value_max, of_piece(into, piece));
    if (!good) return in_piece(piece, good.error());
  }
  return {};
}

}  // namespace chorus::codec
