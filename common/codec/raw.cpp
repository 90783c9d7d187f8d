// f32, f16 and bf16: elements one by one, in buckets only so that they can be read in parts.
//
//   payload   element[count], little-endian: 4, 2 or 2 bytes
//   error     0; half a unit of the last of 11 or 8 bits, to nearest, ties to even
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <type_traits>

#include "chorus/kernels/kernels.hpp"
#include "common/codec/bucketed.hpp"
#include "common/codec/bytes.hpp"
#include "common/codec/methods.hpp"

namespace chorus::codec {
namespace {

constexpr std::size_t kPart = 4096;

// `Element` as it travels; to and from floats.
template <class Element, auto kTo, auto kFrom>
class Raw final : public Bucketed {
  static constexpr unsigned kBits = 8 * sizeof(Element);

 public:
  // To nearest may be up.
  double lane_value_max(const Codec& /*codec*/,
                        std::uint64_t /*count*/,
                        double value_max) const final {
    return sizeof(Element) == sizeof(float) ? value_max : value_max * (1.0 + 0x1.0p-8);
  }

 private:
  Form form(const Codec& /*codec*/) const final { return {.header = 0, .bits = kBits}; }
  std::uint64_t bucket_elements(const Codec& /*codec*/) const final { return kPart; }

  void encode_bucket(const Codec& /*codec*/,
                     const Bucket& /*bucket*/,
                     const Keys& /*keys*/,
                     std::span<const float> x,
                     std::span<std::byte> to) const final {
    std::array<Element, kPart> elements;
    const std::span<Element> made = std::span(elements).first(x.size());
    kTo(x, made);
    std::memcpy(to.data(), made.data(), made.size_bytes());
  }

  Result<void> check_bucket(const Codec& codec,
                            const Bucket& bucket,
                            std::span<const std::byte> from,
                            float value_max) const final {
    std::array<float, kPart> values;
    const std::span<float> x = std::span(values).first(bucket.elements);
    expand(codec, bucket, from, x);
    const kernels::VectorStats stats = kernels::stats_f32(x);
    const auto bound =
        static_cast<float>(lane_value_max(codec, bucket.elements, static_cast<double>(value_max)));
    if (stats.finite && stats.max_abs <= bound) return {};
    const auto bad = std::find_if(
        x.begin(), x.end(), [&](float v) { return !std::isfinite(v) || std::fabs(v) > bound; });
    const std::string where = "element " + std::to_string(bad - x.begin()) + " is ";
    if (!std::isfinite(*bad)) {
      return in_bucket(bucket.number, errc::not_finite, where + "NaN or infinite");
    }
    return in_bucket(
        bucket.number,
        errc::value_out_of_range,
        where + std::to_string(*bad) + ", beyond the job's value_max " + std::to_string(value_max));
  }

  void expand(const Codec& /*codec*/,
              const Bucket& /*bucket*/,
              std::span<const std::byte> from,
              std::span<float> values) const final {
    std::array<Element, kPart> elements;
    const std::span<Element> sent = std::span(elements).first(values.size());
    load_all(from, sent);
    kFrom(sent, values);
  }

  // Floats are added where they are.
  void fold_bucket(const Codec& codec,
                   const Bucket& bucket,
                   std::span<const FoldPart> parts,
                   std::span<std::int64_t> lane) const final {
    if constexpr (std::is_same_v<Element, float>) {
      std::array<kernels::FoldInput, kernels::kFoldInputsMax> inputs{};
      bool aligned = true;
      for (std::size_t k = 0; k < parts.size(); ++k) {
        const auto* at = parts[k].payload.data();
        aligned = aligned && reinterpret_cast<std::uintptr_t>(at) % alignof(float) == 0;
        inputs.at(k) = {.x = reinterpret_cast<const float*>(at), .multiplier = parts[k].multiplier};
      }
      if (aligned) return kernels::fold_f32(std::span(inputs).first(parts.size()), lane);
    }
    Bucketed::fold_bucket(codec, bucket, parts, lane);
  }
};

void copy_to(std::span<const float> x, std::span<float> made) {
  std::copy(x.begin(), x.end(), made.begin());
}

}  // namespace

const Method& f32() {
  static const Raw<float, copy_to, copy_to> method;
  return method;
}

const Method& f16() {
  static const Raw<std::uint16_t, kernels::to_half, kernels::from_half> method;
  return method;
}

const Method& bf16() {
  static const Raw<std::uint16_t, kernels::to_bfloat, kernels::from_bfloat> method;
  return method;
}

}  // namespace chorus::codec
