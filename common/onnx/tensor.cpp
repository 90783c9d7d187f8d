#include "common/onnx/tensor.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "common/base/try.hpp"

namespace chorus::onnx {
namespace {

Failure misfit(std::string why) {
  return fail(errc::unsupported_feature, std::move(why));
}

Result<std::int64_t> countable(const Shape& shape) {
  const std::int64_t count = elements_of(shape);
  if (count >= 0 && count <= kFoldedElementsMax) return count;
  return misfit(fmt::format("{} is more than {} elements, the most that can be followed here",
                            text_of(shape),
                            kFoldedElementsMax));
}

std::vector<std::int64_t> strides_of(const Shape& shape) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

// Walks a shape row-major, with a step of the operand's place for each axis.
Result<Arrangement> walk(Shape shape, std::int64_t origin, const std::vector<std::int64_t>& steps) {
  CHORUS_TRY(const std::int64_t count, countable(shape));
  Arrangement result{std::move(shape), {}};
  result.from.reserve(static_cast<std::size_t>(count));
  std::vector<std::int64_t> at(result.shape.size(), 0);
  std::int64_t place = origin;
  for (std::int64_t i = 0; i < count; ++i) {
    result.from.push_back(place);
    for (std::size_t axis = at.size(); axis-- > 0;) {
      place += steps[axis];
      if (++at[axis] < result.shape[axis]) break;
      place -= steps[axis] * result.shape[axis];
      at[axis] = 0;
    }
  }
  return result;
}

}  // namespace

bool Tensor::uniform() const {
  for (std::size_t i = 1; i < size(); ++i) {
    if (at(i) != at(0)) return false;
  }
  return true;
}

std::int64_t elements_of(const Shape& shape) noexcept {
  std::int64_t product = 1;
  for (const std::int64_t side : shape) {
    if (side < 0 || __builtin_mul_overflow(product, side, &product) || product > (1LL << 40)) {
      return -1;
    }
  }
  return product;
}

std::string text_of(const Shape& shape) {
  if (shape.empty()) return "a scalar";
  return fmt::format("{}", fmt::join(shape, "x"));
}

Result<std::size_t> axis_of(std::int64_t axis, std::size_t rank) {
  const auto sides = static_cast<std::int64_t>(rank);
  if (axis < -sides || axis >= sides) {
    return misfit(fmt::format("there is no axis {} among {}", axis, rank));
  }
  return static_cast<std::size_t>(axis < 0 ? axis + sides : axis);
}

Result<Arrangement> transposed(const Shape& shape, std::vector<std::int64_t> order) {
  if (order.empty()) {
    for (std::size_t i = shape.size(); i-- > 0;) order.push_back(static_cast<std::int64_t>(i));
  }
  std::vector<std::int64_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (sorted.size() != shape.size() || sorted[i] != static_cast<std::int64_t>(i)) {
      return misfit(fmt::format(
          "[{}] is no order of the axes of {}", fmt::join(order, ", "), text_of(shape)));
    }
  }
  const auto strides = strides_of(shape);
  Shape result;
  std::vector<std::int64_t> steps;
  for (const std::int64_t axis : order) {
    result.push_back(shape[static_cast<std::size_t>(axis)]);
    steps.push_back(strides[static_cast<std::size_t>(axis)]);
  }
  return walk(std::move(result), 0, steps);
}

Result<Arrangement> sliced(const Shape& shape, const Cut& cut) {
  CHORUS_TRY(const std::size_t axis, axis_of(cut.axis, shape.size()));
  const std::int64_t side = shape[axis];
  if (cut.step < 1 || cut.step > kFoldedElementsMax)
    return misfit(fmt::format("a slice with step {}", cut.step));
  const auto place = [side](std::int64_t at) {
    return std::clamp<std::int64_t>(at < 0 ? at + side : at, 0, side);
  };
  const std::int64_t begin = place(cut.begin);
  const std::int64_t length = std::max<std::int64_t>(place(cut.end) - begin, 0);
  Shape result = shape;
  result[axis] = length / cut.step + (length % cut.step != 0 ? 1 : 0);
  auto steps = strides_of(shape);
  const std::int64_t origin = begin * steps[axis];
  steps[axis] *= cut.step;
  return walk(std::move(result), origin, steps);
}

Result<Arrangement> gathered(const Shape& shape, std::int64_t axis, const Tensor& indices) {
  CHORUS_TRY(const std::size_t along, axis_of(axis, shape.size()));
  const std::int64_t side = shape[along];
  const std::int64_t inner =
      elements_of(Shape(shape.begin() + static_cast<std::ptrdiff_t>(along) + 1, shape.end()));
  const std::int64_t outer =
      elements_of(Shape(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(along)));
  Shape result(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(along));
  result.insert(result.end(), indices.shape.begin(), indices.shape.end());
  result.insert(result.end(), shape.begin() + static_cast<std::ptrdiff_t>(along) + 1, shape.end());
  CHORUS_TRY(const std::int64_t count, countable(result));
  Arrangement made{std::move(result), {}};
  made.from.reserve(static_cast<std::size_t>(count));
  for (std::int64_t before = 0; before < outer; ++before) {
    for (std::size_t i = 0; i < indices.size(); ++i) {
      std::int64_t index = indices.whole_at(i);
      if (index < 0) index += side;
      if (index < 0 || index >= side) {
        return misfit(fmt::format("index {} of an axis of {}", indices.whole_at(i), side));
      }
      for (std::int64_t k = 0; k < inner; ++k) {
        made.from.push_back((before * side + index) * inner + k);
      }
    }
  }
  return made;
}

