// What every codec must do: sizes as announced, what was encoded decodes, and a fold is the sum of
// what decodes.
#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "chorus/kernels/kernels.hpp"
#include "tests/unit/common/codec/samples.hpp"

namespace chorus::codec {
namespace {

using test::awkward_vectors;
using test::every_codec;
using test::gaussian;
using test::largest_magnitude;

constexpr Keys kKeys{.round = 11, .device = 22};
constexpr double kMultiplier = 3.0 * 0x1.0p34;

TEST(Codec, SizesAreAsAnnouncedAndNothingIsBeyondThem) {
  for (const auto& [name, codec] : every_codec()) {
    const Method& method = method_of(codec);
    for (const std::vector<float>& x : awkward_vectors()) {
      const auto payload = encode(codec, x, kKeys);
      ASSERT_TRUE(payload) << name << ": " << payload.error().detail;
      const std::uint64_t most = method.bytes_max(codec, x.size());
      ASSERT_LE(payload->size(), most) << name << " " << x.size();
      if (method.granule(codec) != 0) {
        ASSERT_EQ(payload->size(), most) << name << " " << x.size();
      }
      std::vector<float> decoded(x.size());
      const auto done = decode(codec, *payload, kKeys, largest_magnitude(x) + 1e-37F, decoded);
      ASSERT_TRUE(done) << name << " " << x.size() << ": " << done.error().detail;
      for (const float value : decoded) ASSERT_TRUE(std::isfinite(value)) << name;
    }
  }
}

TEST(Codec, OfNothingNothingComes) {
  for (const auto& [name, codec] : every_codec()) {
    const std::vector<float> x(700, 0.0F);
    std::vector<float> decoded(x.size(), 1.0F);
    const auto payload = encode(codec, x, kKeys).value();
    ASSERT_TRUE(decode(codec, payload, kKeys, 1.0F, decoded)) << name;
    for (const float value : decoded) ASSERT_EQ(value, 0.0F) << name;
  }
}

/// The lane of some payloads after fold(), in groups of `group`.
std::vector<std::int64_t> folded(const Codec& codec,
                                 std::size_t count,
                                 const std::vector<std::vector<std::byte>>& payloads,
                                 std::size_t group) {
  const Method& method = method_of(codec);
  std::vector<std::int64_t> lane(static_cast<std::size_t>(method.lane_elements(codec, count)));
  for (std::size_t k = 0; k < payloads.size(); k += group) {
    std::vector<FoldPart> parts;
    for (std::size_t j = k; j < std::min(k + group, payloads.size()); ++j) {
      parts.push_back({payloads[j], kMultiplier * static_cast<double>(j + 1)});
    }
    method.fold(codec, count, parts, kKeys, lane);
  }
  return lane;
}

std::vector<std::vector<std::byte>> some_payloads(const Codec& codec, std::size_t count) {
  std::vector<std::vector<std::byte>> payloads;
  for (std::uint64_t device = 0; device < 5; ++device) {
    const Keys keys{.round = kKeys.round, .device = device};
    payloads.push_back(encode(codec, gaussian(count, device), keys).value());
  }
  return payloads;
}

TEST(Codec, AFoldIsTheWeightedSumOfWhatDecodes) {
  for (const auto& [name, codec] : every_codec()) {
    for (const std::size_t count : {1UL, 100UL, 1000UL, 4097UL}) {
      const auto payloads = some_payloads(codec, count);
      const auto lane = folded(codec, count, payloads, 5);
      std::vector<float> mean(lane.size());
      kernels::lane_mean_f32(lane, kMultiplier * 15, mean);
      if (method_of(codec).lane_is_turned(codec)) {
        std::vector<float> turned(count);
        method_of(codec).from_lane(codec, kKeys, mean, turned);
        mean = turned;
      }
      std::vector<double> expected(count);
      std::vector<float> decoded(count);
      for (std::size_t k = 0; k < payloads.size(); ++k) {
        ASSERT_TRUE(decode(codec, payloads[k], kKeys, 100.0F, decoded)) << name;
        for (std::size_t i = 0; i < count; ++i) {
          expected[i] += static_cast<double>(decoded[i]) * static_cast<double>(k + 1) / 15.0;
        }
      }
      for (std::size_t i = 0; i < count; ++i) {
        ASSERT_NEAR(mean[i], expected[i], 2e-5) << name << " " << count << " " << i;
      }
    }
  }
}

TEST(Codec, AFoldHasTheSameBitsHoweverItIsGroupedAndOnEveryVariant) {
  for (const auto& [name, codec] : every_codec()) {
    const auto payloads = some_payloads(codec, 2050);
    const auto expected = folded(codec, 2050, payloads, 1);
    for (const std::string_view variant : kernels::available_variants()) {
      ASSERT_TRUE(kernels::select_variant(variant));
      ASSERT_EQ(some_payloads(codec, 2050), payloads) << name << " " << variant;
      for (const std::size_t group : {2UL, 5UL}) {
        ASSERT_EQ(folded(codec, 2050, payloads, group), expected) << name << " " << variant;
      }
    }
    ASSERT_TRUE(kernels::select_variant(kernels::available_variants().front()));
  }
}

TEST(Codec, APartFoldsByItself) {
  for (const auto& [name, codec] : every_codec()) {
    const Method& method = method_of(codec);
    if (method.granule(codec) == 0) continue;
    const std::size_t first = 3 * static_cast<std::size_t>(method.granule(codec));
    const std::size_t count = first + 777;
    const auto payload = encode(codec, gaussian(count, 5), kKeys).value();
    const std::vector<FoldPart> whole{{payload, kMultiplier}};
    std::vector<std::int64_t> lane(static_cast<std::size_t>(method.lane_elements(codec, count)));
    method.fold(codec, count, whole, kKeys, lane);
    const std::vector<FoldPart> part{
        {std::span(payload).subspan(static_cast<std::size_t>(method.bytes_max(codec, first))),
         kMultiplier}};
    std::vector<std::int64_t> rest(
        static_cast<std::size_t>(method.lane_elements(codec, count - first)));
    method.fold(codec, count - first, part, kKeys, rest);
    ASSERT_TRUE(std::equal(rest.begin(), rest.end(), lane.begin() + static_cast<long>(first)))
        << name;
  }
}

TEST(Codec, TheLaneHasRoomForWhatPassesTheCheck) {
  for (const auto& [name, codec] : every_codec()) {
    const Method& method = method_of(codec);
    std::vector<float> x = test::heavy_tailed(1024, 3);
    const float value_max = largest_magnitude(x);
    const auto payload = encode(codec, x, kKeys).value();
    ASSERT_TRUE(method.check(codec, x.size(), payload, value_max)) << name;
    const std::vector<FoldPart> part{{payload, 0x1.0p30}};
    std::vector<std::int64_t> lane(static_cast<std::size_t>(method.lane_elements(codec, x.size())));
    method.fold(codec, x.size(), part, kKeys, lane);
    const double bound =
        method.lane_value_max(codec, x.size(), static_cast<double>(value_max)) * 0x1.0p30;
    for (const std::int64_t sum : lane) {
      ASSERT_LE(std::fabs(static_cast<double>(sum)), bound + 1.0) << name;
    }
  }
}

}  // namespace
}  // namespace chorus::codec
