// What devices of the next round share under the codec subspace (common/codec/basis.hpp).
#pragma once

#include "common/codec/basis.hpp"
#include "server/update/lane.hpp"

namespace chorus::server {

/// The mean of a round's updates along one side of their matrices, made orthonormal: directions for
/// the other side.
/// @pre lane.denominator() > 0
/// @determinism  a function of the sums and the round's seed
codec::Basis basis_after(const Lane& lane);

}  // namespace chorus::server
