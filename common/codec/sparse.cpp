#include "common/codec/sparse.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "chorus/kernels/codes.hpp"
#include "common/base/assert.hpp"
#include "common/base/try.hpp"

namespace chorus::codec {
namespace {

/// Elements looked at to guess where the k-th largest magnitude lies.
constexpr std::size_t kSample = 4096;

// A magnitude that somewhat more than k elements probably reach.
float guess(std::span<const float> x, std::size_t k) {
  const std::size_t step = std::max<std::size_t>(1, x.size() / kSample);
  std::vector<float> sample;
  sample.reserve(x.size() / step + 1);
  for (std::size_t i = 0; i < x.size(); i += step) sample.push_back(std::fabs(x[i]));
  const double share = static_cast<double>(k) / static_cast<double>(x.size());
  const double expected = share * static_cast<double>(sample.size());
  const auto rank = static_cast<std::size_t>(expected + 3.0 * std::sqrt(expected) + 3.0);
  if (rank >= sample.size()) return 0.0F;
  const auto at = sample.begin() + static_cast<std::ptrdiff_t>(rank);
  std::nth_element(sample.begin(), at, sample.end(), std::greater<>());
  return *at;
}

}  // namespace

std::uint32_t kept_of(const Codec& codec, std::uint64_t count) noexcept {
  const double share = std::ceil(codec.density * static_cast<double>(count));
  return static_cast<std::uint32_t>(
      std::min<double>(static_cast<double>(count), std::max(share, 1.0)));
}

std::vector<std::uint32_t> largest(std::span<const float> x, std::size_t k) {
  CHORUS_ASSERT(k <= x.size());
  if (k == 0) return {};
  std::vector<std::uint32_t> candidates(2 * k + kSample);
  float least = guess(x, k);
  std::size_t found = kernels::indices_above(x, least, candidates);
  if (found < k) {  // the sample misled: all of them, then
    least = 0.0F;
    found = kernels::indices_above(x, least, candidates);
  }
  if (found > candidates.size()) {
    candidates.resize(found);
    found = kernels::indices_above(x, least, candidates);
  }
  candidates.resize(found);

  // They come in order, so that it is enough to know the k-th largest magnitude, and how many of
  // those that equal it belong to the k.
  std::vector<float> magnitudes(found);
  for (std::size_t j = 0; j < found; ++j) magnitudes[j] = std::fabs(x[candidates[j]]);
  const auto at = magnitudes.begin() + static_cast<std::ptrdiff_t>(k - 1);
  std::nth_element(magnitudes.begin(), at, magnitudes.end(), std::greater<>());
  const float last = *at;
  const auto before = std::count_if(magnitudes.begin(), at, [last](float m) { return m > last; });
  std::size_t ties = k - static_cast<std::size_t>(before);
  std::vector<std::uint32_t> chosen;
  chosen.reserve(k);
  for (const std::uint32_t index : candidates) {
    const float magnitude = std::fabs(x[index]);
    if (magnitude < last || (magnitude == last && ties == 0)) continue;
    if (magnitude == last) --ties;
    chosen.push_back(index);
  }
  return chosen;
}

Result<void> Sparse::check(const Codec& codec,
                           std::uint64_t count,
                           std::span<const std::byte> payload,
                           float value_max) const {
  CHORUS_TRY(const Chosen chosen, read(codec, count, payload, {}));
  const double bound = lane_value_max(codec, static_cast<double>(value_max));
  for (std::size_t j = 0; j < chosen.values.size(); ++j) {
    const float value = chosen.values[j];
    const std::string where = "value " + std::to_string(j) + " of the payload is ";
    if (!std::isfinite(value)) return fail(errc::not_finite, where + "NaN or infinite");
    if (std::fabs(static_cast<double>(value)) > bound) {
      return fail(errc::value_out_of_range,
                  where + std::to_string(value) + ", beyond the job's value_max " +
                      std::to_string(value_max));
    }
  }
  return {};
}

void Sparse::decode(const Codec& codec,
                    std::span<const std::byte> payload,
                    const Keys& keys,
                    std::span<float> x) const {
  std::fill(x.begin(), x.end(), 0.0F);
  const Chosen chosen = read(codec, x.size(), payload, keys).value();
  for (std::size_t j = 0; j < chosen.indices.size(); ++j) x[chosen.indices[j]] = chosen.values[j];
}

void Sparse::fold(const Codec& codec,
                  std::uint64_t count,
                  std::span<const FoldPart> parts,
                  const Keys& keys,
                  std::span<std::int64_t> lane) const {
  CHORUS_ASSERT(lane.size() == count);
  for (const FoldPart& part : parts) {
    const Chosen chosen = read(codec, count, part.payload, keys).value();
    for (std::size_t j = 0; j < chosen.indices.size(); ++j) {
      const double product = static_cast<double>(chosen.values[j]) * part.multiplier;
      lane[chosen.indices[j]] += static_cast<std::int64_t>(std::nearbyint(product));
    }
  }
}

}  // namespace chorus::codec
