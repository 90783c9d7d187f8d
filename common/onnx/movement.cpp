// Operators that only move values: reshape, transpose, slice, gather, split, concat.
#include <algorithm>
#include <fmt/format.h>
#include <limits>

#include "common/base/try.hpp"
#include "common/onnx/importer.hpp"

namespace chorus::onnx {
namespace {

std::int64_t count_of(const Sides& shape) {
  std::int64_t product = 1;
  for (const std::uint64_t side : shape) product *= static_cast<std::int64_t>(side);
  return product;
}

}  // namespace

// Whether the elements lie as in the step's output, whatever the shape.
bool Importer::in_order(const Flow& flow) const {
  const Sides& shape = steps_[flow.step]->shape;
  if (elements_of(flow.shape) != batch_ * count_of(shape)) return false;
  for (std::size_t i = 0; flow.order && i < flow.order->size(); ++i) {
    if ((*flow.order)[i] != static_cast<std::int64_t>(i)) return false;
  }
  return true;
}

bool Importer::is_plain(const Flow& flow) const {
  return flow.stage == Stage::none && flow.shape == shape_with_batch(steps_[flow.step]->shape) &&
         in_order(flow);
}

// Whether it is the step's output, batch included, with two of its three axes exchanged.
bool Importer::is_transposed(const Flow& flow, std::size_t a, std::size_t b) const {
  const Shape whole = shape_with_batch(steps_[flow.step]->shape);
  if (whole.size() != 3 || flow.shape.size() != 3) return false;
  std::vector<std::int64_t> axes{0, 1, 2};
  std::swap(axes[a], axes[b]);
  const auto turned = transposed(whole, axes);
  if (!turned || turned->shape != flow.shape) return false;
  for (std::size_t i = 0; i < turned->from.size(); ++i) {
    if (turned->from[i] != flow.place(i)) return false;
  }
  return true;
}

// If the value is the last of all steps of a recurrent layer that runs forwards only: the step that
// gives just that. Otherwise 0.
std::size_t Importer::last_step_of(const Flow& flow) const {
  const Step& all = *steps_[flow.step];
  if (all.ends == 0 || !flow.order || flow.stage != Stage::none) return 0;
  const Step& ends = *steps_[all.ends];
  const auto* lstm = std::get_if<Lstm>(&all.layer);
  const auto* gru = std::get_if<Gru>(&all.layer);
  const bool both = lstm != nullptr ? lstm->bidirectional : gru == nullptr || gru->bidirectional;
  if (both || flow.shape != shape_with_batch(ends.shape)) return 0;
  const auto steps = static_cast<std::int64_t>(all.shape[0]);
  const auto width = static_cast<std::int64_t>(all.shape[1]);
  for (std::int64_t i = 0; i < batch_ * width; ++i) {
    const std::int64_t last = (i / width * steps + steps - 1) * width + i % width;
    if (flow.place(static_cast<std::size_t>(i)) != last) return 0;
  }
  return all.ends;
}

// What a node reads: a value that is not under way, and by itself if it is a last step.
Result<Flow> Importer::value(const Node& node, std::size_t input) {
  CHORUS_TRY(Flow held, flow(node, input));
  if (held.stage != Stage::none) return unfinished(held);
  if (const std::size_t ends = last_step_of(held); ends != 0) {
    held.step = ends;
    held.order = nullptr;
  }
  return held;
}

// The step whose output is this value as it lies there, after a layer that moves it if need be.
Result<std::size_t> Importer::plain(const Flow& flow, const Node& node) {
  if (is_plain(flow)) return flow.step;
  if (const std::size_t ends = last_step_of(flow); ends != 0) return ends;
  const Sides& shape = step(flow.step).shape;
  if (in_order(flow) && !flow.shape.empty() && flow.shape.front() == batch_ &&
      flow.shape.size() > 1 && flow.shape.size() <= 4) {
    Sides sides;
    for (std::size_t i = 1; i < flow.shape.size(); ++i) {
      sides.push_back(static_cast<std::uint64_t>(flow.shape[i]));
    }
    const Layer layer = sides.size() == 1 ? Layer(Flatten{}) : Layer(Reshape{sides});
    return emit(layer, {flow.step}, sides, node);
  }
  if (is_transposed(flow, 1, 2)) {
    return emit(Transpose{}, {flow.step}, Sides{shape[1], shape[0]}, node);
  }
  return refuse(
      fmt::format("its input, {} out of {}, is an arrangement of values that no layer makes",
                  onnx::text_of(flow.shape),
                  onnx::text_of(shape_with_batch(shape))),
      "flatten, reshape and transposition of two axes are there; so is the last step of a "
      "recurrent layer that runs forwards");
}

Result<void> Importer::move(const Node& node, Result<Arrangement> by, std::size_t output) {
  CHORUS_TRY(Arrangement done, std::move(by));
  CHORUS_TRY(Flow moved, flow(node, 0));
  if (moved.stage != Stage::none && moved.stage != Stage::scaled) return unfinished(moved);
  if (moved.order) {
    for (auto& place : done.from) place = (*moved.order)[static_cast<std::size_t>(place)];
  }
  moved.shape = std::move(done.shape);
  moved.order = std::make_shared<const std::vector<std::int64_t>>(std::move(done.from));
  set(node, std::move(moved), output);
  return {};
}

void Importer::reshape_to(const Node& node, const Flow& from, Shape shape) {
  Flow result = from;
  result.shape = std::move(shape);
  set(node, std::move(result));
}

Result<void> Importer::identity(const Node& node) {
  CHORUS_TRY(const Flow held, flow(node, 0));
  set(node, held);
  return {};
}

Result<void> Importer::transpose(const Node& node) {
  CHORUS_TRY(Flow held, flow(node, 0));
  // An example reshaped to two dimensions and then turned is two layers.
  const bool two = held.shape.size() == 3 && held.shape[0] == batch_ && in_order(held);
  if (two && held.stage == Stage::none && !is_plain(held)) {
    CHORUS_TRY(held.step, plain(held, node));
    values_[node.inputs[0]] = held;
  }
  return move(node, transposed(held.shape, node.wholes("perm")));
}

Result<void> Importer::reshape(const Node& node) {
  CHORUS_TRY(const Flow held, flow(node, 0));
  CHORUS_TRY(const Constant asked, need_constant(node, 1, "the new shape"));
  if (held.stage != Stage::none && held.stage != Stage::scaled) return unfinished(held);
  CHORUS_TRY(Shape shape, reshaped(held.shape, asked->wholes, node.whole("allowzero", 0) != 0));
  reshape_to(node, held, std::move(shape));
  return {};
}

Result<void> Importer::flatten(const Node& node) {
  CHORUS_TRY(const Flow held, value(node, 0));
  const std::int64_t axis = node.whole("axis", 1);
  if (axis != 1) return refuse(fmt::format("axis {}", axis), "flatten from axis 1 on");
  reshape_to(node,
             held,
             {held.shape[0], elements_of(held.shape) / std::max<std::int64_t>(held.shape[0], 1)});
  return {};
}

// Of an attribute, or since opset 13 of an input.
Result<std::vector<std::int64_t>> Importer::axes_of(const Node& node, std::size_t input) {
  if (node.has("axes") || !node.gives(input)) return node.wholes("axes");
  CHORUS_TRY(const Constant axes, need_constant(node, input, "the list of axes"));
  return axes->wholes;
}

Result<void> Importer::squeeze(const Node& node) {
  CHORUS_TRY(const Flow held, flow(node, 0));
  CHORUS_TRY(const auto axes, axes_of(node, 1));
  CHORUS_TRY(Shape shape, squeezed(held.shape, axes));
  reshape_to(node, held, std::move(shape));
  return {};
}

Result<void> Importer::unsqueeze(const Node& node) {
  CHORUS_TRY(const Flow held, flow(node, 0));
  CHORUS_TRY(const auto axes, axes_of(node, 1));
  CHORUS_TRY(Shape shape, unsqueezed(held.shape, axes));
  reshape_to(node, held, std::move(shape));
  return {};
}

Result<void> Importer::slice(const Node& node) {
  CHORUS_TRY(const Flow held, flow(node, 0));
  std::vector<std::int64_t> starts = node.wholes("starts");
  std::vector<std::int64_t> ends = node.wholes("ends");
  std::vector<std::int64_t> axes = node.wholes("axes");
  std::vector<std::int64_t> steps;
  const std::pair<std::size_t, std::vector<std::int64_t>*> given[] = {
      {1, &starts}, {2, &ends}, {3, &axes}, {4, &steps}};
  for (const auto& [input, into] : given) {
    if (!node.gives(input)) continue;
    CHORUS_TRY(const Constant list, need_constant(node, input, "where it cuts"));
    *into = list->wholes;
  }
  if (starts.size() != 1 || ends.size() != 1 || axes.size() > 1 || steps.size() > 1) {
    return refuse("it cuts along several axes at once", "cut one axis at a time");
  }
  return move(
      node,
      sliced(held.shape,
             {axes.empty() ? 0 : axes[0], starts[0], ends[0], steps.empty() ? 1 : steps[0]}));
}

Result<void> Importer::split(const Node& node) {
  CHORUS_TRY(const Flow held, flow(node, 0));
  CHORUS_TRY(const std::size_t axis, axis_of(node.whole("axis", 0), held.shape.size()));
  std::vector<std::int64_t> sizes = node.wholes("split");
  if (node.gives(1)) {
    CHORUS_TRY(const Constant list, need_constant(node, 1, "the list of sizes"));
    sizes = list->wholes;
  }
  if (sizes.empty() && !node.outputs.empty()) {
    const auto parts = static_cast<std::int64_t>(node.outputs.size());
    const std::int64_t each = (held.shape[axis] + parts - 1) / parts;
    sizes.assign(node.outputs.size(), each);
  }
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < node.outputs.size() && i < sizes.size(); ++i) {
    const std::int64_t end = begin + std::clamp<std::int64_t>(sizes[i], 0, held.shape[axis]);
    CHORUS_OK(move(node, sliced(held.shape, {static_cast<std::int64_t>(axis), begin, end, 1}), i));
    begin = end;
  }
  return {};
}

