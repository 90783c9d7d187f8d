// Every method, by name; a file each.
#pragma once

#include "common/codec/bucketed.hpp"

namespace chorus::codec {

const Method& f32();
const Method& f16();
const Method& bf16();
const Bucketed& uniform();
const Bucketed& qsgd();
const Bucketed& sign();
const Bucketed& rotated();
const Method& top_k();
const Method& random_k();
const Method& ternary();
const Method& low_rank();
const Method& subspace();
/// Any of them, with fewer bits for what comes often.
const Method& entropy();

/// Of the kind alone, whatever codec.entropy says.
const Method& without_entropy(CodecKind kind) noexcept;

}  // namespace chorus::codec
