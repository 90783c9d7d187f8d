// A randomised Hadamard transform of each bucket, whose result is nearly Gaussian whatever went in,
// then the codes that lose least of a Gaussian. With one bit this is DRIVE, with more EDEN.
//
//   rotation  y = H·(s ∘ x) of D elements, H unscaled in Sylvester's order, s the signs of
//             kernels::flip_signs_f32 for the round's key and the bucket; D is the bucket, or for
//             the last one the next power of two, filled with zeros
//   bucket    f32 scale S, then a code of `bits` bits for each of the D elements: the number of the
//             Lloyd-Max level c of y/‖x‖ for N(0, 1)
//   value     s ∘ H·(S·c)/√D
//   S         ‖x‖²·√D/⟨y, c⟩: unbiased over rotations, error 1/(1 − d) − 1 with the levels'
//             distortion d (.571, .133, .0358, .00959 for 1 to 4 bits); or ⟨y, c⟩/(√D·‖c‖²): least
//             error d, biased
//   lane      holds S·c, of rotated elements: one transform turns the mean of all updates back
//   source    Vargaftik et al. 2021, "DRIVE: one-bit distributed mean estimation"; 2022, "EDEN:
//             communication-efficient and robust distributed mean estimation"; levels: Max 1960
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <string>

#include "chorus/kernels/kernels.hpp"
#include "chorus/kernels/training.hpp"
#include "common/base/rng.hpp"
#include "common/codec/bucketed.hpp"
#include "common/codec/bytes.hpp"
#include "common/codec/methods.hpp"
#include "common/codec/scratch.hpp"

namespace chorus::codec {
namespace {

constexpr std::size_t kLevelsMax = 16;

/// The Lloyd-Max levels of N(0, 1) for 2^bits codes, ascending, and the bounds between them.
struct Levels {
  std::array<float, kLevelsMax> level{};
  std::array<float, kLevelsMax - 1> bound{};
};

constexpr Levels mirrored(std::span<const float> positive) {
  Levels levels;
  const std::size_t half = positive.size();
  for (std::size_t i = 0; i < half; ++i) {
    levels.level.at(half + i) = positive[i];
    levels.level.at(half - 1 - i) = -positive[i];
  }
  for (std::size_t i = 0; i + 1 < 2 * half; ++i) {
    levels.bound.at(i) = (levels.level.at(i) + levels.level.at(i + 1)) / 2.0F;
  }
  return levels;
}

constexpr std::array<float, 1> kPositive1{0.797885F};
constexpr std::array<float, 2> kPositive2{0.452780F, 1.510418F};
constexpr std::array<float, 4> kPositive3{0.245094F, 0.756005F, 1.343909F, 2.151946F};
constexpr std::array<float, 8> kPositive4{
    0.128395F, 0.388048F, 0.656759F, 0.942340F, 1.256231F, 1.618046F, 2.069017F, 2.732590F};
constexpr std::array<Levels, 4> kLevels{
    mirrored(kPositive1), mirrored(kPositive2), mirrored(kPositive3), mirrored(kPositive4)};

std::span<const float> levels_of(unsigned bits) {
  return std::span(kLevels.at(bits - 1).level).first(std::size_t{1} << bits);
}
std::span<const float> bounds_of(unsigned bits) {
  return std::span(kLevels.at(bits - 1).bound).first((std::size_t{1} << bits) - 1);
}

std::uint64_t signs_of(const Keys& keys, std::uint64_t bucket) {
  const std::string number = std::to_string(bucket);
  const std::array<std::string_view, 2> parts{"rotation", number};
  return stream_key(keys.round, parts);
}

double dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  }
  return sum;
}

class Rotated final : public Bucketed {
 public:
  bool lane_is_turned(const Codec& /*codec*/) const final { return true; }
  double lane_value_max(const Codec& codec, std::uint64_t /*count*/, double value_max) const final {
    // |S·c|: S at most ‖x‖·√D/⟨y, c⟩ times the largest level; ‖x‖ at most √D·value_max.
    return value_max * std::sqrt(static_cast<double>(codec.bucket)) * kScaleSlack;
  }

 private:
  // ⟨y, c⟩ is at least the smallest level times ‖y‖₁, which is at least ‖y‖: the worst S is of a
  // vector that rotates onto an axis.
  static constexpr double kScaleSlack = 32.0;

