// Elements that the round's key chooses, the same for all devices: no index travels.
//
//   payload   f32 x[i] for each chosen i, ascending
//   chosen    k of d by Floyd's method with draws of the stream ("random_k")
//   value     x[i]·d/k
//   error     unbiased over keys, d/k − 1 relative to ‖x‖²
//   source    Konečný et al. 2016, "Federated learning: strategies for improving communication
//             efficiency"; Bentley, Floyd 1987, "A sample of brilliance"
#include <array>
#include <string>
#include <string_view>

#include "common/base/rng.hpp"
#include "common/base/try.hpp"
#include "common/codec/bytes.hpp"
#include "common/codec/methods.hpp"
#include "common/codec/sparse.hpp"

namespace chorus::codec {
namespace {

std::vector<std::uint32_t> chosen_of(std::uint64_t round, std::uint64_t count, std::uint32_t k) {
  constexpr std::array<std::string_view, 1> kParts{"random_k"};
  Rng rng(stream_key(round, kParts));
  std::vector<bool> taken(static_cast<std::size_t>(count));
  for (std::uint64_t last = count - k; last < count; ++last) {
    const std::uint64_t drawn = rng.below(last + 1);
    taken[static_cast<std::size_t>(taken[static_cast<std::size_t>(drawn)] ? last : drawn)] = true;
  }
  std::vector<std::uint32_t> indices;
  indices.reserve(k);
  for (std::size_t i = 0; i < taken.size(); ++i) {
    if (taken[i]) indices.push_back(static_cast<std::uint32_t>(i));
  }
  return indices;
}

class RandomK final : public Sparse {
  std::uint64_t bytes_max(const Codec& codec, std::uint64_t count) const final {
    return count == 0 ? 0 : 4ULL * kept_of(codec, count);
  }

  double lane_value_max(const Codec& codec, std::uint64_t /*count*/, double value_max) const final {
    return value_max / codec.density * (1.0 + 0x1.0p-20);
  }

  void encode(const Codec& codec,
              std::span<const float> x,
              const Keys& keys,
              std::vector<std::byte>& payload) const final {
    if (x.empty()) return;
    for (const std::uint32_t i : chosen_of(keys.round, x.size(), kept_of(codec, x.size()))) {
      append(payload, x[i]);
    }
  }

  Result<Chosen> read(const Codec& codec,
                      std::uint64_t count,
                      std::span<const std::byte> payload,
                      const Keys& keys) const final {
    Chosen chosen;
    if (payload.size() != bytes_max(codec, count)) {
      return fail(errc::shape_mismatch,
                  "a payload of " + std::to_string(payload.size()) + " bytes; the chosen of " +
                      std::to_string(count) + " elements take " +
                      std::to_string(bytes_max(codec, count)));
    }
    if (count == 0) return chosen;
    chosen.indices = chosen_of(keys.round, count, kept_of(codec, count));
    chosen.values.resize(chosen.indices.size());
    load_all(payload, std::span(chosen.values));
    const double factor = static_cast<double>(count) / static_cast<double>(chosen.indices.size());
    for (float& value : chosen.values) {
      value = static_cast<float>(static_cast<double>(value) * factor);
    }
    return chosen;
  }
};

}  // namespace

const Method& random_k() {
  static const RandomK method;
  return method;
}

}  // namespace chorus::codec
