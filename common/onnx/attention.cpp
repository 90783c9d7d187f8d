// Multi-head self-attention, which exporters write as projections, reshapes, transpositions, two
// products and a softmax. Whatever moves the values in between, what counts is which element of a
// projection meets which: that is what is compared here.
#include <cmath>
#include <fmt/format.h>

#include "common/base/try.hpp"
#include "common/onnx/importer.hpp"

namespace chorus::onnx {

// Which features of the projected value each head takes; nothing when positions are mixed up.
// @param turned  the last two axes are (width, steps) instead of (steps, width)
std::optional<Projection> Importer::projection(const Flow& flow,
                                               const Attention& of,
                                               bool turned) const {
  const Sides& sides = steps_[flow.step]->shape;
  const Step& dense = *steps_[flow.step];
  if (flow.step == 0 || sides.size() != 2 || !std::holds_alternative<Dense>(dense.layer) ||
      static_cast<std::int64_t>(sides[0]) != of.steps) {
    return {};
  }
  const auto features = static_cast<std::int64_t>(sides[1]);
  Projection result{flow.step, {}};
  const auto at = [&](std::int64_t batch, std::int64_t head, std::int64_t t, std::int64_t j) {
    const std::int64_t start = (batch * of.heads + head) * of.steps * of.width;
    const std::int64_t place = turned ? j * of.steps + t : t * of.width + j;
    return flow.place(static_cast<std::size_t>(start + place));
  };
  for (std::int64_t head = 0; head < of.heads; ++head) {
    for (std::int64_t j = 0; j < of.width; ++j) {
      const std::int64_t row = at(0, head, 0, j);
      if (row >= features) return {};
      result.rows.push_back(row);
      for (std::int64_t batch = 0; batch < batch_; ++batch) {
        for (std::int64_t t = 0; t < of.steps; ++t) {
          if (at(batch, head, t, j) != (batch * of.steps + t) * features + row) return {};
        }
      }
    }
  }
  return result;
}

Result<void> Importer::scores(const Node& node, const Flow& query, const Flow& key) {
  constexpr const char* kAdvice =
      "self-attention is understood when queries, keys and values are projections of one value by "
      "dense layers, and another projection follows";
  const std::size_t rank = query.shape.size();
  const bool ready = (query.stage == Stage::none || query.stage == Stage::scaled) &&
                     (key.stage == Stage::none || key.stage == Stage::scaled);
  if (!ready || rank < 3 || key.shape.size() != rank || query.shape[rank - 1] < 1 ||
      elements_of(query.shape) < 1) {
    return refuse("a product of two values", kAdvice);
  }
  Attention made;
  made.steps = query.shape[rank - 2];
  made.width = query.shape[rank - 1];
  made.heads = elements_of(query.shape) / (batch_ * made.steps * made.width);
  Shape expected = query.shape;
  std::swap(expected[rank - 1], expected[rank - 2]);
  if (made.heads < 1 || made.heads * batch_ * made.steps * made.width != elements_of(query.shape) ||
      key.shape != expected) {
    return refuse("a product of two values", kAdvice);
  }
  const auto queries = projection(query, made, false);
  const auto keys = projection(key, made, true);
  if (!queries || !keys)
    return refuse("a product of two values that are not queries and keys", kAdvice);
  made.query = *queries;
  made.key = *keys;
  attentions_.push_back(std::move(made));
  Flow result = query;
  result.stage = Stage::scores;
  result.number = (query.stage == Stage::scaled ? query.number : 1.0) *
                  (key.stage == Stage::scaled ? key.number : 1.0);
  result.record = attentions_.size() - 1;
  result.shape[rank - 1] = result.shape[rank - 2];
  result.order = nullptr;
  set(node, std::move(result));
  return {};
}

// A constant that is added to the scores: nothing, or minus a lot for the steps that come later.
Result<void> Importer::mask(const Node& node, Flow scores, const Tensor& constant) {
  Attention& attention = attentions_[scores.record];
  const std::int64_t steps = attention.steps;
  if (constant.whole || static_cast<std::int64_t>(constant.size()) != steps * steps) {
    return refuse("a mask that is not (steps, steps)", "only the mask of the future is known");
  }
  bool causal = true;
  bool empty = true;
  for (std::int64_t i = 0; i < steps * steps; ++i) {
    const float value = constant.reals[static_cast<std::size_t>(i)];
    const bool future = i % steps > i / steps;
    causal = causal && (future ? value <= -1e4F : value == 0.0F);
    empty = empty && value == 0.0F;
  }
  if (!causal && !empty) return refuse("a mask other than that of the future");
  attention.causal = causal;
  set(node, std::move(scores));
  return {};
}

// Shares · V: the heads' values, mixed. What follows must be the last projection.
Result<void> Importer::mixture(const Node& node, const Flow& shares, const Flow& values) {
  const Attention& of = attentions_[shares.record];
  Shape expected = shares.shape;
  expected.back() = of.width;
  const auto taken = values.stage == Stage::none && values.shape == expected
                         ? projection(values, of, false)
                         : std::nullopt;
  if (!taken) return refuse("attention whose values are not a projection like its queries");
  const std::size_t input = step(of.query.step).inputs.front();
  const auto features = static_cast<std::uint64_t>(of.heads * of.width);
  const Sides shape{static_cast<std::uint64_t>(of.steps), features};
  if (step(input).shape != shape || step(of.key.step).inputs.front() != input ||
      step(taken->step).inputs.front() != input) {
    return refuse(
        fmt::format("attention over {} features in heads of {} in all; queries, keys and "
                    "values must be as wide as their common input",
                    step(input).shape.back(),
                    features));
  }
  const std::size_t core = emit(
      SelfAttention{"", static_cast<std::uint64_t>(of.heads), of.causal}, {input}, shape, node);
  step(core).open = true;
  step(core).name = name_for(node, {});
  auto& weight = step(core).tensors["in_proj_weight"];
  auto& bias = step(core).tensors["in_proj_bias"];
  for (const Projection* part : {&of.query, &of.key, &*taken}) {
    const auto& tensors = step(part->step).tensors;
    const auto found = tensors.find("bias");
    for (const std::int64_t row : part->rows) {
      const auto from = tensors.at("weight").begin() + row * static_cast<std::int64_t>(features);
      weight.insert(weight.end(), from, from + static_cast<std::ptrdiff_t>(features));
      bias.push_back(found == tensors.end() ? 0.0F : found->second[static_cast<std::size_t>(row)]);
    }
  }
  // (…, heads, steps, width) of what lies as (steps, heads · width).
  CHORUS_TRY(Arrangement turned, transposed({batch_, of.steps, of.heads, of.width}, {0, 2, 1, 3}));
  Flow result{core, expected, nullptr, Stage::none, 1, 0, nullptr, ""};
  result.order = std::make_shared<const std::vector<std::int64_t>>(std::move(turned.from));
  set(node, std::move(result));
  return {};
}

// The projection after an attention is part of it.
std::optional<std::size_t> Importer::close_attention(const Node& node,
                                                     std::size_t core,
                                                     const Tensor& weight,
                                                     const Constant& bias) {
  const Step& open = step(core);
  const auto features = static_cast<std::int64_t>(open.shape.back());
  if (!open.open || weight.shape != Shape{features, features}) return {};
  const std::size_t made = emit(open.layer, open.inputs, open.shape, node);
  step(made).tensors = step(core).tensors;
  step(made).name = step(core).name;
  step(made).tensors["out_proj.weight"] = weight.reals;
  step(made).tensors["out_proj.bias"] =
      bias != nullptr ? bias->reals : std::vector<float>(open.shape.back(), 0.0F);
  return made;
}

}  // namespace chorus::onnx
