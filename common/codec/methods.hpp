// Every method, by name; a file each.
#pragma once

#include "common/codec/method.hpp"

namespace chorus::codec {

const Method& f32();
const Method& f16();
const Method& bf16();
const Method& uniform();
const Method& qsgd();
const Method& sign();
const Method& rotated();
const Method& top_k();
const Method& random_k();
const Method& ternary();
/// Any of them, and zstd over its payload.
const Method& entropy();

/// Of the kind alone, whatever codec.entropy says.
const Method& without_entropy(CodecKind kind) noexcept;

}  // namespace chorus::codec