  void turn_back(const Keys& keys, std::uint64_t bucket, std::span<float> x) const final {
    kernels::hadamard_f32(x);
    kernels::scale_f32(1.0F / std::sqrt(static_cast<float>(x.size())), x);
    kernels::flip_signs_f32(signs_of(keys, bucket), x);
  }

  Form form(const Codec& codec) const final { return {.header = 4, .bits = codec.bits}; }
  std::size_t codes_of(std::size_t elements) const final {
    return elements == 0 ? 0 : std::bit_ceil(elements);
  }

  void encode_bucket(const Codec& codec,
                     const Bucket& bucket,
                     const Keys& keys,
                     std::span<const float> x,
                     std::span<std::byte> to) const final {
    const auto y = scratch<float, Scratch::rotated>(bucket.codes);
    std::fill(std::copy(x.begin(), x.end(), y.begin()), y.end(), 0.0F);
    const double squares = kernels::stats_f32(y).sum_squares;
    kernels::flip_signs_f32(signs_of(keys, bucket.number), y);
    kernels::hadamard_f32(y);

    const auto codes = scratch<std::uint8_t, Scratch::codes>(bucket.codes);
    const double norm = std::sqrt(squares);
    const auto factor = norm > kNormMin ? static_cast<float>(1.0 / norm) : 0.0F;
    kernels::bin_f32(y, factor, bounds_of(codec.bits), codes);
    const auto c = scratch<float, Scratch::chosen>(bucket.codes);
    kernels::look_up_f32(codes, levels_of(codec.bits), c);
    const double root = std::sqrt(static_cast<double>(bucket.codes));
    const double along = dot(y, c);
    double scale = 0.0;
    if (norm > kNormMin) {
      scale = codec.least_error ? along / (root * dot(c, c)) : squares * root / along;
    }
    store(to, 0, static_cast<float>(scale));
    kernels::pack_codes(codes, codec.bits, as_codes(to.subspan(4)));
  }

  Result<void> check_bucket(const Codec& codec,
                            const Bucket& bucket,
                            std::span<const std::byte> from,
                            float value_max) const final {
    const auto scale = load<float>(from, 0);
    if (!std::isfinite(scale)) {
      return in_bucket(bucket.number, errc::not_finite, "its scale is NaN or infinite");
    }
    const double largest =
        static_cast<double>(std::fabs(scale)) * static_cast<double>(levels_of(codec.bits).back());
    if (largest <= lane_value_max(codec, bucket.elements, static_cast<double>(value_max)))
      return {};
    return in_bucket(bucket.number,
                     errc::value_out_of_range,
                     "its scale " + std::to_string(scale) +
                         " is of values beyond the job's value_max " + std::to_string(value_max));
  }

  void expand(const Codec& codec,
              const Bucket& /*bucket*/,
              std::span<const std::byte> from,
              std::span<float> values) const final {
    const auto codes = scratch<std::uint8_t, Scratch::codes>(values.size());
    kernels::unpack_codes(as_codes(from.subspan(4)), codec.bits, codes);
    kernels::look_up_f32(codes, scaled_levels(codec, from), values);
  }

  void fold_bucket(const Codec& codec,
                   const Bucket& bucket,
                   std::span<const FoldPart> parts,
                   std::span<std::int64_t> lane) const final {
    std::array<std::array<float, kLevelsMax>, kernels::kFoldInputsMax> levels;
    std::array<kernels::FoldCodes, kernels::kFoldInputsMax> inputs{};
    for (std::size_t k = 0; k < parts.size(); ++k) {
      const auto from = parts[k].payload.first(bytes_of(codec, bucket));
      levels.at(k) = scaled_levels(codec, from);
      inputs.at(k) = {.codes = as_codes(from.subspan(4)).data(),
                      .unit = parts[k].multiplier,
                      .values = levels.at(k).data()};
    }
    kernels::fold_codes(codec.bits, std::span(inputs).first(parts.size()), lane);
  }

  /// What each code of a bucket stands for.
  static std::array<float, kLevelsMax> scaled_levels(const Codec& codec,
                                                     std::span<const std::byte> bucket) {
    const auto scale = load<float>(bucket, 0);
    std::array<float, kLevelsMax> table{};
    const auto levels = levels_of(codec.bits);
    for (std::size_t i = 0; i < levels.size(); ++i) table.at(i) = scale * levels[i];
    return table;
  }

  static constexpr double kNormMin = 0x1.0p-100;  ///< below this everything is 0
};

}  // namespace

const Bucketed& rotated() {
  static const Rotated method;
  return method;
}

}  // namespace chorus::codec