Result<void> Importer::gather(const Node& node) {
  const std::int64_t axis = node.whole("axis", 0);
  if (const Constant table = constant(node, 0); table != nullptr) {
    CHORUS_TRY(const Flow indices, value(node, 1));
    const bool from_input = indices.step == 0 && is_plain(indices) && step(0).shape.size() == 1;
    if (axis != 0 || table->shape.size() != 2 || table->whole || !from_input) {
      return refuse("a table whose indices are not the model's input",
                    "the embedding must be the first layer");
    }
    Embedding embedding{"",
                        static_cast<std::uint64_t>(table->shape[0]),
                        static_cast<std::uint64_t>(table->shape[1])};
    const std::size_t made = emit(embedding, {0}, {step(0).shape[0], embedding.width}, node);
    step(made).tensors["weight"] = table->reals;
    step(made).name = name_for(node, {0});
    set(node,
        Flow{made, shape_with_batch(step(made).shape), nullptr, Stage::none, 1, 0, nullptr, ""});
    return {};
  }
  CHORUS_TRY(const Flow held, flow(node, 0));
  CHORUS_TRY(const Constant indices, need_constant(node, 1, "which part it takes"));
  if (held.stage == Stage::stack) {
    const auto parts = static_cast<std::int64_t>(held.parts->size());
    std::int64_t index = indices->size() == 1 ? indices->whole_at(0) : parts;
    if (index < 0) index += parts;
    if (axis != 0 || !indices->shape.empty() || index < 0 || index >= parts) {
      return refuse("it takes several of the states of stacked layers",
                    "take that of the last layer");
    }
    set(node, (*held.parts)[static_cast<std::size_t>(index)]);
    return {};
  }
  return move(node, gathered(held.shape, axis, *indices));
}

