// Which layers fit each other, and the shapes between them.
#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>
#include <type_traits>
#include <utility>

#include "chorus/model.hpp"
#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/tensor/layer_fields.hpp"
#include "common/tensor/layer_names.hpp"

namespace chorus {
namespace {

using Shape = std::vector<std::uint64_t>;
using tensor::describe_layer;
using tensor::describe_shape;

// Product of `shape`, or 0 when a side is 0 or the product beyond limits.
std::uint64_t elements_within(const Shape& shape) {
  std::uint64_t product = 1;
  for (const std::uint64_t side : shape) {
    if (side == 0 || __builtin_mul_overflow(product, side, &product) ||
        product > limits::kActivationElementsMax) {
      return 0;
    }
  }
  return product;
}

Result<void> check_activations(const Shape& shape, const std::string& where) {
  if (elements_within(shape) != 0) return {};
  return fail(
      errc::invalid_argument,
      fmt::format("{} is {}; every dimension must be at least 1 and their product at most {}",
                  where,
                  describe_shape(shape),
                  limits::kActivationElementsMax));
}

Result<void> check_input(const ModelSpec& model) {
  if (model.input_shape.empty() || model.input_shape.size() > 3) {
    return fail(errc::invalid_argument,
                fmt::format("input_shape has {} dimensions; expected 1 (features), 2 (channels, "
                            "length; or steps, features) or 3 (channels, height, width)",
                            model.input_shape.size()));
  }
  return check_activations(model.input_shape, "input_shape");
}

// The options of one layer against their tables.
struct CheckFields {
  std::string layer;

  template <class L>
  Result<void> operator()(const L& options) const {
    Result<void> result;
    tensor::for_each_field<L>([&](const auto& field) {
      if (result) result = check(field.key, options.*field.member, field.rule);
    });
    return result;
  }

 private:
  Result<void> check(const char*, bool, const tensor::FieldRule&) const { return {}; }
  Result<void> check(const char* key, const std::string& name, const tensor::FieldRule&) const {
    if (!name.empty() && tensor::is_name(name)) return {};
    return fail(errc::invalid_argument,
                fmt::format("{} has '{}' as {}; expected 1 to {} characters out of A-Z a-z 0-9 . "
                            "_ -",
                            layer,
                            name.substr(0, 80),
                            key,
                            limits::kNameBytesMax));
  }
  Result<void> check(const char*, const Shape&, const tensor::FieldRule&) const { return {}; }
  template <class T>
  Result<void> check(const char* key, T value, const tensor::FieldRule& rule) const {
    if (tensor::within(rule, static_cast<double>(value))) return {};
    return fail(errc::invalid_argument,
                fmt::format("{} has {} {}; expected {}{} to {}{}",
                            layer,
                            key,
                            value,
                            rule.min_excluded ? "above " : "",
                            rule.min,
                            rule.max_excluded ? "below " : "",
                            rule.max));
  }
};

// Places of a window along one side. All options are within their rules, so nothing wraps.
struct Window {
  std::uint64_t kernel, stride, padding, dilation;

  std::uint64_t reach() const { return (kernel - 1) * dilation + 1; }
  std::uint64_t places(std::uint64_t side) const {
    const std::uint64_t padded = side + 2 * padding;
    return reach() > padded ? 0 : (padded - reach()) / stride + 1;
  }
};

// Derives the output shape of one layer from its input shape.
class OutputShape {
 public:
  OutputShape(const ModelSpec& model,
              std::size_t index,
              const Shape& input,
              const std::map<std::string, Shape>& marks)
      : model_(model), index_(index), input_(input), marks_(marks) {}

