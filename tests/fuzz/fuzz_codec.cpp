// Payloads of compressed updates. Eight bytes say the codec and the elements, the payload follows.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/base/assert.hpp"
#include "common/codec/method.hpp"
#include "tests/fuzz/codec_input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < chorus::fuzz::kCodecHeader) return 0;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto [codec, count] = chorus::fuzz::codec_of(bytes.first(chorus::fuzz::kCodecHeader));
  // In memory of its own, so that a sanitizer sees a read beyond it.
  const auto rest = bytes.subspan(chorus::fuzz::kCodecHeader);
  const std::vector<std::byte> payload(rest.begin(), rest.end());
  constexpr chorus::codec::Keys kKeys{.round = 1, .device = 2};
  constexpr float kValueMax = 1000.0F;
  std::vector<float> x(count);
  if (!chorus::codec::decode(codec, payload, kKeys, kValueMax, x)) return 0;
  for (const float value : x) CHORUS_ASSERT(std::isfinite(value));
  const chorus::codec::Method& method = chorus::codec::method_of(codec);
  std::vector<std::int64_t> lane(static_cast<std::size_t>(method.lane_elements(codec, count)));
  const std::vector<chorus::codec::FoldPart> part{{payload, 0x1.0p20}};
  method.fold(codec, count, part, kKeys, lane);
  const double bound =
      method.lane_value_max(codec, count, static_cast<double>(kValueMax)) * 0x1.0p20;
  for (const std::int64_t sum : lane) {
    CHORUS_ASSERT(std::fabs(static_cast<double>(sum)) <= bound + 1.0);
  }
  return 0;
}
