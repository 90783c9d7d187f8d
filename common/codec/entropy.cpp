// Another codec's payload, compressed by zstd.
//
//   payload   u32: bytes of the other's payload, the highest bit set if they follow as they are
//             (they would not become fewer); then the bytes
//   before    elements of 2 or 4 bytes are laid out byte by byte: all first ones, all second ones,
//   …
//             so that signs and exponents, which are alike, lie together
//   error     the other's
#include <string>
#include <zstd.h>

#include "common/base/assert.hpp"
#include "common/base/try.hpp"
#include "common/codec/bytes.hpp"
#include "common/codec/methods.hpp"

namespace chorus::codec {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kHeader = 4;
constexpr std::uint32_t kStored = 0x80000000U;
constexpr int kLevel = 1;

std::size_t width_of(const Codec& codec) {
  switch (codec.kind) {
    case CodecKind::f32:
      return 4;
    case CodecKind::f16:
    case CodecKind::bf16:
      return 2;
    default:
      return 1;
  }
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

class Entropy final : public Method {
  static const Method& inner(const Codec& codec) { return without_entropy(codec.kind); }

  std::uint64_t bytes_max(const Codec& codec, std::uint64_t count) const final {
    return kHeader + inner(codec).bytes_max(codec, count);
  }
  std::uint64_t granule(const Codec& codec) const final {
    static_cast<void>(codec);
    return 0;
  }
  std::uint64_t lane_elements(const Codec& codec, std::uint64_t count) const final {
    return inner(codec).lane_elements(codec, count);
  }
  double lane_value_max(const Codec& codec, double value_max) const final {
    return inner(codec).lane_value_max(codec, value_max);
  }
  void from_lane(const Codec& codec, const Keys& keys, std::span<float> x) const final {
    inner(codec).from_lane(codec, keys, x);
  }

  void encode(const Codec& codec,
              std::span<const float> x,
              const Keys& keys,
              Bytes& payload) const final {
    Bytes plain;
    inner(codec).encode(codec, x, keys, plain);
    CHORUS_ASSERT(plain.size() < kStored);
    if (width_of(codec) > 1) plain = laid_out(plain, width_of(codec), true);
    Bytes packed(ZSTD_compressBound(plain.size()));
    const std::size_t size =
        ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), kLevel);
    const auto bytes = static_cast<std::uint32_t>(plain.size());
    const bool stored = ZSTD_isError(size) != 0 || size >= plain.size();
    append(payload, stored ? bytes | kStored : bytes);
    const Bytes& from = stored ? plain : packed;
    const auto length = static_cast<std::ptrdiff_t>(stored ? plain.size() : size);
    payload.insert(payload.end(), from.begin(), from.begin() + length);
  }

  static Result<Bytes> open(const Codec& codec,
                            std::uint64_t count,
                            std::span<const std::byte> payload) {
    const std::uint64_t most = inner(codec).bytes_max(codec, count);
    if (payload.size() < kHeader) {
      return fail(errc::shape_mismatch,
                  "a payload of " + std::to_string(payload.size()) + " bytes has no header");
    }
    const auto header = load<std::uint32_t>(payload, 0);
    const std::size_t bytes = header & ~kStored;
    const std::span<const std::byte> from = payload.subspan(kHeader);
    if (bytes > most || ((header & kStored) != 0 && from.size() != bytes)) {
      return fail(errc::shape_mismatch,
                  "a payload of " + std::to_string(from.size()) + " bytes that announces " +
                      std::to_string(bytes) + "; " + std::to_string(count) +
                      " elements take at most " + std::to_string(most));
    }
    Bytes plain(bytes);
    if ((header & kStored) != 0) {
      std::copy(from.begin(), from.end(), plain.begin());
    } else {
      const std::size_t size =
          ZSTD_decompress(plain.data(), plain.size(), from.data(), from.size());
      if (ZSTD_isError(size) != 0 || size != bytes) {
        return fail(
            errc::malformed_message,
            "a payload that does not decompress to the " + std::to_string(bytes) +
                " bytes it announces" +
                (ZSTD_isError(size) != 0 ? std::string(": ") + ZSTD_getErrorName(size) : ""));
      }
    }
    return width_of(codec) > 1 ? laid_out(plain, width_of(codec), false) : plain;
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
