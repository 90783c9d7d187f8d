// How an update is compressed on its way to the server; layouts and formulas: common/codec.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace chorus {

/// The numbers travel on the wire.
enum class CodecKind : std::uint8_t {
  f32 = 1,       ///< as it is
  f16 = 2,       ///< IEEE binary16, to nearest
  bf16 = 3,      ///< bfloat16, to nearest
  uniform = 4,   ///< levels between the bucket's least and largest element, stochastically rounded
  qsgd = 5,      ///< levels between ±norm of the bucket (Alistarh et al. 2017)
  sign = 6,      ///< ±mean magnitude of the bucket (EF-signSGD, Karimireddy et al. 2019); biased
  rotated = 7,   ///< randomised Hadamard, then Lloyd-Max codes: DRIVE and EDEN (Vargaftik et al.)
  top_k = 8,     ///< the largest elements (biased)
  random_k = 9,  ///< elements that a shared seed chooses, times 1 / density
  ternary = 10,  ///< ±mean of the largest elements, Golomb-coded (STC, Sattler et al. 2019); biased
  /// Two thin factors of the tensor's matrix (PowerSGD, Vogels et al. 2019); biased.
  low_rank = 11,
  /// One of the two factors, the other being the same for all devices of a round: PowerSGD's two
  /// steps, one in each round (as in ACP-SGD, Zhang et al. 2023); biased.
  subspace = 12,
};

/// What a bucket of qsgd is divided by.
enum class CodecNorm : std::uint8_t { l2 = 1, maximum = 2 };

/// A codec with its parameters. Only those that the kind names are looked at.
struct Codec {
  CodecKind kind = CodecKind::f32;
  std::uint32_t bits = 8;      ///< of an element: uniform 1..8, qsgd 2..8, rotated 1..4
  std::uint32_t bucket = 512;  ///< elements with a scale of their own (uniform, qsgd, sign), or
                               ///< rotated together: a power of two, 64..65536
  CodecNorm norm = CodecNorm::maximum;  ///< qsgd
  double density = 0.01;   ///< share of elements that is sent (top_k, random_k, ternary), (0, 1]
  std::uint32_t rank = 4;  ///< columns of each factor (low_rank, subspace), 1..32
  /// Of the matrix (low_rank, subspace): not to be set, the tensor's shape says it.
  std::uint32_t columns = 0;
  /// Which factor the devices share (subspace): not to be set, the round says it. False: that of
  /// the columns, and they send that of the rows.
  bool shares_rows = false;
  bool least_error = false;  ///< rotated: the scale of least error rather than the unbiased one
  bool entropy = false;      ///< the payload is compressed further: lossless with f32; pays most
                             ///< where most codes are 0, as qsgd's with the Euclidean norm
  bool operator==(const Codec&) const = default;
};

/// Tensors with a codec of their own.
struct TensorCodec {
  std::string tensors;  ///< a pattern of names: '*' any characters, '?' one
  Codec codec;
  bool operator==(const TensorCodec&) const = default;
};

/// What becomes of what a codec leaves out of an update.
enum class Feedback : std::uint8_t {
  none = 0,   ///< it is lost
  error = 1,  ///< the device keeps it and adds it to its next update: EF (Karimireddy et al. 2019)
  /// The device sends the difference to what it has sent so far, C(Δ − h), keeps h ← h + C(Δ − h),
  /// and the server goes on from the mean of all h: EF21 (Richtárik et al. 2021).
  difference = 2,
};

/// How the difference of models travels. Buffers (batch statistics) go as they are; tensors that
/// the plan does not train, or keeps on the device, are not sent and count as unchanged.
struct Compression {
  Codec codec{};
  std::vector<TensorCodec> tensors{};  ///< exceptions; the first that names a tensor counts
  Feedback feedback = Feedback::none;
  /// With Feedback::error, of codecs that send some elements only (top_k, ternary), [0, 1): what is
  /// sent is the running sum momentum · before + update, begun anew at the elements that were sent
  /// (momentum correction: Lin et al. 2018, "Deep gradient compression"). 0: the update.
  double momentum = 0.0;
  std::uint64_t since = 0;  ///< with Feedback::difference: the round in which this device's h was 0
  std::uint64_t seed = 0;   ///< of the round, the same for all devices: rotations, chosen elements
  std::uint32_t table = 0;  ///< number of the plan of codecs, which an update says it follows
  bool operator==(const Compression&) const = default;
};

}  // namespace chorus