Result<Arrangement> broadcast(const Shape& shape, const Shape& to) {
  if (shape.size() > to.size()) {
    return misfit(fmt::format("{} does not stretch to {}", text_of(shape), text_of(to)));
  }
  const auto strides = strides_of(shape);
  std::vector<std::int64_t> steps(to.size(), 0);
  const std::size_t shift = to.size() - shape.size();
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == to[shift + i]) {
      steps[shift + i] = strides[i];
    } else if (shape[i] != 1) {
      return misfit(fmt::format("{} does not stretch to {}", text_of(shape), text_of(to)));
    }
  }
  return walk(to, 0, steps);
}

Result<Shape> common_shape(const Shape& a, const Shape& b) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& other = a.size() >= b.size() ? b : a;
  Shape result = longer;
  const std::size_t shift = longer.size() - other.size();
  for (std::size_t i = 0; i < other.size(); ++i) {
    std::int64_t& side = result[shift + i];
    if (side == 1) {
      side = other[i];
    } else if (other[i] != 1 && other[i] != side) {
      return misfit(fmt::format("{} and {} do not fit together", text_of(a), text_of(b)));
    }
  }
  return result;
}

Result<Shape> reshaped(const Shape& shape, std::span<const std::int64_t> asked, bool zero_is_zero) {
  const std::int64_t count = elements_of(shape);
  Shape result;
  std::int64_t known = 1;
  std::ptrdiff_t open = -1;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    std::int64_t side = asked[i];
    if (side == 0 && !zero_is_zero && i < shape.size()) side = shape[i];
    if (side == -1 && open < 0) {
      open = static_cast<std::ptrdiff_t>(i);
      side = 1;
    }
    result.push_back(side);
    if (side < 1 || __builtin_mul_overflow(known, side, &known)) known = 0;
    if (known == 0) break;
  }
  if (open >= 0 && known > 0 && count % known == 0) {
    result[static_cast<std::size_t>(open)] = count / known;
    known = count;
  }
  if (known == count && count > 0 && result.size() == asked.size()) return result;
  return misfit(fmt::format("{} does not become [{}]", text_of(shape), fmt::join(asked, ", ")));
}

Result<Shape> squeezed(const Shape& shape, std::vector<std::int64_t> axes) {
  std::vector<bool> goes(shape.size(), false);
  for (const std::int64_t asked : axes) {
    CHORUS_TRY(const std::size_t axis, axis_of(asked, shape.size()));
    if (shape[axis] != 1) return misfit(fmt::format("axis {} of {}", asked, text_of(shape)));
    goes[axis] = true;
  }
  Shape result;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (axes.empty() ? shape[i] != 1 : !goes[i]) result.push_back(shape[i]);
  }
  return result;
}

Result<Shape> unsqueezed(const Shape& shape, std::vector<std::int64_t> axes) {
  const std::size_t rank = shape.size() + axes.size();
  if (rank > 16) return misfit(fmt::format("{} axes", rank));
  std::vector<bool> is_new(rank, false);
  for (const std::int64_t asked : axes) {
    CHORUS_TRY(const std::size_t axis, axis_of(asked, rank));
    if (is_new[axis]) return misfit(fmt::format("axis {} twice", asked));
    is_new[axis] = true;
  }
  Shape result;
  auto next = shape.begin();
  for (std::size_t i = 0; i < rank; ++i) result.push_back(is_new[i] ? 1 : *next++);
  return result;
}

Tensor arranged(const Tensor& tensor, const Arrangement& by) {
  Tensor result{by.shape, tensor.whole, {}, {}};
  if (tensor.whole) {
    for (const std::int64_t place : by.from) {
      result.wholes.push_back(tensor.wholes[static_cast<std::size_t>(place)]);
    }
  } else {
    for (const std::int64_t place : by.from) {
      result.reals.push_back(tensor.reals[static_cast<std::size_t>(place)]);
    }
  }
  return result;
}

Result<Tensor> joined(std::span<const Tensor* const> tensors, std::int64_t axis) {
  CHORUS_TRY(const std::size_t along, axis_of(axis, tensors.front()->shape.size()));
  Tensor result{tensors.front()->shape, tensors.front()->whole, {}, {}};
  result.shape[along] = 0;
  std::int64_t outer = 1;
  for (std::size_t i = 0; i < along; ++i) outer *= result.shape[i];
  for (const Tensor* tensor : tensors) {
    Shape others = tensor->shape;
    if (others.size() != result.shape.size()) return misfit("parts with different numbers of axes");
    result.shape[along] += others[along];
    others[along] = result.shape[along];
    if (others != result.shape || tensor->whole != result.whole) {
      return misfit("parts that do not fit together");
    }
  }
  CHORUS_OK(countable(result.shape));
  for (std::int64_t before = 0; before < outer; ++before) {
    for (const Tensor* tensor : tensors) {
      const auto run =
          static_cast<std::ptrdiff_t>(tensor->size()) / std::max<std::int64_t>(outer, 1);
      const auto begin = run * before;
      result.reals.insert(result.reals.end(),
                          tensor->reals.begin() + (tensor->whole ? 0 : begin),
                          tensor->reals.begin() + (tensor->whole ? 0 : begin + run));
      result.wholes.insert(result.wholes.end(),
                           tensor->wholes.begin() + (tensor->whole ? begin : 0),
                           tensor->wholes.begin() + (tensor->whole ? begin + run : 0));
    }
  }
  return result;
}

}  // namespace chorus::onnx
