#include "common/codec/names.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace chorus::codec {

const std::array<Named, 12>& all_codecs() noexcept {
  using K = CodecKind;
  constexpr Parameters kCodes{.bits = true, .bucket = true};
  static constexpr std::array<Named, 12> kAll{{
      {K::f32, "f32", {}, {.kind = K::f32}},
      {K::f16, "f16", {}, {.kind = K::f16}},
      {K::bf16, "bf16", {}, {.kind = K::bf16}},
      {K::uniform, "uniform", kCodes, {.kind = K::uniform}},
      {K::qsgd, "qsgd", {.bits = true, .bucket = true, .norm = true}, {.kind = K::qsgd}},
      {K::sign, "sign", {.bucket = true}, {.kind = K::sign}},
      {K::rotated,
       "rotated",
       {.bits = true, .bucket = true, .least_error = true},
       {.kind = K::rotated, .bits = 4, .bucket = 8192}},
      {K::top_k, "top_k", {.density = true}, {.kind = K::top_k}},
      {K::random_k, "random_k", {.density = true}, {.kind = K::random_k}},
      {K::ternary, "ternary", {.density = true}, {.kind = K::ternary}},
      {K::low_rank, "low_rank", {.rank = true}, {.kind = K::low_rank}},
      {K::subspace, "subspace", {.rank = true}, {.kind = K::subspace}},
  }};
  return kAll;
}

const Named& named(CodecKind kind) noexcept {
  const auto& all = all_codecs();
  const auto found = std::find_if(
      all.begin(), all.end(), [kind](const Named& codec) { return codec.kind == kind; });
  return found == all.end() ? all.front() : *found;
}

bool leaves_out(const Codec& codec) noexcept {
  switch (codec.kind) {
    case CodecKind::sign:
    case CodecKind::top_k:
    case CodecKind::ternary:
    case CodecKind::low_rank:
    case CodecKind::subspace:
      return true;
    case CodecKind::rotated:
      return codec.least_error;
    default:
      return false;
  }
}

bool sparse(const Codec& codec) noexcept {
  return chooses_elements(codec) || codec.kind == CodecKind::random_k;
}

bool chooses_elements(const Codec& codec) noexcept {
  return codec.kind == CodecKind::top_k || codec.kind == CodecKind::ternary;
}

bool is_matrix(const Codec& codec) noexcept {
  return codec.kind == CodecKind::low_rank || has_basis(codec);
}

bool has_basis(const Codec& codec) noexcept {
  return codec.kind == CodecKind::subspace;
}

bool for_changes_only(const Codec& codec) noexcept {
  return sparse(codec) || codec.kind == CodecKind::sign || is_matrix(codec);
}

bool contracts(const Codec& codec) noexcept {
  const double bucket = codec.bucket;
  if (codec.kind == CodecKind::uniform) {
    const double levels = std::exp2(codec.bits) - 1.0;
    return bucket < 2.0 * levels * levels;
  }
  if (codec.kind == CodecKind::qsgd) {
    const double levels = std::exp2(codec.bits - 1.0) - 1.0;
    if (codec.norm == CodecNorm::maximum) return bucket < 4.0 * levels * levels;
    return bucket < levels * levels;
  }
  return codec.kind != CodecKind::random_k || codec.density >= 1.0;
}

Result<void> check_contracts(const Codec& codec) {
  if (contracts(codec)) return {};
  return fail(errc::invalid_argument,
              fmt::format("'{}' may leave out more than there is, and from one change to the next "
                          "it would grow; take more bits, a smaller bucket, or another codec",
                          describe(codec)));
}

const Codec* find_codec(const Compression& compression, bool (*is)(const Codec&)) noexcept {
  if (is(compression.codec)) return &compression.codec;
  for (const TensorCodec& own : compression.tensors) {
    if (is(own.codec)) return &own.codec;
  }
  return nullptr;
}

std::string describe(const Codec& codec) {
  const Named& kind = named(codec.kind);
  std::string text(kind.name);
  if (kind.takes.bits) text += fmt::format(", {} bit{}", codec.bits, codec.bits == 1 ? "" : "s");
  if (kind.takes.bucket) text += fmt::format(", buckets of {}", codec.bucket);
  if (kind.takes.density) text += fmt::format(", {:g} % of the elements", 100.0 * codec.density);
  if (kind.takes.rank) text += fmt::format(", rank {}", codec.rank);
  if (kind.takes.norm && codec.norm == CodecNorm::l2) text += ", Euclidean norm";
  if (kind.takes.least_error && codec.least_error) text += ", least error";
  if (codec.entropy) text += ", entropy-coded";
  return text;
}

}  // namespace chorus::codec
