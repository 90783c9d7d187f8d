#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "chorus/kernels/kernels.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/codec/methods.hpp"
#include "common/codec/names.hpp"

namespace chorus::codec {
namespace {

constexpr float kHalfMax = 65504.0F;
constexpr float kProductMax = 0x1.0p96F;  ///< sums of products of 2^22 such floats stay finite

float encodable_max(CodecKind kind) {
  if (kind == CodecKind::f16) return kHalfMax;
  return is_matrix({.kind = kind}) ? kProductMax : kEncodableMax;
}

Result<void> check_bits(const Codec& codec, std::uint32_t least, std::uint32_t most) {
  if (codec.bits >= least && codec.bits <= most) return {};
  return fail(errc::invalid_argument,
              "a codec with bits = " + std::to_string(codec.bits) + "; it takes " +
                  std::to_string(least) + " to " + std::to_string(most));
}

Result<void> check_bucket(const Codec& codec) {
  if (codec.bucket >= limits::kCodecBucketMin && codec.bucket <= limits::kCodecBucketMax &&
      std::has_single_bit(codec.bucket)) {
    return {};
  }
  return fail(errc::invalid_argument,
              "a codec with bucket = " + std::to_string(codec.bucket) +
                  "; it takes a power of two from " + std::to_string(limits::kCodecBucketMin) +
                  " to " + std::to_string(limits::kCodecBucketMax));
}

Result<void> check_density(const Codec& codec) {
  if (codec.density > 0.0 && codec.density <= 1.0) return {};
  return fail(errc::invalid_argument,
              "a codec with density = " + std::to_string(codec.density) +
                  "; it takes a share of the elements, above 0 and at most 1");
}

Result<void> check_rank(const Codec& codec) {
  if (codec.rank >= 1 && codec.rank <= limits::kCodecRankMax) return {};
  return fail(errc::invalid_argument,
              "a codec with rank = " + std::to_string(codec.rank) + "; it takes 1 to " +
                  std::to_string(limits::kCodecRankMax));
}

}  // namespace

const Method& without_entropy(CodecKind kind) noexcept {
  switch (kind) {
    case CodecKind::f32:
      return f32();
    case CodecKind::f16:
      return f16();
    case CodecKind::bf16:
      return bf16();
    case CodecKind::uniform:
      return uniform();
    case CodecKind::qsgd:
      return qsgd();
    case CodecKind::sign:
      return sign();
    case CodecKind::rotated:
      return rotated();
    case CodecKind::top_k:
      return top_k();
    case CodecKind::random_k:
      return random_k();
    case CodecKind::ternary:
      return ternary();
    case CodecKind::low_rank:
      return low_rank();
    case CodecKind::subspace:
      return subspace();
  }
  return f32();
}

const Method& method_of(const Codec& codec) noexcept {
  return codec.entropy ? entropy() : without_entropy(codec.kind);
}

Result<void> check_codec(const Codec& codec) {
  switch (codec.kind) {
    case CodecKind::f32:
    case CodecKind::f16:
    case CodecKind::bf16:
      return {};
    case CodecKind::uniform:
      CHORUS_OK(check_bits(codec, 1, 8));
      return check_bucket(codec);
    case CodecKind::qsgd:
      CHORUS_OK(check_bits(codec, 2, 8));
      return check_bucket(codec);
    case CodecKind::sign:
      return check_bucket(codec);
    case CodecKind::rotated:
      CHORUS_OK(check_bits(codec, 1, 4));
      return check_bucket(codec);
    case CodecKind::top_k:
    case CodecKind::random_k:
    case CodecKind::ternary:
      return check_density(codec);
    case CodecKind::low_rank:
    case CodecKind::subspace:
      return check_rank(codec);
  }
  return fail(errc::invalid_argument,
              "a codec of unknown kind " + std::to_string(static_cast<unsigned>(codec.kind)));
}

Result<std::vector<std::byte>> encode(const Codec& codec,
                                      std::span<const float> x,
                                      const Keys& keys) {
  CHORUS_OK(check_codec(codec));
  const kernels::VectorStats stats = kernels::stats_f32(x);
  if (!stats.finite) {
    const auto bad = std::find_if(x.begin(), x.end(), [](float v) { return !std::isfinite(v); });
    return fail(errc::not_finite,
                "element " + std::to_string(bad - x.begin()) + " is NaN or infinite");
  }
  const float most = encodable_max(codec.kind);
  if (stats.max_abs > most) {
    return fail(errc::value_out_of_range,
                "an element of magnitude " + std::to_string(stats.max_abs) +
                    " is too large for this codec; the largest is " + std::to_string(most));
  }
  std::vector<std::byte> payload;
  payload.reserve(static_cast<std::size_t>(method_of(codec).bytes_max(codec, x.size())));
  method_of(codec).encode(codec, x, keys, payload);
  return payload;
}

Result<void> decode(const Codec& codec,
                    std::span<const std::byte> payload,
                    const Keys& keys,
                    float value_max,
                    std::span<float> x) {
  CHORUS_OK(check_codec(codec));
  const Method& method = method_of(codec);
  CHORUS_OK(method.check(codec, x.size(), payload, value_max));
  method.decode(codec, payload, keys, x);
  return {};
}

}  // namespace chorus::codec
