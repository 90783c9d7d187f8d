#include "common/tensor/model_costs.hpp"

#include <string_view>
#include <utility>
#include <variant>

#include "common/base/try.hpp"
#include "common/tensor/layer_names.hpp"

namespace chorus::tensor {
namespace {

using Shape = std::vector<std::uint64_t>;

// Shapes come from shapes_of: no product of one wraps.
std::uint64_t elements_of(const Shape& shape) {
  std::uint64_t product = 1;
  for (const std::uint64_t side : shape) product *= side;
  return product;
}

double real(std::uint64_t number) {
  return static_cast<double>(number);
}

// Forwards, of one example.
struct Flops {
  const Shape& in;
  const Shape& out;

  double operator()(const Dense& dense) const {
    const double rows = real(elements_of(out)) / real(out.back());
    return 2 * rows * (real(in.back()) * real(out.back()) + adapter(dense, in.back(), out.back()));
  }
  double operator()(const Conv2d& conv) const { return windows(conv, conv.kernel * conv.kernel); }
  double operator()(const Conv1d& conv) const { return windows(conv, conv.kernel); }
  double operator()(const Lstm& lstm) const { return recurrent(lstm, 4); }
  double operator()(const Gru& gru) const { return recurrent(gru, 3); }
  double operator()(const SelfAttention& attention) const {
    const double steps = real(in[0]);
    const double width = real(in[1]);
    const double adapters = adapter(attention, in[1], 3 * in[1]) + adapter(attention, in[1], in[1]);
    return 8 * steps * width * width + 4 * steps * steps * width + 2 * steps * adapters;
  }
  template <class L>
  double operator()(const L&) const {
    return 0;
  }

 private:
  // Multiplications per row.
  template <class L>
  static double adapter(const L& layer, std::uint64_t inputs, std::uint64_t outputs) {
    return real(layer.lora_rank) * (real(inputs) + real(outputs));
  }
  template <class L>
  double windows(const L& conv, std::uint64_t taps) const {
    const double places = real(elements_of(out)) / real(out[0]);
    const double inputs = real(taps) * real(in[0]) / real(conv.groups);
    const double own = inputs * real(out[0]);
    return 2 * places * (own + real(conv.lora_rank) * (inputs + real(out[0])));
  }
  template <class L>
  double recurrent(const L& layer, double gates) const {
    const double directions = layer.bidirectional ? 2 : 1;
    const double units = real(layer.units);
    double sum = 0;
    for (std::uint64_t level = 0; level < layer.depth; ++level) {
      const double inputs = level == 0 ? real(in[1]) : directions * units;
      sum += 2 * directions * gates * units * (inputs + units);
    }
    return sum * real(in[0]);
  }
};

// The layer whose tensor it is: the one with the longest name that begins the tensor's.
std::size_t owner_of(std::string_view tensor, const std::vector<std::string>& names) {
  std::size_t owner = 0;
  std::size_t longest = 0;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string& name = names[i];
    if (name.size() > longest && tensor.size() > name.size() && tensor.starts_with(name) &&
        tensor[name.size()] == '.') {
      owner = i;
      longest = name.size();
    }
  }
  return owner;
}

}  // namespace

Result<std::vector<LayerCost>> costs_of(const ModelSpec& model) {
  CHORUS_TRY(const TensorLayout layout, layout_of(model));
  CHORUS_TRY(const auto shapes, shapes_of(model));
  CHORUS_TRY(const auto names, layer_names(model));
  std::vector<LayerCost> costs(model.layers.size());
  for (std::size_t i = 0; i < costs.size(); ++i) {
    const Shape& input = i == 0 ? model.input_shape : shapes[i - 1];
    costs[i].name = names[i];
    costs[i].output = shapes[i];
    costs[i].flops = std::visit(Flops{input, shapes[i]}, model.layers[i]);
    const bool names_a_value = std::holds_alternative<Mark>(model.layers[i]) ||
                               std::holds_alternative<Branch>(model.layers[i]);
    if (!names_a_value) costs[i].activation_bytes = elements_of(shapes[i]) * sizeof(float);
  }
  for (const TensorSpec& tensor : layout.tensors) {
    LayerCost& cost = costs[owner_of(tensor.name, names)];
    (tensor.buffer ? cost.buffers : cost.parameters) += tensor.count;
  }
  return costs;
}

double training_flops(std::span<const LayerCost> costs) noexcept {
  double sum = 0;
  bool first = true;
  for (const LayerCost& cost : costs) {
    sum += (first ? 2 : 3) * cost.flops;
    if (cost.flops > 0 || cost.parameters > 0) first = false;
  }
  return sum;
}

}  // namespace chorus::tensor
