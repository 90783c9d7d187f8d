#include "common/codec/bucketed.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "chorus/kernels/kernels.hpp"
#include "common/base/assert.hpp"
#include "common/base/try.hpp"
#include "common/codec/bytes.hpp"
#include "common/codec/scratch.hpp"

namespace chorus::codec {
namespace {

/// Narrower than this a line's steps would have no reciprocal: its values are all `low`.
constexpr double kWidthMin = 0x1.0p-100;
/// Lane units of a step from which on it is one whole number of them in all sums: off by 2^-17 of
/// itself at most, and a code's addend is an integer product, three times as fast as one that is
/// rounded by itself.
constexpr double kWholeStepMin = 0x1.0p16;

/// std::nearbyint, which is a function call: there are two for each bucket of each update.
double to_nearest(double x) {
  constexpr double kOfWholes = 0x1.8p52;  // numbers of this size have no fractions
  if (std::fabs(x) >= 0x1.0p51) return static_cast<double>(static_cast<std::int64_t>(x));
  return (x + kOfWholes) - kOfWholes;
}

}  // namespace

Failure in_bucket(std::uint64_t number, errc code, const std::string& what) {
  return fail(code, "bucket " + std::to_string(number) + " of the payload: " + what);
}

Bucketed::Bucket Bucketed::bucket_at(const Codec& codec,
                                     std::uint64_t first,
                                     std::uint64_t count) const {
  const std::uint64_t whole = bucket_elements(codec);
  Bucket bucket;
  bucket.number = first / whole;
  bucket.elements = static_cast<std::size_t>(std::min(whole, count - first));
  bucket.codes = codes_of(bucket.elements);
  return bucket;
}

std::size_t Bucketed::bytes_of(const Codec& codec, const Bucket& bucket) const {
  const Form of = form(codec);
  return of.header + kernels::packed_bytes(bucket.codes, of.bits);
}

std::uint64_t Bucketed::bytes_max(const Codec& codec, std::uint64_t count) const {
  const std::uint64_t whole = bucket_elements(codec);
  const std::uint64_t full = count / whole;
  std::uint64_t bytes = full * bytes_of(codec, bucket_at(codec, 0, whole));
  if (full * whole < count) bytes += bytes_of(codec, bucket_at(codec, full * whole, count));
  return bytes;
}

void Bucketed::encode(const Codec& codec,
                      std::span<const float> x,
                      const Keys& keys,
                      std::vector<std::byte>& payload) const {
  const std::size_t begin = payload.size();
  payload.resize(begin + static_cast<std::size_t>(bytes_max(codec, x.size())));
  std::span<std::byte> to = std::span(payload).subspan(begin);
  std::uint64_t done = 0;
  while (!x.empty()) {
    const Bucket bucket = bucket_at(codec, done, done + x.size());
    const std::size_t bytes = bytes_of(codec, bucket);
    encode_bucket(codec, bucket, keys, x.first(bucket.elements), to.first(bytes));
    to = to.subspan(bytes);
    x = x.subspan(bucket.elements);
    done += bucket.elements;
  }
}

Result<void> Bucketed::check(const Codec& codec,
                             std::uint64_t count,
                             std::span<const std::byte> payload,
                             float value_max) const {
  const std::uint64_t expected = bytes_max(codec, count);
  if (payload.size() != expected) {
    return fail(errc::shape_mismatch,
                "a payload of " + std::to_string(payload.size()) + " bytes; " +
                    std::to_string(count) + " elements take " + std::to_string(expected));
  }
  for (std::uint64_t first = 0; first < count;) {
    const Bucket bucket = bucket_at(codec, first, count);
    const std::size_t bytes = bytes_of(codec, bucket);
    CHORUS_OK(check_bucket(codec, bucket, payload.first(bytes), value_max));
    payload = payload.subspan(bytes);
    first += bucket.elements;
  }
  return {};
}

void Bucketed::decode(const Codec& codec,
                      std::span<const std::byte> payload,
                      const Keys& keys,
                      std::span<float> x) const {
  std::vector<float> values(static_cast<std::size_t>(bucket_elements(codec)));
  for (std::size_t first = 0; first < x.size();) {
    const Bucket bucket = bucket_at(codec, first, x.size());
    const std::size_t bytes = bytes_of(codec, bucket);
    const std::span<float> into = std::span(values).first(bucket.codes);
    expand(codec, bucket, payload.first(bytes), into);
    turn_back(keys, bucket.number, into);
    std::copy_n(into.begin(), bucket.elements, x.begin() + static_cast<std::ptrdiff_t>(first));
    payload = payload.subspan(bytes);
    first += bucket.elements;
  }
}

void Bucketed::fold(const Codec& codec,
                    std::uint64_t count,
                    std::span<const FoldPart> parts,
                    const Keys& /*keys*/,
                    std::span<std::int64_t> lane) const {
  CHORUS_ASSERT(lane.size() == lane_elements(codec, count));
  CHORUS_ASSERT(!parts.empty() && parts.size() <= kernels::kFoldInputsMax);
  std::array<FoldPart, kernels::kFoldInputsMax> at{};
  std::copy(parts.begin(), parts.end(), at.begin());
  const std::span<FoldPart> now = std::span(at).first(parts.size());
  for (std::uint64_t first = 0; first < count;) {
    const Bucket bucket = bucket_at(codec, first, count);
    const std::size_t bytes = bytes_of(codec, bucket);
    fold_bucket(codec, bucket, now, lane.first(bucket.codes));
    for (FoldPart& part : now) part.payload = part.payload.subspan(bytes);
    lane = lane.subspan(bucket.codes);
    first += bucket.elements;
  }
}

std::uint64_t Bucketed::lane_elements(const Codec& codec, std::uint64_t count) const {
  const std::uint64_t rest = count % bucket_elements(codec);
  return count - rest + codes_of(static_cast<std::size_t>(rest));
}

void Bucketed::from_lane(const Codec& codec,
                         const Keys& keys,
                         std::span<float> mean,
                         std::span<float> x) const {
  for (std::uint64_t number = 0; !mean.empty(); ++number) {
    const auto codes = std::min<std::uint64_t>(bucket_elements(codec), mean.size());
    const auto elements = std::min<std::uint64_t>(codes, x.size());
    const auto bucket = mean.first(static_cast<std::size_t>(codes));
    turn_back(keys, number, bucket);
    std::copy_n(bucket.begin(), elements, x.begin());
    mean = mean.subspan(static_cast<std::size_t>(codes));
    x = x.subspan(static_cast<std::size_t>(elements));
  }
}

Bucketed::Pieces Bucketed::empty_pieces(const Codec& codec, std::uint64_t count) const {
  const std::uint64_t whole = bucket_elements(codec);
  const std::uint64_t buckets = count / whole + (count % whole != 0 ? 1 : 0);
  Pieces pieces;
  pieces.headers.resize(static_cast<std::size_t>(buckets) * form(codec).header);
  pieces.codes.resize(static_cast<std::size_t>(lane_elements(codec, count)));
  return pieces;
}

Bucketed::Pieces Bucketed::taken_apart(const Codec& codec,
                                       std::uint64_t count,
                                       std::span<const std::byte> payload) const {
  const Form of = form(codec);
  Pieces pieces = empty_pieces(codec, count);
  std::span<std::byte> headers = pieces.headers;
  std::span<std::uint8_t> codes = pieces.codes;
  for (std::uint64_t first = 0; first < count;) {
    const Bucket bucket = bucket_at(codec, first, count);
    const auto from = payload.first(bytes_of(codec, bucket));
    std::copy_n(from.begin(), of.header, headers.begin());
    kernels::unpack_codes(as_codes(from.subspan(of.header)), of.bits, codes.first(bucket.codes));
    payload = payload.subspan(from.size());
    headers = headers.subspan(of.header);
    codes = codes.subspan(bucket.codes);
    first += bucket.elements;
  }
  return pieces;
}

std::vector<std::byte> Bucketed::put_together(const Codec& codec,
                                              std::uint64_t count,
                                              const Pieces& pieces) const {
  const Form of = form(codec);
  std::vector<std::byte> payload(static_cast<std::size_t>(bytes_max(codec, count)));
  std::span<std::byte> to = payload;
  std::span<const std::byte> headers = pieces.headers;
  std::span<const std::uint8_t> codes = pieces.codes;
  for (std::uint64_t first = 0; first < count;) {
    const Bucket bucket = bucket_at(codec, first, count);
    const std::size_t bytes = bytes_of(codec, bucket);
    std::copy_n(headers.begin(), of.header, to.begin());
    kernels::pack_codes(
        codes.first(bucket.codes), of.bits, as_codes(to.first(bytes).subspan(of.header)));
    to = to.subspan(bytes);
    headers = headers.subspan(of.header);
    codes = codes.subspan(bucket.codes);
    first += bucket.elements;
  }
  return payload;
}

void Bucketed::fold_bucket(const Codec& codec,
                           const Bucket& bucket,
                           std::span<const FoldPart> parts,
                           std::span<std::int64_t> lane) const {
  const auto staging = scratch<float, Scratch::fold>(parts.size() * bucket.codes);
  std::array<kernels::FoldInput, kernels::kFoldInputsMax> inputs{};
  for (std::size_t k = 0; k < parts.size(); ++k) {
    const std::span<float> values = staging.subspan(k * bucket.codes, bucket.codes);
    expand(codec, bucket, parts[k].payload.first(bytes_of(codec, bucket)), values);
    inputs[k] = {.x = values.data(), .multiplier = parts[k].multiplier};
  }
  kernels::fold_f32(std::span(inputs).first(parts.size()), lane);
}

Result<void> OnALine::check_bucket(const Codec& codec,
                                   const Bucket& bucket,
                                   std::span<const std::byte> from,
                                   float value_max) const {
  const Form of = form(codec);
  const Line at = line(codec, from.first(of.header));
  if (!std::isfinite(at.low) || !std::isfinite(at.high)) {
    return in_bucket(bucket.number, errc::not_finite, "its scale is NaN or infinite");
  }
  if (at.high < at.low) {
    return in_bucket(
        bucket.number, errc::malformed_message, "its largest value is below its least");
  }
  const double bound = lane_value_max(codec, bucket.elements, static_cast<double>(value_max));
  if (static_cast<double>(at.low) < -bound || static_cast<double>(at.high) > bound) {
    return in_bucket(bucket.number,
                     errc::value_out_of_range,
                     "values from " + std::to_string(at.low) + " to " + std::to_string(at.high) +
                         ", beyond the job's value_max " + std::to_string(value_max));
  }
  if (at.levels + 1 == 1U << of.bits) return {};
  const auto some = scratch<std::uint8_t, Scratch::codes>(bucket.codes);
  kernels::unpack_codes(as_codes(from.subspan(of.header)), of.bits, some);
  const auto beyond = std::find_if(some.begin(), some.end(), [&](auto c) { return c > at.levels; });
  if (beyond == some.end()) return {};
  return in_bucket(bucket.number,
                   errc::malformed_message,
                   "code " + std::to_string(*beyond) + " of element " +
                       std::to_string(beyond - some.begin()) + "; the largest is " +
                       std::to_string(at.levels));
}

void OnALine::expand(const Codec& codec,
                     const Bucket& bucket,
                     std::span<const std::byte> from,
                     std::span<float> values) const {
  const Form of = form(codec);
  const Line at = line(codec, from.first(of.header));
  std::array<float, 256> table{};
  for (std::uint32_t code = 0; code <= at.levels; ++code) {
    table.at(code) =
        static_cast<float>(static_cast<double>(at.low) + at.step() * static_cast<double>(code));
  }
  const auto some = scratch<std::uint8_t, Scratch::codes>(bucket.codes);
  kernels::unpack_codes(as_codes(from.subspan(of.header)), of.bits, some);
  kernels::look_up_f32(some, table, values);
}

void OnALine::fold_bucket(const Codec& codec,
                          const Bucket& /*bucket*/,
                          std::span<const FoldPart> parts,
                          std::span<std::int64_t> lane) const {
  const Form of = form(codec);
  std::array<kernels::FoldCodes, kernels::kFoldInputsMax> inputs;  // many buckets are small
  for (std::size_t k = 0; k < parts.size(); ++k) {
    const std::span<const std::byte> from = parts[k].payload;
    const Line at = line(codec, from.first(of.header));
    double base = static_cast<double>(at.low) * parts[k].multiplier;
    double step = at.step() * parts[k].multiplier;
    if (step >= kWholeStepMin) {
      base = to_nearest(base);
      step = to_nearest(step);
    }
    inputs[k] = {.codes = as_codes(from.subspan(of.header)).data(), .base = base, .unit = step};
  }
  kernels::fold_codes(of.bits, std::span(inputs).first(parts.size()), lane);
}

void OnALine::round_onto_line(const Codec& codec,
                              const Bucket& bucket,
                              const Keys& keys,
                              std::span<const float> x,
                              std::span<std::byte> to) const {
  const Form of = form(codec);
  const Line onto = line(codec, to.first(of.header));
  const double width = static_cast<double>(onto.high) - static_cast<double>(onto.low);
  const auto codes = scratch<std::uint8_t, Scratch::codes>(x.size());
  if (width > kWidthMin) {
    const auto per_step = static_cast<float>(static_cast<double>(onto.levels) / width);
    kernels::quantise_f32(x,
                          {onto.low, per_step, onto.levels},
                          {keys.device, bucket.number * bucket_elements(codec)},
                          codes);
  } else {
    std::fill(codes.begin(), codes.end(), std::uint8_t{0});
  }
  kernels::pack_codes(codes, of.bits, as_codes(to.subspan(of.header)));
}

}  // namespace chorus::codec
