// What devices of a round share under the codec "subspace": directions in the space of each
// matrix's columns or rows, whose coordinates they send. Those of one round are made from what the
// round before has learned along the other side, which is the step of a power iteration.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "chorus/codec.hpp"
#include "chorus/result.hpp"

namespace chorus::codec {

/// Of all pieces of an update that have one, in their order (update_form.hpp).
struct Basis {
  bool shares_rows = false;   ///< Codec::shares_rows of all of them
  std::vector<float> values;  ///< basis_elements() of each
  bool operator==(const Basis&) const = default;
};

/// How many numbers make the directions of a piece: f32[rank][columns], orthonormal rows, or with
/// shares_rows f32[rows][rank], orthonormal columns. 0 of other codecs, and of matrices with a
/// dimension of no more than the rank, which go as they are.
std::uint64_t basis_elements(const Codec& codec, std::uint64_t count);

/// For a first round: random directions, a function of the key.
std::vector<float> drawn_basis(const Codec& codec, std::uint64_t count, std::uint64_t key);

/// For the next round, whose codec shares the other side: what devices have sent, made orthonormal.
/// Directions of which nothing is left are drawn by the key.
/// @param mean  f32[Method::lane_elements()], finite
std::vector<float> next_basis(const Codec& codec,
                              std::uint64_t count,
                              std::span<const float> mean,
                              std::uint64_t key);

/// As it travels: u32 shares_rows (0, 1), then the values, little-endian.
std::vector<std::byte> to_bytes(const Basis& basis);
/// Its size. @param elements  basis_elements() of all pieces
std::uint64_t basis_bytes(std::uint64_t elements) noexcept;
/// @errors malformed_message; not_finite
Result<Basis> basis_from(std::span<const std::byte> bytes);

}  // namespace chorus::codec
