// LSTM and GRU: ONNX orders gates and axes in its own way.
//
//   LSTM   ONNX i o f c, PyTorch and here i f g o        GRU   ONNX z r h, here r z n
//
// ONNX keeps W (directions, gates·units, inputs), R (directions, gates·units, units) and
// B (directions, 2·gates·units), and values as (steps, batch, features). A stack is one node per
// level.
#include <fmt/format.h>

#include "common/base/try.hpp"
#include "common/onnx/importer.hpp"

namespace chorus::onnx {
namespace {

// One direction's rows, gates in our order.
std::vector<float> regrouped(const std::vector<float>& all,
                             std::size_t begin,
                             const std::vector<std::size_t>& gates,
                             std::size_t gate_size) {
  std::vector<float> result;
  result.reserve(gates.size() * gate_size);
  for (const std::size_t gate : gates) {
    const auto from = all.begin() + static_cast<std::ptrdiff_t>(begin + gate * gate_size);
    result.insert(result.end(), from, from + static_cast<std::ptrdiff_t>(gate_size));
  }
  return result;
}

// "weight_ih_l0_reverse" of the level below becomes "…_l1_…" here.
std::string at_level(std::string_view part, std::uint64_t direction, std::uint64_t level) {
  return fmt::format("{}_l{}{}", part, level, direction == 0 ? "" : "_reverse");
}

}  // namespace

Result<void> Importer::lstm(const Node& node) {
  return recurrent<Lstm>(node, {0, 2, 3, 1});
}

Result<void> Importer::gru(const Node& node) {
  if (node.whole("linear_before_reset", 0) == 0) {
    return refuse("a GRU that resets before its product",
                  "PyTorch's GRU (linear_before_reset = 1)");
  }
  return recurrent<Gru>(node, {1, 0, 2});
}

// Where (steps, batch, features) lies as (batch, steps, features).
Result<std::size_t> Importer::by_example(const Flow& flow, const Node& node) {
  if (is_transposed(flow, 0, 1)) return flow.step;
  auto turned = transposed(flow.shape, {1, 0, 2});
  if (turned && flow.shape.size() == 3 && flow.shape[1] == batch_) {
    Flow first = flow;
    first.shape = turned->shape;
    for (auto& place : turned->from) place = flow.place(static_cast<std::size_t>(place));
    first.order = std::make_shared<const std::vector<std::int64_t>>(std::move(turned->from));
    if (auto made = plain(first, node)) return made;
  }
  return refuse("its input is not (steps, batch, features) of an example's (steps, features)",
                "batch_first=True");
}

template <class Cell>
Result<void> Importer::recurrent(const Node& node, const std::vector<std::size_t>& gates) {
  CHORUS_TRY(const Flow held, value(node, 0));
  CHORUS_TRY(const Constant w, need_constant(node, 1, "its weight W"));
  CHORUS_TRY(const Constant r, need_constant(node, 2, "its weight R"));
  const bool both = node.text("direction", "forward") == "bidirectional";
  if (!both && node.text("direction", "forward") != "forward")
    return refuse("it runs backwards only");
  if (node.has("activations") || node.has("clip") || node.whole("layout", 0) != 0 ||
      node.gives(4)) {
    return refuse("activations, clipping, layout or lengths of its own", "PyTorch's defaults");
  }
  for (const std::size_t input : {5U, 6U}) {
    const Constant start = constant(node, input);
    const bool zero =
        start != nullptr && start->size() > 0 && start->uniform() && start->at(0) == 0;
    if (node.gives(input) && !zero) return refuse("a first state that is not zero");
  }
  if (node.gives(7)) return refuse("peepholes");
  const std::uint64_t directions = both ? 2 : 1;
  CHORUS_TRY(const std::size_t input, by_example(held, node));
  const Sides from = step(input).shape;
  const auto count = static_cast<std::int64_t>(gates.size());
  const std::int64_t units = r->shape.size() == 3 ? r->shape[2] : 0;
  const auto inputs = static_cast<std::int64_t>(from[1]);
  const Shape w_shape{static_cast<std::int64_t>(directions), count * units, inputs};
  const Shape r_shape{static_cast<std::int64_t>(directions), count * units, units};
  const Constant b = constant(node, 3);
  const Shape b_shape{static_cast<std::int64_t>(directions), 2 * count * units};
  if (units < 1 || w->shape != w_shape || r->shape != r_shape || w->whole || r->whole ||
      (node.gives(3) && (b == nullptr || b->shape != b_shape || b->whole))) {
    return refuse("its weights do not fit its input");
  }
  Cell cell{"", static_cast<std::uint64_t>(units), 1, both, true};
  const auto size = static_cast<std::size_t>(units);
  std::map<std::string, std::vector<float>> tensors;
  for (std::uint64_t direction = 0; direction < directions; ++direction) {
    const std::size_t rows = gates.size() * size;
    tensors[at_level("weight_ih", direction, 0)] =
        regrouped(w->reals, direction * rows * from[1], gates, size * from[1]);
    tensors[at_level("weight_hh", direction, 0)] =
        regrouped(r->reals, direction * rows * size, gates, size * size);
    const std::vector<float> none(2 * rows * directions, 0.0F);
    const std::vector<float>& bias = b == nullptr ? none : b->reals;
    tensors[at_level("bias_ih", direction, 0)] = regrouped(bias, direction * 2 * rows, gates, size);
    tensors[at_level("bias_hh", direction, 0)] =
        regrouped(bias, direction * 2 * rows + rows, gates, size);
  }
  const std::uint64_t width = directions * cell.units;
  const std::size_t all = emit(cell, {input}, {from[0], width}, node);
  step(all).tensors = std::move(tensors);
  step(all).name = name_for(node, {});
  CHORUS_OK(stack_up(step(all), cell));
  Cell last = std::get<Cell>(step(all).layer);
  last.sequence = false;
  const std::size_t ends = emit(last, step(all).inputs, {width}, node);
  step(ends).tensors = step(all).tensors;
  step(ends).name = step(all).name;
  step(all).ends = ends;
  // Y is (steps, directions, batch, units), Y_h (directions, batch, units).
  const std::int64_t ways = static_cast<std::int64_t>(directions);
  const Shape whole{batch_, static_cast<std::int64_t>(from[0]), ways, units};
  CHORUS_TRY(Arrangement steps, transposed(whole, {1, 2, 0, 3}));
  CHORUS_TRY(Arrangement states, transposed({batch_, ways, units}, {1, 0, 2}));
  const auto set_arranged = [&](std::size_t made, Arrangement by, std::size_t output) {
    Flow flow{made, std::move(by.shape), nullptr, Stage::none, 1, 0, nullptr, ""};
    flow.order = std::make_shared<const std::vector<std::int64_t>>(std::move(by.from));
    set(node, std::move(flow), output);
  };
  set_arranged(all, std::move(steps), 0);
  set_arranged(ends, std::move(states), 1);
  return {};
}

// A layer upon one of its kind is a level of the same layer: so PyTorch names it.
template <class Cell>
Result<void> Importer::stack_up(Step& upper, const Cell& cell) {
  const Step& lower = step(upper.inputs.front());
  const auto* below = std::get_if<Cell>(&lower.layer);
  if (below == nullptr || upper.inputs.front() == 0 || below->units != cell.units ||
      below->bidirectional != cell.bidirectional || lower.name != upper.name) {
    return {};
  }
  Cell taller = *below;
  taller.depth += 1;
  std::map<std::string, std::vector<float>> tensors = lower.tensors;
  for (auto& [name, values] : upper.tensors) {
    std::string higher = name;
    higher.replace(higher.find("_l0"), 3, fmt::format("_l{}", below->depth));
    tensors[higher] = std::move(values);
  }
  upper.layer = taller;
  upper.tensors = std::move(tensors);
  upper.inputs = lower.inputs;
  return {};
}

}  // namespace chorus::onnx
