// Codecs that treat buckets of neighbouring elements apart: a header each, then packed codes. What
// such a payload measures is known beforehand, and any bucket of it can be read by itself.
#pragma once

#include "chorus/kernels/codes.hpp"
#include "common/codec/method.hpp"

namespace chorus::codec {

class Bucketed : public Method {
 public:
  std::uint64_t bytes_max(const Codec& codec, std::uint64_t count) const final;
  std::uint64_t granule(const Codec& codec) const final { return bucket_elements(codec); }
  void encode(const Codec& codec,
              std::span<const float> x,
              const Keys& keys,
              std::vector<std::byte>& payload) const final;
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
  std::uint64_t lane_elements(const Codec& codec, std::uint64_t count) const final;
  void from_lane(const Codec& codec,
                 const Keys& keys,
                 std::span<float> mean,
                 std::span<float> x) const final;

  /// A payload's headers, one after the other, and its codes, a byte each.
  struct Pieces {
    std::vector<std::byte> headers;
    std::vector<std::uint8_t> codes;
  };
  /// Bits of a code.
  unsigned code_bits(const Codec& codec) const { return form(codec).bits; }
  /// As large as those of a payload of `count` elements.
  Pieces empty_pieces(const Codec& codec, std::uint64_t count) const;
  /// @pre codes of at most 8 bits; a payload of `count` elements
  Pieces taken_apart(const Codec& codec,
                     std::uint64_t count,
                     std::span<const std::byte> payload) const;
  /// The payload again. @pre as above; codes within their bits
  std::vector<std::byte> put_together(const Codec& codec,
                                      std::uint64_t count,
                                      const Pieces& pieces) const;

 protected:
  /// A bucket in a payload: `elements` of it, as `codes` codes.
  struct Bucket {
    std::uint64_t number = 0;
    std::size_t elements = 0;
    std::size_t codes = 0;
  };
  struct Form {
    std::size_t header = 0;  ///< bytes before the codes
    unsigned bits = 8;       ///< of a code
  };
  virtual Form form(const Codec& codec) const = 0;
  virtual std::uint64_t bucket_elements(const Codec& codec) const { return codec.bucket; }
  /// Codes of a bucket that is not whole.
  virtual std::size_t codes_of(std::size_t elements) const { return elements; }

  /// @param x  bucket.elements of them
  virtual void encode_bucket(const Codec& codec,
                             const Bucket& bucket,
                             const Keys& keys,
                             std::span<const float> x,
                             std::span<std::byte> to) const = 0;
  /// @errors as Method::check
  virtual Result<void> check_bucket(const Codec& codec,
                                    const Bucket& bucket,
                                    std::span<const std::byte> from,
                                    float value_max) const = 0;
  /// As a lane holds them: bucket.codes values.
  virtual void expand(const Codec& codec,
                      const Bucket& bucket,
                      std::span<const std::byte> from,
                      std::span<float> values) const = 0;
  /// Lane elements of a bucket become its values; by default they are.
  virtual void turn_back(const Keys& /*keys*/,
                         std::uint64_t /*bucket*/,
                         std::span<float> /*x*/) const {}
  /// Of one bucket. By default expand() and kernels::fold_f32.
  virtual void fold_bucket(const Codec& codec,
                           const Bucket& bucket,
                           std::span<const FoldPart> parts,
                           std::span<std::int64_t> lane) const;

  /// The bucket that begins at element `first` of `count`.
  Bucket bucket_at(const Codec& codec, std::uint64_t first, std::uint64_t count) const;
  std::size_t bytes_of(const Codec& codec, const Bucket& bucket) const;
};

/// Values on a line: low + step·code.
struct Line {
  float low = 0.0F;
  float high = 0.0F;  ///< the value of code `levels`
  std::uint32_t levels = 1;
  double step() const noexcept {
    return (static_cast<double>(high) - static_cast<double>(low)) / static_cast<double>(levels);
  }
};

/// Buckets whose header says two points of a line. What a lane adds for a code is
/// round(low·multiplier) + code·round(step·multiplier), an integer product, where a step is at
/// least 2^16 of the lane's units, and the rounded value where it is less.
class OnALine : public Bucketed {
 protected:
  virtual Line line(const Codec& codec, std::span<const std::byte> header) const = 0;
  Result<void> check_bucket(const Codec& codec,
                            const Bucket& bucket,
                            std::span<const std::byte> from,
                            float value_max) const final;
  void expand(const Codec& codec,
              const Bucket& bucket,
              std::span<const std::byte> from,
              std::span<float> values) const final;
  void fold_bucket(const Codec& codec,
                   const Bucket& bucket,
                   std::span<const FoldPart> parts,
                   std::span<std::int64_t> lane) const final;
  /// Stochastically rounds x onto the line that `to` has in its header, and packs the codes there.
  void round_onto_line(const Codec& codec,
                       const Bucket& bucket,
                       const Keys& keys,
                       std::span<const float> x,
                       std::span<std::byte> to) const;
};

/// "bucket 3 of the update: " and what.
Failure in_bucket(std::uint64_t number, errc code, const std::string& what);

}  // namespace chorus::codec
