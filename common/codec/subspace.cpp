// One of two thin factors of a matrix: its coordinates along directions that all devices of a round
// share (basis.hpp), so that a sum of payloads is the payload of the sum.
//
//   matrix    M, rows × columns: a tensor by its first dimension, or some rows of it
//   basis     V, orthonormal: f32[r][columns] in one round, f32[rows][r] in the next; random first
//   payload   f32 M·Vᵀ, [rows][r]; or Vᵀ·M, [r][columns]; M as it is if a dimension is r or less
//   value     (M·Vᵀ)·V, or V·(Vᵀ·M): the nearest to M with rows, or columns, in the span of V
//   lane      holds payloads; the mean is multiplied by V once for all updates. Made orthonormal it
//             is the next round's basis: over the rounds this is subspace iteration, whose span
//             becomes that of the largest singular vectors of what the devices learn in common
//   error     biased, to be used with error feedback: ‖M‖² − ‖M·Vᵀ‖²; (1 − r/columns)·‖M‖² on
//             average with the first round's V, and with a V that has converged the sum of the
//             squares of all but the r largest singular values (Eckart, Young 1936)
//   source    Vogels et al. 2019, "PowerSGD: practical low-rank gradient compression for
//             distributed optimization", whose two steps each wait for all devices; one in each
//             round: Zhang et al. 2023, "Evaluation and optimization of gradient compression for
//             distributed deep learning" (ACP-SGD)
#include <algorithm>
#include <cmath>
#include <limits>

#include "chorus/kernels/kernels.hpp"
#include "common/base/assert.hpp"
#include "common/codec/basis.hpp"
#include "common/codec/bytes.hpp"
#include "common/codec/matrix.hpp"
#include "common/codec/methods.hpp"

namespace chorus::codec {
namespace {

/// With the basis in its place.
Factors with_basis(const Codec& codec, std::uint64_t count, const Keys& keys) {
  const MatrixShape shape(codec, count);
  Factors factors;
  auto& own = codec.shares_rows ? factors.p : factors.r;
  auto& sent = codec.shares_rows ? factors.r : factors.p;
  if (keys.basis.empty()) {
    own = drawn_basis(codec, count, keys.round);
  } else {
    own.assign(keys.basis.begin(), keys.basis.end());
  }
  CHORUS_ASSERT(own.size() == basis_elements(codec, count));
  sent.resize(shape.rank * (codec.shares_rows ? shape.columns : shape.rows));
  return factors;
}

/// Of so many elements of magnitude 1, as float32 sums have it: a coordinate is at most that.
double largest_norm(std::size_t length) {
  const auto elements = static_cast<double>(length);
  return std::sqrt(elements) * (1.0 + 0x1.0p-16 + elements * 0x1.0p-23);
}

class Subspace final : public Method {
  std::uint64_t bytes_max(const Codec& codec, std::uint64_t count) const final {
    return sizeof(float) * lane_elements(codec, count);
  }
  std::uint64_t granule(const Codec& /*codec*/) const final { return 0; }

  std::uint64_t lane_elements(const Codec& codec, std::uint64_t count) const final {
    if (basis_elements(codec, count) == 0) return count;
    const MatrixShape shape(codec, count);
    return std::uint64_t{shape.rank} * (codec.shares_rows ? shape.columns : shape.rows);
  }
  bool lane_is_turned(const Codec& codec) const final { return codec.columns != 0; }
  // Of the longer side, so that sums have room in all rounds.
  double lane_value_max(const Codec& codec, std::uint64_t count, double value_max) const final {
    if (basis_elements(codec, count) == 0) return value_max;
    const MatrixShape shape(codec, count);
    return value_max * largest_norm(std::max(shape.rows, shape.columns));
  }

  void encode(const Codec& codec,
              std::span<const float> x,
              const Keys& keys,
              std::vector<std::byte>& payload) const final {
    if (basis_elements(codec, x.size()) == 0) return f32().encode({}, x, keys, payload);
    const MatrixShape shape(codec, x.size());
    Factors factors = with_basis(codec, x.size(), keys);
    if (codec.shares_rows) {
      set_right(shape, x, factors);
    } else {
      set_left(shape, x, factors);
    }
    const auto bytes = std::as_bytes(std::span(codec.shares_rows ? factors.r : factors.p));
    payload.insert(payload.end(), bytes.begin(), bytes.end());
  }

  Result<void> check(const Codec& codec,
                     std::uint64_t count,
                     std::span<const std::byte> payload,
                     float value_max) const final {
    double most = value_max;
    if (basis_elements(codec, count) > 0) {
      const MatrixShape shape(codec, count);
      most *= largest_norm(codec.shares_rows ? shape.rows : shape.columns);
    }
    most = std::min<double>(most, std::numeric_limits<float>::max());
    return f32().check({}, lane_elements(codec, count), payload, static_cast<float>(most));
  }

  void decode(const Codec& codec,
              std::span<const std::byte> payload,
              const Keys& keys,
              std::span<float> x) const final {
    std::vector<float> sent(static_cast<std::size_t>(lane_elements(codec, x.size())));
    load_all(payload, std::span(sent));
    from_lane(codec, keys, sent, x);
  }

  void fold(const Codec& codec,
            std::uint64_t count,
            std::span<const FoldPart> parts,
            const Keys& keys,
            std::span<std::int64_t> lane) const final {
    f32().fold({}, lane_elements(codec, count), parts, keys, lane);
  }

  void from_lane(const Codec& codec,
                 const Keys& keys,
                 std::span<float> mean,
                 std::span<float> x) const final {
    if (basis_elements(codec, x.size()) == 0) {
      std::copy(mean.begin(), mean.end(), x.begin());
      return;
    }
    Factors factors = with_basis(codec, x.size(), keys);
    auto& sent = codec.shares_rows ? factors.r : factors.p;
    std::copy(mean.begin(), mean.end(), sent.begin());
    multiply(MatrixShape(codec, x.size()), factors, 0, x);
  }
};

}  // namespace

const Method& subspace() {
  static const Subspace method;
  return method;
}

}  // namespace chorus::codec