  Result<Shape> operator()(const Dense& dense) const {
    if (input_.size() > 2) {
      return misfit("a flat input or steps x features; put a flatten layer before it");
    }
    return with_last(dense.units);
  }
  Result<Shape> operator()(const Conv2d& conv) const { return convolution(conv, 3); }
  Result<Shape> operator()(const Conv1d& conv) const { return convolution(conv, 2); }
  Result<Shape> operator()(const MaxPool2d& pool) const { return pooling(pool, 3); }
  Result<Shape> operator()(const AvgPool2d& pool) const { return pooling(pool, 3); }
  Result<Shape> operator()(const MaxPool1d& pool) const { return pooling(pool, 2); }
  Result<Shape> operator()(const AvgPool1d& pool) const { return pooling(pool, 2); }
  Result<Shape> operator()(const GlobalAvgPool&) const { return pooled(); }
  Result<Shape> operator()(const GlobalMaxPool&) const { return pooled(); }
  Result<Shape> operator()(const Softmax&) const { return rows(); }
  Result<Shape> operator()(const LayerNorm&) const { return rows(); }
  Result<Shape> operator()(const GroupNorm& norm) const {
    if (input_[0] % norm.groups != 0) {
      return misfit(fmt::format("channels that its {} groups divide", norm.groups));
    }
    return input_;
  }
  Result<Shape> operator()(const Embedding& embedding) const {
    if (index_ != 0) return misfit("to be the first layer");
    if (input_.size() != 1) return misfit("one whole number per step");
    return Shape{input_[0], embedding.width};
  }
  Result<Shape> operator()(const PositionEmbedding&) const { return steps(); }
  Result<Shape> operator()(const Lstm& lstm) const { return recurrent(lstm); }
  Result<Shape> operator()(const Gru& gru) const { return recurrent(gru); }
  Result<Shape> operator()(const SelfAttention& attention) const {
    if (input_.size() != 2 || input_[1] % attention.heads != 0) {
      return misfit(fmt::format("steps x features that its {} heads divide", attention.heads));
    }
    return input_;
  }
  Result<Shape> operator()(const Flatten&) const { return Shape{elements_within(input_)}; }
  Result<Shape> operator()(const Reshape& reshape) const {
    if (reshape.shape.empty() || reshape.shape.size() > 3 ||
        elements_within(reshape.shape) != elements_within(input_)) {
      return misfit(fmt::format("as many values as its shape {}, which has 1 to 3 dimensions",
                                describe_shape(reshape.shape)));
    }
    return reshape.shape;
  }
  Result<Shape> operator()(const Transpose&) const {
    if (input_.size() != 2) return misfit("two dimensions");
    return Shape{input_[1], input_[0]};
  }
  Result<Shape> operator()(const Branch& branch) const {
    if (index_ == 0 || !std::holds_alternative<Mark>(model_.layers[index_ - 1])) {
      return fail(errc::invalid_argument,
                  fmt::format("{} must come right after a mark; otherwise nobody gets the value "
                              "before it",
                              describe_layer(model_, index_)));
    }
    return marked(branch.from);
  }
  Result<Shape> operator()(const Add& add) const {
    CHORUS_TRY(const Shape other, marked(add.with));
    if (other != input_) {
      return misfit(fmt::format("{}, the shape at the mark '{}'", describe_shape(other), add.with));
    }
    return other;
  }
  Result<Shape> operator()(const Concat& concat) const {
    CHORUS_TRY(Shape other, marked(concat.with));
    if (other.size() != input_.size() ||
        !std::equal(other.begin() + 1, other.end(), input_.begin() + 1)) {
      return misfit(fmt::format("{} but for the first dimension, as at the mark '{}'",
                                describe_shape(other),
                                concat.with));
    }
    other[0] += input_[0];
    return other;
  }
  template <class L>  // activations, batch norm, scale_shift, dropout, mark
  Result<Shape> operator()(const L&) const {
    return input_;
  }

