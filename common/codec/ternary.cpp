// The largest elements, all of one magnitude.
//
//   payload   u32 k; u8 Rice parameter; u8[3] 0; f32 μ, the mean of their magnitudes; then for
//   each,
//             ascending, the Golomb-Rice code of index − previous − 1, previous −1 at first, and a
//             bit: 1 if it is negative
//   value     ±μ
//   error     biased, to be used with error feedback: ‖C(x) − x‖² = ‖x‖² − k·μ²
//   source    Sattler et al. 2019, "Robust and communication-efficient federated learning from
//             non-IID data" (STC)
#include <cmath>
#include <string>

#include "common/base/try.hpp"
#include "common/codec/bit_stream.hpp"
#include "common/codec/bytes.hpp"
#include "common/codec/methods.hpp"
#include "common/codec/sparse.hpp"

namespace chorus::codec {
namespace {

constexpr std::size_t kHeader = 12;

class Ternary final : public Sparse {
  static unsigned rice_of(std::uint32_t k, std::uint64_t count) {
    return k == 0 ? 0 : rice_parameter(static_cast<double>(k) / static_cast<double>(count));
  }

  std::uint64_t bytes_max(const Codec& codec, std::uint64_t count) const final {
    if (count == 0) return kHeader;
    const std::uint64_t k = kept_of(codec, count);
    const unsigned low = rice_of(kept_of(codec, count), count);
    return kHeader + (k * (low + 2ULL) + (count >> low) + 7) / 8;
  }

  void encode(const Codec& codec,
              std::span<const float> x,
              const Keys& /*keys*/,
              std::vector<std::byte>& payload) const final {
    const std::uint32_t k = x.empty() ? 0 : kept_of(codec, x.size());
    const Chosen chosen = largest(x, k);
    double magnitudes = 0.0;
    for (const float value : chosen.values) magnitudes += std::fabs(static_cast<double>(value));
    const unsigned low = rice_of(k, x.size());
    append(payload, k);
    append(payload, static_cast<std::uint8_t>(low));
    payload.resize(payload.size() + 3);
    append(payload, static_cast<float>(k == 0 ? 0.0 : magnitudes / k));
    BitWriter writer(payload);
    std::uint32_t next = 0;
    for (std::size_t j = 0; j < chosen.indices.size(); ++j) {
      writer.put_index(chosen.indices[j], next, low);
      writer.put(std::signbit(chosen.values[j]) ? 1U : 0U, 1);
    }
  }

  Result<Chosen> read(const Codec& codec,
                      std::uint64_t count,
                      std::span<const std::byte> payload,
                      const Keys& /*keys*/) const final {
    if (payload.size() < kHeader || payload.size() > bytes_max(codec, count)) {
      return fail(errc::shape_mismatch,
                  "a payload of " + std::to_string(payload.size()) + " bytes; of " +
                      std::to_string(count) + " elements it has " + std::to_string(kHeader) +
                      " to " + std::to_string(bytes_max(codec, count)));
    }
    const auto k = load<std::uint32_t>(payload, 0);
    const std::uint32_t expected = count == 0 ? 0 : kept_of(codec, count);
    const unsigned low = load<std::uint8_t>(payload, 4);
    if (k != expected || low != rice_of(k, count)) {
      return fail(errc::malformed_message,
                  std::to_string(k) + " chosen elements with Rice parameter " +
                      std::to_string(low) + "; the codec chooses " + std::to_string(expected) +
                      " of " + std::to_string(count) + ", with " +
                      std::to_string(rice_of(expected, count)));
    }
    const auto magnitude = load<float>(payload, 8);
    Chosen chosen;
    chosen.indices.reserve(k);
    chosen.values.reserve(k);
    BitReader reader(payload.subspan(kHeader));
    std::uint64_t next = 0;
    for (std::uint32_t j = 0; j < k; ++j) {
      const auto index = reader.take_index(next, count, low);
      const auto negative = index ? reader.take(1) : std::nullopt;
      if (!negative) {
        return fail(errc::malformed_message,
                    "gap " + std::to_string(j) +
                        " of the payload ends too early, or leads beyond " + std::to_string(count) +
                        " elements");
      }
      chosen.indices.push_back(*index);
      chosen.values.push_back(*negative == 1 ? -magnitude : magnitude);
    }
    if (!reader.at_end()) {
      return fail(errc::malformed_message, "bytes are left behind the last element of the payload");
    }
    return chosen;
  }
};

}  // namespace

const Method& ternary() {
  static const Ternary method;
  return method;
}

}  // namespace chorus::codec
