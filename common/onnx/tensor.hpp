// Numbers inside an ONNX graph, and how their places move.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "chorus/result.hpp"

namespace chorus::onnx {

using Shape = std::vector<std::int64_t>;

/// Elements that one folded constant or one arrangement of values may have. Weights may be larger:
/// they are as large as the file says, and no larger than the file.
inline constexpr std::int64_t kFoldedElementsMax = 1 << 24;

/// A constant: either real or whole numbers.
struct Tensor {
  Shape shape;
  bool whole = false;
  std::vector<float> reals;
  std::vector<std::int64_t> wholes;

  std::size_t size() const noexcept { return whole ? wholes.size() : reals.size(); }
  double at(std::size_t i) const { return whole ? static_cast<double>(wholes[i]) : reals[i]; }
  std::int64_t whole_at(std::size_t i) const {
    if (whole) return wholes[i];
    return std::abs(reals[i]) < 1e18F ? static_cast<std::int64_t>(reals[i]) : 0;
  }
  /// All elements are the same; @pre not empty
  bool uniform() const;
};

/// The product, or -1 when a side is negative or the product beyond 2^40.
std::int64_t elements_of(const Shape& shape) noexcept;
/// "2x3x4"; "a scalar".
std::string text_of(const Shape& shape);

/// Where each element of a result comes from.
struct Arrangement {
  Shape shape;
  std::vector<std::int64_t> from;  ///< places in the operand, row-major
};
/// @errors unsupported_feature: arguments that do not fit, or more than kFoldedElementsMax elements
Result<Arrangement> transposed(const Shape& shape, std::vector<std::int64_t> order);
struct Cut {
  std::int64_t axis = 0;
  std::int64_t begin = 0;  ///< as in Python: negative counts from the end
  std::int64_t end = 0;
  std::int64_t step = 1;
};
Result<Arrangement> sliced(const Shape& shape, const Cut& cut);
/// Along `axis`, the parts whose numbers are in `indices`; the axis takes the shape of `indices`.
Result<Arrangement> gathered(const Shape& shape, std::int64_t axis, const Tensor& indices);
/// Stretched as NumPy would.
Result<Arrangement> broadcast(const Shape& shape, const Shape& to);
/// The shape both operands of an elementwise operation have in the end; empty optional: none.
Result<Shape> common_shape(const Shape& a, const Shape& b);

/// The shape that Reshape's argument asks for: 0 keeps a side, -1 is what is left.
Result<Shape> reshaped(const Shape& shape, std::span<const std::int64_t> asked, bool zero_is_zero);
/// Without the axes of size 1 (all when `axes` is empty), or with new ones.
Result<Shape> squeezed(const Shape& shape, std::vector<std::int64_t> axes);
Result<Shape> unsqueezed(const Shape& shape, std::vector<std::int64_t> axes);

/// 0 ≤ axis < rank, counted from the front. @errors unsupported_feature
Result<std::size_t> axis_of(std::int64_t axis, std::size_t rank);

Tensor arranged(const Tensor& tensor, const Arrangement& by);
/// One after the other along an axis.
Result<Tensor> joined(std::span<const Tensor* const> tensors, std::int64_t axis);

}  // namespace chorus::onnx