 private:
  Result<Shape> pooled() const {
    if (input_.size() < 2) return misfit("channels x positions");
    return Shape{input_[0]};
  }
  Failure misfit(std::string_view expected) const {
    return fail(errc::invalid_argument,
                fmt::format("{} receives {} and expects {}",
                            describe_layer(model_, index_),
                            describe_shape(input_),
                            expected));
  }
  Result<Shape> rows() const {
    if (input_.size() > 2) return misfit("features or steps x features");
    return input_;
  }
  Result<Shape> steps() const {
    if (input_.size() != 2) return misfit("steps x features");
    return input_;
  }
  Shape with_last(std::uint64_t side) const {
    Shape output = input_;
    output.back() = side;
    return output;
  }
  template <class L>
  Result<Shape> recurrent(const L& layer) const {
    if (input_.size() != 2) return misfit("steps x features");
    const std::uint64_t width = layer.units * (layer.bidirectional ? 2 : 1);
    return layer.sequence ? Shape{input_[0], width} : Shape{width};
  }
  template <class L>
  Result<Shape> convolution(const L& conv, std::size_t rank) const {
    const Window window{conv.kernel, conv.stride, conv.padding, conv.dilation};
    if (conv.padding >= window.reach()) {
      return fail(errc::invalid_argument,
                  fmt::format("{} has padding {} and kernel {}; padding must be less than the "
                              "reach of the kernel",
                              describe_layer(model_, index_),
                              conv.padding,
                              conv.kernel));
    }
    if (input_.size() == rank && (input_[0] % conv.groups != 0 || conv.channels % conv.groups)) {
      return misfit(fmt::format(
          "input and output channels ({}) that its {} groups divide", conv.channels, conv.groups));
    }
    if (conv.lora_rank > 0 && conv.groups > 1) {
      return fail(errc::invalid_argument,
                  fmt::format("{} has lora_rank {} and {} groups; an adapter stands beside a "
                              "convolution without groups only",
                              describe_layer(model_, index_),
                              conv.lora_rank,
                              conv.groups));
    }
    return windowed(conv.channels, window, rank);
  }
  template <class L>
  Result<Shape> pooling(const L& pool, std::size_t rank) const {
    if (2 * pool.padding > pool.kernel) {
      return fail(errc::invalid_argument,
                  fmt::format("{} has padding {} and kernel {}; padding must be at most half the "
                              "kernel",
                              describe_layer(model_, index_),
                              pool.padding,
                              pool.kernel));
    }
    return windowed(input_[0], {pool.kernel, pool.stride, pool.padding, 1}, rank);
  }
  Result<Shape> windowed(std::uint64_t channels, const Window& window, std::size_t rank) const {
    if (input_.size() != rank) {
      return misfit(rank == 3 ? "channels x height x width" : "channels x length");
    }
    Shape output{channels};
    for (std::size_t i = 1; i < rank; ++i) output.push_back(window.places(input_[i]));
    if (std::find(output.begin(), output.end(), 0U) != output.end()) {
      const std::string reach = describe_shape(Shape(rank - 1, window.reach()));
      return misfit(fmt::format("at least {} {} (its kernel), padding of {} included",
                                reach,
                                rank == 3 ? "pixels" : "positions",
                                window.padding));
    }
    return output;
  }
  Result<Shape> marked(const std::string& name) const {
    const auto found = marks_.find(name);
    if (found != marks_.end()) return found->second;
    return fail(errc::invalid_argument,
                fmt::format("{} names the mark '{}'; there is no such mark before it",
                            describe_layer(model_, index_),
                            name));
  }

