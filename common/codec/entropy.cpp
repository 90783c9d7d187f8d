// Another codec's payload, with fewer bits for what comes often.
//
//   payload   u64: bytes of the other's payload, in the highest byte how it follows; then it
//   1 stored  as it is: the other ways would not be shorter
//   2 zstd    elements of 2 or 4 bytes byte by byte, all first ones, all second ones, …, so that
//             signs and exponents, which are alike, lie together
//   3 rANS    for buckets of codes: their headers; u16 how often each of the 2^bits codes comes, in
//             4096 parts; then the state and the bytes of rans.hpp
//   error     the other's
#include <algorithm>
#include <numeric>
#include <string>
#include <zstd.h>

#include "common/base/assert.hpp"
#include "common/base/try.hpp"
#include "common/codec/bucketed.hpp"
#include "common/codec/bytes.hpp"
#include "common/codec/methods.hpp"
#include "common/codec/names.hpp"
#include "common/codec/rans.hpp"

namespace chorus::codec {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kHeader = 8;
constexpr unsigned kCodingShift = 56;
constexpr std::uint64_t kStored = 1;
constexpr std::uint64_t kZstd = 2;
constexpr std::uint64_t kRans = 3;
constexpr int kLevel = 1;

/// The codec's codes, if it has any.
const Bucketed* coded(const Codec& codec) {
  switch (codec.kind) {
    case CodecKind::uniform:
      return &uniform();
    case CodecKind::qsgd:
      return &qsgd();
    case CodecKind::sign:
      return &sign();
    case CodecKind::rotated:
      return &rotated();
    default:
      return nullptr;
  }
}

std::size_t width_of(const Codec& codec) {
  if (codec.kind == CodecKind::f32 || is_matrix(codec)) return 4;
  return codec.kind == CodecKind::f16 || codec.kind == CodecKind::bf16 ? 2 : 1;
}

// Element by element to byte by byte, or back.
Bytes laid_out(const Bytes& bytes, std::size_t width, bool by_byte) {
  const std::size_t count = bytes.size() / width;
  Bytes out(bytes.size());
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t b = 0; b < width; ++b) {
      const std::size_t element = i * width + b;
      const std::size_t byte = b * count + i;
      out[by_byte ? byte : element] = bytes[by_byte ? element : byte];
    }
  }
  return out;
}

Bytes with_zstd(const Codec& codec, const Bytes& plain) {
  const Bytes from = width_of(codec) > 1 ? laid_out(plain, width_of(codec), true) : plain;
  Bytes packed(ZSTD_compressBound(from.size()));
  const std::size_t size =
      ZSTD_compress(packed.data(), packed.size(), from.data(), from.size(), kLevel);
  CHORUS_ASSERT(ZSTD_isError(size) == 0);
  packed.resize(size);
  return packed;
}

Bytes with_rans(const Bucketed& method,
                const Codec& codec,
                std::uint64_t count,
                const Bytes& plain) {
  Bucketed::Pieces pieces = method.taken_apart(codec, count, plain);
  Bytes packed = std::move(pieces.headers);
  const std::size_t alphabet = std::size_t{1} << method.code_bits(codec);
  const Frequencies frequencies = frequencies_of(pieces.codes, alphabet);
  for (std::size_t s = 0; s < alphabet; ++s) append(packed, frequencies.of.at(s));
  rans_encode(pieces.codes, frequencies, packed);
  return packed;
}

Failure broken(std::size_t bytes, const std::string& why) {
  return fail(errc::malformed_message,
              "a payload that does not become the " + std::to_string(bytes) +
                  " bytes it announces: " + why);
}

Result<Bytes> from_zstd(const Codec& codec, std::size_t bytes, std::span<const std::byte> from) {
  Bytes plain(bytes);
  const std::size_t size = ZSTD_decompress(plain.data(), plain.size(), from.data(), from.size());
  if (ZSTD_isError(size) != 0) return broken(bytes, ZSTD_getErrorName(size));
  if (size != bytes) return broken(bytes, std::to_string(size) + " bytes came");
  return width_of(codec) > 1 ? laid_out(plain, width_of(codec), false) : plain;
}

Result<Bytes> from_rans(const Bucketed& method,
                        const Codec& codec,
                        std::uint64_t count,
                        std::span<const std::byte> from) {
  const std::uint64_t bytes = method.bytes_max(codec, count);
  Bucketed::Pieces pieces = method.empty_pieces(codec, count);
  const std::size_t alphabet = std::size_t{1} << method.code_bits(codec);
  const std::size_t table = 2 * alphabet;
  if (from.size() < pieces.headers.size() + table) {
    return broken(static_cast<std::size_t>(bytes), "it ends among its headers");
  }
  std::copy_n(from.begin(), pieces.headers.size(), pieces.headers.begin());
  from = from.subspan(pieces.headers.size());
  Frequencies frequencies;
  load_all(from, std::span(frequencies.of).first(alphabet));
  const auto sum = std::accumulate(frequencies.of.begin(), frequencies.of.end(), 0U);
  if (sum != 1U << frequencies.bits) {
    return broken(static_cast<std::size_t>(bytes),
                  "the frequencies of its codes add up to " + std::to_string(sum) + ", not 4096");
  }
  if (!rans_decode(from.subspan(table), frequencies, pieces.codes)) {
    return broken(static_cast<std::size_t>(bytes), "the codes end too early or too late");
  }
  return method.put_together(codec, count, pieces);
}

