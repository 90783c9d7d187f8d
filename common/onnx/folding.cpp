// Nodes whose operands are constants: sizes of reshapes, weights that the exporter left transposed,
// masks. What they compute is computed here, and they vanish.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "common/base/try.hpp"
#include "common/onnx/importer.hpp"

namespace chorus::onnx {
namespace {

Tensor wholes(std::vector<std::int64_t> values) {
  return {{static_cast<std::int64_t>(values.size())}, true, {}, std::move(values)};
}

Tensor as_reals(const Tensor& tensor) {
  Tensor result{tensor.shape, false, tensor.reals, {}};
  for (const std::int64_t value : tensor.wholes) result.reals.push_back(static_cast<float>(value));
  return result;
}

Tensor as_wholes(const Tensor& tensor) {
  Tensor result{tensor.shape, true, {}, tensor.wholes};
  for (std::size_t i = 0; i < tensor.reals.size(); ++i) result.wholes.push_back(tensor.whole_at(i));
  return result;
}

bool whole_result(const std::string& op, std::int64_t a, std::int64_t b, std::int64_t& result) {
  if (op == "Add") return !__builtin_add_overflow(a, b, &result);
  if (op == "Sub") return !__builtin_sub_overflow(a, b, &result);
  if (op == "Mul") return !__builtin_mul_overflow(a, b, &result);
  if (op != "Div" || b == 0 || b == -1) return false;
  result = a / b;
  return true;
}

double real_result(const std::string& op, double a, double b) {
  if (op == "Add") return a + b;
  if (op == "Sub") return a - b;
  if (op == "Mul") return a * b;
  if (op == "Div") return a / b;
  return std::pow(a, b);
}

bool is_arithmetic(const std::string& op) {
  return op == "Add" || op == "Sub" || op == "Mul" || op == "Div" || op == "Pow";
}

// The last two axes, zero below (or above) a diagonal.
Tensor triangle(const Tensor& tensor, bool upper, std::int64_t diagonal) {
  Tensor result = tensor;
  const std::int64_t columns = tensor.shape.back();
  const std::int64_t rows = tensor.shape[tensor.shape.size() - 2];
  for (std::size_t i = 0; i < tensor.size(); ++i) {
    const auto place = static_cast<std::int64_t>(i);
    const std::int64_t distance = place % columns - place / columns % rows;
    if (upper ? distance >= diagonal : distance <= diagonal) continue;
    if (tensor.whole) {
      result.wholes[i] = 0;
    } else {
      result.reals[i] = 0.0F;
    }
  }
  return result;
}

Tensor filled(const Shape& shape, const Tensor* value) {
  Tensor result{shape, value != nullptr && value->whole, {}, {}};
  const auto count = static_cast<std::size_t>(elements_of(shape));
  if (result.whole) {
    result.wholes.assign(count, value->wholes.front());
  } else {
    result.reals.assign(count, value == nullptr ? 0.0F : value->reals.front());
  }
  return result;
}

}  // namespace

void Importer::fold(const Node& node) {
  advice_.clear();
  auto result = folded(node);
  if (!result) {
    blame(node, result.error().detail, std::move(advice_));
    return;
  }
  set(node, std::make_shared<const Tensor>(std::move(*result)));
}

Result<Tensor> Importer::folded(const Node& node) {
  if (node.op == "Constant") {
    if (const Tensor* value = node.tensor("value")) return *value;
    if (node.has("value_int")) return Tensor{{}, true, {}, {node.whole("value_int", 0)}};
    if (node.has("value_float")) return Tensor{{}, false, {node.real("value_float", 0)}, {}};
    if (node.has("value_ints")) return wholes(node.wholes("value_ints"));
    return refuse("a constant that is no tensor of numbers");
  }
  if (is_arithmetic(node.op)) return fold_arithmetic(node);
  if (!node.gives(0)) return refuse("it computes without operands");
  const Constant first = constant(node, 0);
  if (node.op == "Identity" || node.op == "Dropout") return *first;
  if (node.op == "Cast") {
    const std::int64_t to = node.whole("to", 1);
    const bool whole = to == 6 || to == 7 || to == 9;
    return whole ? as_wholes(*first) : as_reals(*first);
  }
  if (node.op == "Shape") return wholes(first->shape);
  if (node.op == "ConstantOfShape") {
    const std::int64_t count = elements_of(first->wholes);
    if (count < 1 || count > kFoldedElementsMax)
      return refuse("a constant of a size beyond limits");
    const Tensor* value = node.tensor("value");
    if (value != nullptr && value->size() != 1) return refuse("a fill that is not one number");
    return filled(first->wholes, value);
  }
  if (node.op == "Trilu" && first->shape.size() >= 2) {
    const Constant diagonal = constant(node, 1);
    return triangle(*first,
                    node.whole("upper", 1) != 0,
                    diagonal != nullptr && diagonal->size() == 1 ? diagonal->whole_at(0) : 0);
  }
  if (node.op == "Sqrt") {
    Tensor result = as_reals(*first);
    for (float& value : result.reals) value = std::sqrt(value);
    return result;
  }
  if (node.op == "Floor" || node.op == "Ceil") {
    Tensor result = as_reals(*first);
    for (float& value : result.reals)
      value = node.op == "Floor" ? std::floor(value) : std::ceil(value);
    return result;
  }
  return fold_movement(node);
}

Result<Tensor> Importer::fold_arithmetic(const Node& node) {
  CHORUS_TRY(const Constant a, need_constant(node, 0, "its first operand"));
  CHORUS_TRY(const Constant b, need_constant(node, 1, "its second operand"));
  CHORUS_TRY(const Shape shape, common_shape(a->shape, b->shape));
  CHORUS_TRY(const Arrangement left, broadcast(a->shape, shape));
  CHORUS_TRY(const Arrangement right, broadcast(b->shape, shape));
  Tensor result{shape, a->whole && b->whole && node.op != "Pow", {}, {}};
  for (std::size_t i = 0; i < left.from.size(); ++i) {
    const auto x = static_cast<std::size_t>(left.from[i]);
    const auto y = static_cast<std::size_t>(right.from[i]);
    if (!result.whole) {
      result.reals.push_back(static_cast<float>(real_result(node.op, a->at(x), b->at(y))));
      continue;
    }
    std::int64_t number = 0;
    if (!whole_result(node.op, a->wholes[x], b->wholes[y], number)) {
      return refuse(fmt::format("{} and {} have no result", a->wholes[x], b->wholes[y]));
    }
    result.wholes.push_back(number);
  }
  return result;
}

Result<Tensor> Importer::fold_movement(const Node& node) {
  const Constant first = constant(node, 0);
  const auto list = [&](std::size_t input, std::string_view key) {
    const Constant given = constant(node, input);
    return given != nullptr ? given->wholes : node.wholes(key);
  };
  const auto with_shape = [&first](Shape shape) {
    Tensor result = *first;
    result.shape = std::move(shape);
    return result;
  };
  if (node.op == "Transpose") {
    CHORUS_TRY(const Arrangement by, transposed(first->shape, node.wholes("perm")));
    return arranged(*first, by);
  }
  if (node.op == "Gather" && node.gives(1)) {
    CHORUS_TRY(const Arrangement by,
               gathered(first->shape, node.whole("axis", 0), *constant(node, 1)));
    return arranged(*first, by);
  }
  if (node.op == "Slice") {
    const auto starts = list(1, "starts");
    const auto ends = list(2, "ends");
    auto axes = list(3, "axes");
    const auto steps = list(4, "steps");
    Tensor result = *first;
    for (std::size_t i = 0; i < starts.size() && i < ends.size(); ++i) {
      const std::int64_t axis = i < axes.size() ? axes[i] : static_cast<std::int64_t>(i);
      CHORUS_TRY(const Arrangement by,
                 sliced(result.shape, {axis, starts[i], ends[i], i < steps.size() ? steps[i] : 1}));
      result = arranged(result, by);
    }
    return result;
  }
  if (node.op == "Concat") {
    std::vector<const Tensor*> parts;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      CHORUS_TRY(const Constant part, need_constant(node, i, "a part"));
      parts.push_back(part.get());
    }
    return joined(parts, node.whole("axis", 0));
  }
  if (node.op == "Reshape") {
    const auto asked = list(1, "shape");
    CHORUS_TRY(Shape shape, reshaped(first->shape, asked, node.whole("allowzero", 0) != 0));
    return with_shape(std::move(shape));
  }
  if (node.op == "Unsqueeze") {
    CHORUS_TRY(Shape shape, unsqueezed(first->shape, list(1, "axes")));
    return with_shape(std::move(shape));
  }
  if (node.op == "Squeeze") {
    CHORUS_TRY(Shape shape, squeezed(first->shape, list(1, "axes")));
    return with_shape(std::move(shape));
  }
  if (node.op == "Expand" && node.gives(1)) {
    CHORUS_TRY(const Shape shape, common_shape(first->shape, constant(node, 1)->wholes));
    CHORUS_TRY(const Arrangement by, broadcast(first->shape, shape));
    return arranged(*first, by);
  }
  return refuse("it computes with constants in a way that is not known here",
                "let the exporter fold constants (do_constant_folding=True)");
}

// Sizes are known, so the shape of a value is a constant.
Result<void> Importer::shape_of(const Node& node) {
  CHORUS_TRY(const Flow held, flow(node, 0));
  const auto rank = static_cast<std::int64_t>(held.shape.size());
  std::int64_t begin = node.whole("start", 0);
  std::int64_t end = node.whole("end", rank);
  begin = std::clamp<std::int64_t>(begin < 0 ? begin + rank : begin, 0, rank);
  end = std::clamp<std::int64_t>(end < 0 ? end + rank : end, begin, rank);
  set(node,
      std::make_shared<const Tensor>(
          wholes({held.shape.begin() + begin, held.shape.begin() + end})));
  return {};
}

}  // namespace chorus::onnx
