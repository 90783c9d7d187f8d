// Stochastic rounding to s = 2^(bits − 1) − 1 levels of either sign, between ± the norm of each
// bucket.
//
//   bucket    f32 norm N, then for each element level + s, in `bits` bits: 0..2s
//   value     N·level/s
//   error     unbiased; variance (N/s)²·f·(1 − f) of an element at the fraction f of a level; with
//             the Euclidean norm at most min(B/s², √B/s)·‖x‖² for buckets of B
//   source    Alistarh et al. 2017, "QSGD: communication-efficient SGD via gradient quantization
//             and encoding"
#include <cmath>

#include "chorus/kernels/kernels.hpp"
#include "common/codec/bucketed.hpp"
#include "common/codec/bytes.hpp"
#include "common/codec/methods.hpp"

namespace chorus::codec {
namespace {

class Qsgd final : public OnALine {
 public:
  // The norm of many elements may be beyond what one of them may be, by a rounding more.
  double lane_value_max(const Codec& codec, std::uint64_t /*count*/, double value_max) const final {
    if (codec.norm == CodecNorm::maximum) return value_max;
    return value_max * std::sqrt(static_cast<double>(codec.bucket)) * (1.0 + 0x1.0p-20);
  }

 private:
  Form form(const Codec& codec) const final { return {.header = 4, .bits = codec.bits}; }

  Line line(const Codec& codec, std::span<const std::byte> header) const final {
    const auto norm = load<float>(header, 0);
    return {.low = -norm, .high = norm, .levels = (1U << codec.bits) - 2U};
  }

  void encode_bucket(const Codec& codec,
                     const Bucket& bucket,
                     const Keys& keys,
                     std::span<const float> x,
                     std::span<std::byte> to) const final {
    const kernels::VectorStats stats = kernels::stats_f32(x);
    const float norm = codec.norm == CodecNorm::maximum
                           ? stats.max_abs
                           : static_cast<float>(std::sqrt(stats.sum_squares));
    store(to, 0, norm);
    round_onto_line(codec, bucket, keys, x, to);
  }
};

}  // namespace

const Bucketed& qsgd() {
  static const Qsgd method;
  return method;
}

}  // namespace chorus::codec