class Entropy final : public Method {
  static const Method& inner(const Codec& codec) { return without_entropy(codec.kind); }

  std::uint64_t bytes_max(const Codec& codec, std::uint64_t count) const final {
    return kHeader + inner(codec).bytes_max(codec, count);
  }
  std::uint64_t granule(const Codec& /*codec*/) const final { return 0; }
  std::uint64_t lane_elements(const Codec& codec, std::uint64_t count) const final {
    return inner(codec).lane_elements(codec, count);
  }
  double lane_value_max(const Codec& codec, std::uint64_t count, double value_max) const final {
    return inner(codec).lane_value_max(codec, count, value_max);
  }
  bool lane_is_turned(const Codec& codec) const final { return inner(codec).lane_is_turned(codec); }
  void from_lane(const Codec& codec,
                 const Keys& keys,
                 std::span<float> mean,
                 std::span<float> x) const final {
    inner(codec).from_lane(codec, keys, mean, x);
  }

  void encode(const Codec& codec,
              std::span<const float> x,
              const Keys& keys,
              Bytes& payload) const final {
    Bytes plain;
    inner(codec).encode(codec, x, keys, plain);
    const Bucketed* const codes = coded(codec);
    std::uint64_t coding = codes != nullptr ? kRans : kZstd;
    Bytes packed;
    if (!x.empty()) {
      packed =
          codes != nullptr ? with_rans(*codes, codec, x.size(), plain) : with_zstd(codec, plain);
    }
    if (x.empty() || packed.size() >= plain.size()) {
      coding = kStored;
      packed = plain;
    }
    append(payload, (coding << kCodingShift) | std::uint64_t{plain.size()});
    payload.insert(payload.end(), packed.begin(), packed.end());
  }

  static Result<Bytes> open(const Codec& codec,
                            std::uint64_t count,
                            std::span<const std::byte> payload) {
    const std::uint64_t most = inner(codec).bytes_max(codec, count);
    if (payload.size() < kHeader) {
      return fail(errc::shape_mismatch,
                  "a payload of " + std::to_string(payload.size()) + " bytes has no header");
    }
    const auto header = load<std::uint64_t>(payload, 0);
    const std::uint64_t coding = header >> kCodingShift;
    const std::uint64_t bytes = header & ((std::uint64_t{1} << kCodingShift) - 1);
    const std::span<const std::byte> from = payload.subspan(kHeader);
    if (bytes > most || (coding == kStored && from.size() != bytes)) {
      return fail(errc::shape_mismatch,
                  "a payload of " + std::to_string(from.size()) + " bytes that announces " +
                      std::to_string(bytes) + "; " + std::to_string(count) +
                      " elements take at most " + std::to_string(most));
    }
    const Bucketed* const codes = coded(codec);
    if (coding == kStored) return Bytes(from.begin(), from.end());
    if (coding == kRans && codes != nullptr && bytes == most) {
      return from_rans(*codes, codec, count, from);
    }
    if (coding == kZstd && codes == nullptr) {
      return from_zstd(codec, static_cast<std::size_t>(bytes), from);
    }
    return fail(errc::malformed_message,
                "a payload in coding " + std::to_string(coding) + " that announces " +
                    std::to_string(bytes) +
                    " bytes; there are stored (1), zstd (2) and, for buckets of codes, rANS (3)");
  }

  Result<void> check(const Codec& codec,
                     std::uint64_t count,
                     std::span<const std::byte> payload,
                     float value_max) const final {
    CHORUS_TRY(const Bytes plain, open(codec, count, payload));
    return inner(codec).check(codec, count, plain, value_max);
  }

  void decode(const Codec& codec,
              std::span<const std::byte> payload,
              const Keys& keys,
              std::span<float> x) const final {
    inner(codec).decode(codec, open(codec, x.size(), payload).value(), keys, x);
  }

  void fold(const Codec& codec,
            std::uint64_t count,
            std::span<const FoldPart> parts,
            const Keys& keys,
            std::span<std::int64_t> lane) const final {
    std::vector<Bytes> opened;
    std::vector<FoldPart> plain;
    opened.reserve(parts.size());
    for (const FoldPart& part : parts) {
      opened.push_back(open(codec, count, part.payload).value());
      plain.push_back({opened.back(), part.multiplier});
    }
    inner(codec).fold(codec, count, plain, keys, lane);
  }
};

}  // namespace

const Method& entropy() {
  static const Entropy method;
  return method;
}

}  // namespace chorus::codec