  const ModelSpec& model_;
  const std::size_t index_;
  const Shape& input_;
  const std::map<std::string, Shape>& marks_;
};

Failure bad_loss(std::string why) {
  return fail(errc::invalid_argument, std::move(why));
}

Result<void> check_loss_options(const ModelSpec& model, std::uint64_t outputs) {
  const LossOptions& options = model.loss_options;
  const bool classes = model.loss == Loss::softmax_cross_entropy;
  if (!(options.label_smoothing >= 0.0 && options.label_smoothing < 1.0) ||
      (!classes && options.label_smoothing != 0.0)) {
    return bad_loss(
        fmt::format("label_smoothing is {}; expected 0 to below 1, and only with "
                    "softmax_cross_entropy",
                    options.label_smoothing));
  }
  if (!(options.huber_delta > 0.0 && options.huber_delta <= 1e6)) {
    return bad_loss(
        fmt::format("huber_delta is {}; expected above 0 to 1000000", options.huber_delta));
  }
  if (options.class_weights.empty()) return {};
  if (!classes || options.class_weights.size() != outputs) {
    return bad_loss(
        fmt::format("there are {} class_weights; expected one for each of the {} "
                    "classes, and only with softmax_cross_entropy",
                    options.class_weights.size(),
                    outputs));
  }
  double sum = 0.0;
  for (const float weight : options.class_weights) {
    if (!(weight >= 0.0F && weight <= 1e6F)) {
      return bad_loss(fmt::format("class_weights has {}; expected 0 to 1000000", weight));
    }
    sum += double{weight};
  }
  if (sum > 0.0) return {};
  return bad_loss("class_weights are all 0; expected at least one above it");
}

Result<void> check_output(const ModelSpec& model, const Shape& output) {
  if (tensor::name_of(model.loss) == "unknown") {
    return bad_loss(
        fmt::format("loss {} is unknown; expected softmax_cross_entropy or another of "
                    "chorus/model.hpp",
                    static_cast<unsigned>(model.loss)));
  }
  if (model.loss == Loss::cox_partial_likelihood && output != Shape{1}) {
    return bad_loss(
        fmt::format("the last output, of {}, is {}; cox_partial_likelihood expects "
                    "one risk",
                    describe_layer(model, model.layers.size() - 1),
                    describe_shape(output)));
  }
  const bool classes = model.loss == Loss::softmax_cross_entropy;
  const bool fits = classes ? output.size() <= 2 && output.back() >= 2 : output.size() == 1;
  if (!fits) {
    return bad_loss(fmt::format("the last output, of {}, is {}; {}",
                                describe_layer(model, model.layers.size() - 1),
                                describe_shape(output),
                                classes ? "softmax_cross_entropy expects one score for each of at "
                                          "least 2 classes, or such a row for each step"
                                        : "the loss expects one number per target"));
  }
  return check_loss_options(model, output.back());
}

// Every mark has a name of its own and somebody who refers to it.
Result<void> check_marks(const ModelSpec& model) {
  std::map<std::string_view, bool> used;
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    const Layer& layer = model.layers[i];
    if (const auto* mark = std::get_if<Mark>(&layer)) {
      if (!used.emplace(mark->name, false).second) {
        return fail(errc::invalid_argument,
                    fmt::format("{} has the name '{}' of an earlier mark; every mark needs its own",
                                describe_layer(model, i),
                                mark->name));
      }
    }
    if (const auto* add = std::get_if<Add>(&layer)) used[add->with] = true;
    if (const auto* concat = std::get_if<Concat>(&layer)) used[concat->with] = true;
    if (const auto* branch = std::get_if<Branch>(&layer)) used[branch->from] = true;
  }
  for (const auto& [name, referred] : used) {
    if (!referred) {
      return fail(
          errc::invalid_argument,
          fmt::format("nobody refers to the mark '{}'; remove it, or add or concat it", name));
    }
  }
  return {};
}

}  // namespace

Result<std::vector<std::vector<std::uint64_t>>> shapes_of(const ModelSpec& model) {
  CHORUS_OK(tensor::layer_names(model));
  CHORUS_OK(check_input(model));
  std::vector<Shape> shapes;
  std::map<std::string, Shape> marks;
  shapes.reserve(model.layers.size());
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    const Shape& input = i == 0 ? model.input_shape : shapes.back();
    const std::string layer = describe_layer(model, i);
    CHORUS_OK(std::visit(CheckFields{layer}, model.layers[i]));
    CHORUS_TRY(Shape output, std::visit(OutputShape(model, i, input, marks), model.layers[i]));
    CHORUS_OK(check_activations(output, "the output of " + layer));
    if (const auto* mark = std::get_if<Mark>(&model.layers[i])) marks.emplace(mark->name, output);
    shapes.push_back(std::move(output));
  }
  CHORUS_OK(check_marks(model));
  CHORUS_OK(check_output(model, shapes.back()));
  return shapes;
}

}  // namespace chorus
