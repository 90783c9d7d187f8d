// Error feedback: what a codec left out of an update is not lost. The memory belongs to one device
// and one lineage of models; whoever keeps it drops it when either changes.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "common/codec/method.hpp"

namespace chorus::codec {

/// A payload, and the memory that counts from the moment it is accepted.
struct WithMemory {
  std::vector<std::byte> payload;
  std::vector<float> memory;  ///< f32[x.size()]
};

/// EF: sends C(p) of p = x + e and keeps e' = p − C(p).
///
/// @param x       f32[n]  the update
/// @param memory  f32[n]  e, of the last accepted update; empty: zeros
/// @errors as encode(); shape_mismatch: a memory of another size
/// @source  Seide et al. 2014, "1-bit stochastic gradient descent"; Karimireddy et al. 2019, "Error
///          feedback fixes SignSGD and other gradient compression schemes"
Result<WithMemory> encode_with_error(const Codec& codec,
                                     std::span<const float> x,
                                     std::span<const float> memory,
                                     const Keys& keys);

/// EF of the running sum u' = m·u + x in the update's place, of a sparse codec: sends C(p) of
/// p = u' + e and keeps e' = p − C(p), and of u' what was not sent (momentum factor masking).
///
/// @param momentum  m, [0, 1)
/// @param velocity  f32[n]  in: u, zeros at first; out: the next u
/// @pre chooses_elements(codec)
/// @errors as encode_with_error(); velocity is then of no use any more
/// @source  Lin et al. 2018, "Deep gradient compression", Algorithm 4
Result<WithMemory> encode_with_momentum(const Codec& codec,
                                        std::span<const float> x,
                                        std::span<const float> memory,
                                        double momentum,
                                        std::span<float> velocity,
                                        const Keys& keys);

/// EF21: sends C(x − h) and keeps h' = h + C(x − h), which the server keeps, too: it uses the mean
/// of all h', to which a device that is absent goes on contributing its last one.
///
/// @param memory  f32[n]  h; empty: zeros
/// @errors as encode_with_error()
/// @source  Richtárik et al. 2021, "EF21: a new, simpler, theoretically better, and practically
///          faster error feedback"
Result<WithMemory> encode_difference(const Codec& codec,
                                     std::span<const float> x,
                                     std::span<const float> memory,
                                     const Keys& keys);

}  // namespace chorus::codec
