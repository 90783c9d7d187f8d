// The sign of each element, times the mean magnitude of its bucket.
//
//   bucket    f32 scale S = ‖x‖₁/B, then a bit for each element: 1 if it is >= 0
//   value     ±S
//   error     biased, to be used with error feedback: ‖C(x) − x‖² = ‖x‖² − ‖x‖₁²/B, the relative
//             error of Gaussian values 1 − 2/π
//   source    Karimireddy et al. 2019, "Error feedback fixes SignSGD and other gradient compression
//             schemes"
#include <array>

#include "common/codec/bucketed.hpp"
#include "common/codec/bytes.hpp"
#include "common/codec/methods.hpp"
#include "common/codec/scratch.hpp"

namespace chorus::codec {
namespace {

class Sign final : public OnALine {
  Form form(const Codec& /*codec*/) const final { return {.header = 4, .bits = 1}; }

  Line line(const Codec& /*codec*/, std::span<const std::byte> header) const final {
    const auto scale = load<float>(header, 0);
    return {.low = -scale, .high = scale, .levels = 1};
  }

  void encode_bucket(const Codec& /*codec*/,
                     const Bucket& /*bucket*/,
                     const Keys& /*keys*/,
                     std::span<const float> x,
                     std::span<std::byte> to) const final {
    store(
        to, 0, static_cast<float>(kernels::sum_magnitudes_f32(x) / static_cast<double>(x.size())));
    const auto codes = scratch<std::uint8_t, Scratch::codes>(x.size());
    constexpr std::array<float, 1> kBounds{0.0F};
    kernels::bin_f32(x, 1.0F, kBounds, codes);
    kernels::pack_codes(codes, 1, as_codes(to.subspan(4)));
  }
};

}  // namespace

const Bucketed& sign() {
  static const Sign method;
  return method;
}

}  // namespace chorus::codec
