// Codecs that send some elements and no others. Folding them touches those only.
#pragma once

#include "common/codec/method.hpp"

namespace chorus::codec {

/// The elements of a payload: indices ascending.
struct Chosen {
  std::vector<std::uint32_t> indices;
  std::vector<float> values;
};

class Sparse : public Method {
 public:
  std::uint64_t granule(const Codec& /*codec*/) const final { return 0; }
  Result<void> check(const Codec& codec,
                     std::uint64_t count,
                     std::span<const std::byte> payload,
                     float value_max) const final;
  void decode(const Codec& codec,
              std::span<const std::byte> payload,
              const Keys& keys,
              std::span<float> x) const final;
  void fold(const Codec& codec,
            std::uint64_t count,
            std::span<const FoldPart> parts,
            const Keys& keys,
            std::span<std::int64_t> lane) const final;

 protected:
  /// @errors shape_mismatch, malformed_message
  virtual Result<Chosen> read(const Codec& codec,
                              std::uint64_t count,
                              std::span<const std::byte> payload,
                              const Keys& keys) const = 0;
};

/// How many elements of `count` a density is: max(1, ⌈density·count⌉); 0 of none.
std::uint32_t kept_of(const Codec& codec, std::uint64_t count) noexcept;

/// The k elements of largest magnitude; of equal ones those of lower index.
/// @pre k <= x.size() < 2^32
Chosen largest(std::span<const float> x, std::size_t k);

}  // namespace chorus::codec