Result<void> Importer::concat(const Node& node) {
  std::vector<Flow> parts;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    CHORUS_TRY(Flow part, value(node, i));
    parts.push_back(std::move(part));
  }
  const Flow& first = parts.front();
  CHORUS_TRY(const std::size_t axis, axis_of(node.whole("axis", 0), first.shape.size()));
  const auto same_step = [&](const Flow& part) { return part.step == first.step; };
  if (std::all_of(parts.begin(), parts.end(), same_step)) {
    // Parts of one value put together again: places move, nothing else.
    std::vector<Tensor> places;
    std::vector<const Tensor*> pointers;
    for (const Flow& part : parts) {
      Tensor numbers{part.shape, true, {}, {}};
      const std::int64_t count = std::min(elements_of(part.shape), kFoldedElementsMax);
      for (std::int64_t i = 0; i < count; ++i) {
        numbers.wholes.push_back(part.place(static_cast<std::size_t>(i)));
      }
      places.push_back(std::move(numbers));
    }
    for (const Tensor& tensor : places) pointers.push_back(&tensor);
    CHORUS_TRY(Tensor all, joined(pointers, static_cast<std::int64_t>(axis)));
    Flow result = first;
    result.shape = all.shape;
    result.order = std::make_shared<const std::vector<std::int64_t>>(std::move(all.wholes));
    set(node, std::move(result));
    return {};
  }
  const bool states = axis == 0 && first.shape.size() == 3 && first.shape[0] <= 2 &&
                      first.shape[1] == batch_ && !is_plain(first);
  if (states) {  // (directions, batch, units) of each layer: PyTorch's h_n
    std::vector<Flow> rows;
    for (const Flow& part : parts) {
      for (std::int64_t i = 0; i < part.shape[0]; ++i) {
        Flow row = part;
        CHORUS_TRY(Arrangement taken, gathered(part.shape, 0, Tensor{{}, true, {}, {i}}));
        for (auto& place : taken.from) place = part.place(static_cast<std::size_t>(place));
        row.shape = std::move(taken.shape);
        row.order = std::make_shared<const std::vector<std::int64_t>>(std::move(taken.from));
        rows.push_back(std::move(row));
      }
    }
    Flow result = first;
    result.stage = Stage::stack;
    result.shape[0] = static_cast<std::int64_t>(rows.size());
    result.parts = std::make_shared<const std::vector<Flow>>(std::move(rows));
    set(node, std::move(result));
    return {};
  }
  if (axis != 1) {
    return refuse(fmt::format("it puts values together along axis {}", axis),
                  "put them together along axis 1, the channels");
  }
  CHORUS_TRY(std::size_t whole, plain(first, node));
  for (std::size_t i = 1; i < parts.size(); ++i) {
    CHORUS_TRY(const std::size_t part, plain(parts[i], node));
    Sides shape = step(whole).shape;
    const Sides& more = step(part).shape;
    if (more.size() != shape.size() ||
        !std::equal(shape.begin() + 1, shape.end(), more.begin() + 1)) {
      return refuse("its parts do not fit together");
    }
    shape[0] += more[0];
    whole = emit(Concat{}, {whole, part}, shape, node);
  }
  set(node,
      Flow{whole, shape_with_batch(step(whole).shape), nullptr, Stage::none, 1, 0, nullptr, ""});
  return {};
}

Result<void> Importer::pad(const Node& node) {
  CHORUS_TRY(const Flow held, flow(node, 0));
  std::vector<std::int64_t> pads = node.wholes("pads");
  if (node.gives(1)) {
    CHORUS_TRY(const Constant list, need_constant(node, 1, "the padding"));
    pads = list->wholes;
  }
  if (std::any_of(pads.begin(), pads.end(), [](std::int64_t side) { return side != 0; })) {
    return refuse("padding that is not part of a convolution or a pooling",
                  "give the convolution or pooling after it the padding");
  }
  set(node, held);
  return {};
}

}  // namespace chorus::onnx
