// Stochastic rounding between the least and the largest element of each bucket.
//
//   bucket    f32 least, f32 largest, then a code of `bits` bits for each element
//   value     least + code·(largest − least)/(2^bits − 1)
//   error     unbiased; variance Δ²·f·(1 − f) of an element at the fraction f of a step Δ
//   source    Suresh et al. 2017, "Distributed mean estimation with limited communication"
#include "common/codec/bucketed.hpp"
#include "common/codec/bytes.hpp"
#include "common/codec/methods.hpp"

namespace chorus::codec {
namespace {

class Uniform final : public OnALine {
  Form form(const Codec& codec) const final { return {.header = 8, .bits = codec.bits}; }

  Line line(const Codec& codec, std::span<const std::byte> header) const final {
    return {.low = load<float>(header, 0),
            .high = load<float>(header, 4),
            .levels = (1U << codec.bits) - 1U};
  }

  void encode_bucket(const Codec& codec,
                     const Bucket& bucket,
                     const Keys& keys,
                     std::span<const float> x,
                     std::span<std::byte> to) const final {
    const kernels::ValueRange range = kernels::range_f32(x);
    store(to, 0, range.low);
    store(to, 4, range.high);
    round_onto_line(codec, bucket, keys, x, to);
  }
};

}  // namespace

const Bucketed& uniform() {
  static const Uniform method;
  return method;
}

}  // namespace chorus::codec
