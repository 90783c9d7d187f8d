#include "common/codec/sparse.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <string>

#include "chorus/kernels/codes.hpp"
#include "common/base/assert.hpp"
#include "common/base/try.hpp"

namespace chorus::codec {
namespace {

/// Elements looked at to guess where the k-th largest magnitude lies.
constexpr std::size_t kSample = 16384;

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

std::uint32_t magnitude_bits(float x) {
  return std::bit_cast<std::uint32_t>(std::fabs(x));
}

// The k-th largest of some magnitudes, as bits, which order alike: counted by their upper bits
// first, so that few are left to be sorted.
std::uint32_t bits_of_rank(std::span<const float> values, std::size_t k) {
  std::uint32_t low = ~0U;
  std::uint32_t high = 0;
  for (const float value : values) {
    low = std::min(low, magnitude_bits(value));
    high = std::max(high, magnitude_bits(value));
  }
  constexpr int kBinBits = 12;
  const int shift = std::max(0, static_cast<int>(std::bit_width(high - low)) - kBinBits);
  std::vector<std::uint32_t> bins(std::size_t{1} << kBinBits);
  for (const float value : values) ++bins[(magnitude_bits(value) - low) >> shift];
  std::size_t above = 0;
  std::size_t bin = bins.size() - 1;
  while (above + bins[bin] < k) above += bins[bin--];
  std::vector<std::uint32_t> within;
  within.reserve(bins[bin]);
  for (const float value : values) {
    const std::uint32_t bits = magnitude_bits(value);
    if ((bits - low) >> shift == bin) within.push_back(bits);
  }
  const auto at = within.begin() + static_cast<std::ptrdiff_t>(k - above - 1);
  std::nth_element(within.begin(), at, within.end(), std::greater<>());
  return *at;
}

// They come in order, so that it is enough to know the k-th largest magnitude, and how many of
// those that equal it belong to the k.
void keep_largest(std::size_t k, Chosen& found) {
  const std::uint32_t last = bits_of_rank(found.values, k);
  std::size_t ties = k;
  for (const float value : found.values) ties -= magnitude_bits(value) > last ? 1 : 0;
  std::size_t kept = 0;
  for (std::size_t j = 0; j < found.values.size(); ++j) {
    const std::uint32_t bits = magnitude_bits(found.values[j]);
    if (bits < last || (bits == last && ties == 0)) continue;
    if (bits == last) --ties;
    found.indices[kept] = found.indices[j];
    found.values[kept++] = found.values[j];
  }
  found.indices.resize(kept);
  found.values.resize(kept);
}

}  // namespace

std::uint32_t kept_of(const Codec& codec, std::uint64_t count) noexcept {
  const double share = std::ceil(codec.density * static_cast<double>(count));
  return static_cast<std::uint32_t>(
      std::min<double>(static_cast<double>(count), std::max(share, 1.0)));
}

Chosen largest(std::span<const float> x, std::size_t k) {
  CHORUS_ASSERT(k <= x.size());
  if (k == 0) return {};
  Chosen found;
  const auto find = [&](float least, std::size_t room) {
    found.indices.resize(room);
    found.values.resize(room);
    return kernels::elements_above(x, least, found.indices, found.values);
  };
  const float least = guess(x, k);
  std::size_t count = find(least, k + k / 2 + kSample);
  if (count < k) count = find(0.0F, x.size());  // the sample misled: all of them, then
  if (count > found.indices.size()) count = find(least, count);
  found.indices.resize(count);
  found.values.resize(count);
  keep_largest(k, found);
  return found;
}

Result<void> Sparse::check(const Codec& codec,
                           std::uint64_t count,
                           std::span<const std::byte> payload,
                           float value_max) const {
  CHORUS_TRY(const Chosen chosen, read(codec, count, payload, {}));
  const double bound = lane_value_max(codec, count, static_cast<double>(value_max));
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
