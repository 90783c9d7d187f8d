#include "common/onnx/importer.hpp"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/tensor/layer_names.hpp"
#include "common/tensor/version_metadata.hpp"

namespace chorus::onnx {
namespace {

// "/encoder/layers.0/norm1/Add_1" → "encoder.layers.0.norm1": PyTorch names nodes by their modules.
std::string module_of(const std::string& node) {
  if (node.empty() || node.front() != '/') return "";
  const auto last = node.rfind('/');
  std::string module = last == 0 ? "" : node.substr(1, last - 1);
  std::replace(module.begin(), module.end(), '/', '.');
  return module;
}

void cut_end(std::string& text, std::string_view end) {
  if (text.ends_with(end)) text.resize(text.size() - end.size());
}

}  // namespace

double decimal_of(float value) {
  return std::strtod(fmt::format("{}", value).c_str(), nullptr);
}

const std::map<std::string_view, Importer::Handler>& Importer::handlers() {
  static const std::map<std::string_view, Handler> all{
      {"Add", &Importer::add},
      {"AveragePool", &Importer::average_pool},
      {"BatchNormalization", &Importer::batch_norm},
      {"Cast", &Importer::identity},
      {"Concat", &Importer::concat},
      {"Conv", &Importer::conv},
      {"Div", &Importer::divide},
      {"Dropout", &Importer::dropout},
      {"Erf", &Importer::erf},
      {"Flatten", &Importer::flatten},
      {"GRU", &Importer::gru},
      {"Gather", &Importer::gather},
      {"Gelu", &Importer::gelu},
      {"Gemm", &Importer::gemm},
      {"GlobalAveragePool", &Importer::global_average_pool},
      {"GlobalMaxPool", &Importer::global_max_pool},
      {"GroupNormalization", &Importer::group_norm},
      {"Identity", &Importer::identity},
      {"InstanceNormalization", &Importer::instance_norm},
      {"LSTM", &Importer::lstm},
      {"LayerNormalization", &Importer::layer_norm},
      {"LeakyRelu", &Importer::leaky_relu},
      {"LogSoftmax", &Importer::softmax},
      {"MatMul", &Importer::matmul},
      {"MaxPool", &Importer::max_pool},
      {"Mul", &Importer::multiply},
      {"Pad", &Importer::pad},
      {"Pow", &Importer::power},
      {"ReduceMean", &Importer::reduce_mean},
      {"Relu", &Importer::relu},
      {"Reshape", &Importer::reshape},
      {"Shape", &Importer::shape_of},
      {"Sigmoid", &Importer::sigmoid},
      {"Slice", &Importer::slice},
      {"Softmax", &Importer::softmax},
      {"Split", &Importer::split},
      {"Sqrt", &Importer::square_root},
      {"Squeeze", &Importer::squeeze},
      {"Sub", &Importer::subtract},
      {"Tanh", &Importer::tanh},
      {"Transpose", &Importer::transpose},
      {"Unsqueeze", &Importer::unsqueeze},
  };
  return all;
}

Result<Import> Importer::run() {
  import_.producer = graph_.producer;
  import_.opset = graph_.opset;
  import_.nodes = graph_.nodes.size();
  CHORUS_OK(take_input());
  for (auto& [name, tensor] : graph_.constants) {
    values_[name] = std::make_shared<const Tensor>(std::move(tensor));
  }
  for (const Node& node : graph_.nodes) {
    for (const auto& input : node.inputs) ++readers_[input];
  }
  for (const auto& output : graph_.outputs) ++readers_[output];
  for (const Node& node : graph_.nodes) visit(node);
  if (!import_.problems.empty()) return std::move(import_);
  CHORUS_TRY(const std::size_t output, find_output());
  if (!import_.problems.empty()) return std::move(import_);
  CHORUS_OK(make_chain(steps_, output, import_));
  if (import_.problems.empty()) {
    CHORUS_TRY(import_.normalise, tensor::normalise_from(graph_.metadata, import_.model));
  }
  return std::move(import_);
}

Result<void> Importer::take_input() {
  if (graph_.inputs.size() != 1) {
    std::string names;
    for (const auto& input : graph_.inputs) names += (names.empty() ? "" : ", ") + input.name;
    return fail(errc::unsupported_feature,
                fmt::format("the graph has {} inputs ({}); a model here has one",
                            graph_.inputs.size(),
                            names.substr(0, 200)));
  }
  const GraphInput& input = graph_.inputs.front();
  Sides shape;
  for (std::size_t i = 1; i < input.shape.size(); ++i) {
    if (input.shape[i] < 1) {
      return fail(errc::unsupported_feature,
                  fmt::format("dimension {} of the input '{}' has no fixed size; only the first, "
                              "the batch, may be open: export with other dynamic_axes",
                              i,
                              input.name));
    }
    shape.push_back(static_cast<std::uint64_t>(input.shape[i]));
  }
  if (!input.shape.empty()) choose_batch();
  const std::int64_t elements = elements_of(shape_with_batch(shape));
  if (shape.empty() || shape.size() > 3 || elements < 1 || elements > kFoldedElementsMax) {
    return fail(errc::unsupported_feature,
                fmt::format("the input '{}' has {} dimensions; expected a batch and 1 to 3 more, "
                            "within limits",
                            input.name,
                            input.shape.size()));
  }
  auto first = std::make_unique<Step>();
  first->shape = shape;
  steps_.push_back(std::move(first));
  values_[input.name] = Flow{0, shape_with_batch(shape), nullptr, Stage::none, 1.0, 0, nullptr, ""};
  return {};
}

// A batch of open size is followed as one of a size that nothing else in the graph has: a prime
// that divides no dimension, so that it can be told apart.
void Importer::choose_batch() {
  const GraphInput& input = graph_.inputs.front();
  batch_ = input.shape.front();
  if (batch_ > 0) return;
  std::vector<std::int64_t> sizes = input.shape;
  for (const auto& [name, tensor] : graph_.constants) {
    sizes.insert(sizes.end(), tensor.shape.begin(), tensor.shape.end());
  }
  for (const std::int64_t prime : {7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61}) {
    batch_ = prime;
    const auto shared = [prime](std::int64_t size) { return size > 1 && size % prime == 0; };
    if (std::none_of(sizes.begin(), sizes.end(), shared)) return;
  }
}

void Importer::visit(const Node& node) {
  for (const auto& output : node.outputs) values_[output] = std::monostate();
  const auto found = handlers().find(node.op);
  bool broken = false;
  bool dynamic = false;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (!node.gives(i)) continue;
    broken = broken || std::holds_alternative<std::monostate>(known(node, i));
    dynamic = dynamic || std::holds_alternative<Flow>(known(node, i));
  }
  if (!dynamic && !broken) return fold(node);
  if (found == handlers().end()) {
    blame(node, "there is no such layer", std::string(suggestion_for(node.op)));
    return;
  }
  if (broken) return;  // an earlier problem is the reason
  advice_.clear();
  if (auto done = (this->*found->second)(node); !done) {
    blame(node, done.error().detail, std::move(advice_));
  }
}

void Importer::blame(const Node& node, const std::string& why, std::string instead) {
  import_.problems.push_back({node.name, node.op, why, std::move(instead)});
}

Failure Importer::refuse(std::string why, std::string instead) {
  advice_ = std::move(instead);
  return fail(errc::unsupported_feature, std::move(why));
}

const Known& Importer::known(const Node& node, std::size_t input) const {
  static const Known nothing;
  if (!node.gives(input)) return nothing;
  const auto found = values_.find(node.inputs[input]);
  return found == values_.end() ? nothing : found->second;
}

Constant Importer::constant(const Node& node, std::size_t input) const {
  const auto* held = std::get_if<Constant>(&known(node, input));
  return held == nullptr ? nullptr : *held;
}

Result<Constant> Importer::need_constant(const Node& node,
                                         std::size_t input,
                                         std::string_view what) {
  if (auto held = constant(node, input); held != nullptr) return held;
  return refuse(fmt::format("{} is not a constant", what));
}

Result<Flow> Importer::flow(const Node& node, std::size_t input) {
  if (const auto* held = std::get_if<Flow>(&known(node, input))) return *held;
  return refuse(fmt::format("input {} is a constant where a value is expected", input + 1));
}

Failure Importer::unfinished(const Flow& flow) {
  return refuse(
      fmt::format("it reads the result of node '{}', which is no layer by itself", flow.maker),
      flow.stage == Stage::scaled ? "write the factor into the weights of the layer before" : "");
}

void Importer::set(const Node& node, Known what, std::size_t output) {
  if (output >= node.outputs.size() || node.outputs[output].empty()) return;
  if (auto* flow = std::get_if<Flow>(&what)) flow->maker = node.name;
  values_[node.outputs[output]] = std::move(what);
}

bool Importer::only_reader(const Node& node, std::size_t input) const {
  const auto found = readers_.find(node.inputs[input]);
  return found != readers_.end() && found->second == 1;
}

Shape Importer::shape_with_batch(const Sides& shape) const {
  Shape all{batch_};
  for (const std::uint64_t side : shape) all.push_back(static_cast<std::int64_t>(side));
  return all;
}

std::size_t Importer::emit(Layer layer,
                           std::vector<std::size_t> inputs,
                           Sides shape,
                           const Node& node) {
  std::uint64_t elements = 1;
  for (const std::uint64_t side : shape) {
    if (__builtin_mul_overflow(elements, side, &elements))
      elements = limits::kActivationElementsMax + 1;
    elements = std::min(elements, limits::kActivationElementsMax + 1);
  }
  if (elements > limits::kActivationElementsMax) {
    blame(node,
          fmt::format("its result has more than {} values", limits::kActivationElementsMax),
          "use smaller inputs");
    shape = {1};
  }
  auto made = std::make_unique<Step>();
  made->layer = std::move(layer);
  made->inputs = std::move(inputs);
  made->shape = std::move(shape);
  made->node = node.name;
  steps_.push_back(std::move(made));
  return steps_.size() - 1;
}

// "fc1" of "fc1.weight", or of where the node stands.
std::string Importer::name_for(const Node& node, std::initializer_list<std::size_t> inputs) const {
  for (const std::size_t input : inputs) {
    if (!node.gives(input)) continue;
    std::string name = node.inputs[input];
    const auto dot = name.rfind('.');
    if (dot == std::string::npos || dot == 0 || name.find("::") != std::string::npos ||
        name.find('/') != std::string::npos) {
      continue;
    }
    name.resize(dot);
    if (name.size() <= limits::kNameBytesMax && tensor::is_name(name)) return name;
  }
  std::string name = module_of(node.name);
  cut_end(name, ".");
  return name.size() <= limits::kNameBytesMax && tensor::is_name(name) ? name : "";
}

// What the last value stands for; a softmax at the end belongs to the loss.
Result<std::size_t> Importer::find_output() {
  if (graph_.outputs.empty()) return fail(errc::malformed_file, "the graph has no output");
  if (graph_.outputs.size() > 1) {
    import_.notes.push_back(fmt::format("only the first of {} outputs, '{}', is used",
                                        graph_.outputs.size(),
                                        graph_.outputs.front()));
  }
  const auto* last = std::get_if<Flow>(&values_[graph_.outputs.front()]);
  if (last == nullptr) {
    return fail(errc::unsupported_feature, "the output does not depend on the input");
  }
  Node end;
  end.name = graph_.outputs.front();
  end.op = "output";
  Flow flow = *last;
  if (flow.stage == Stage::log_softmax) {
    flow.stage = Stage::none;
    import_.notes.push_back("the log-softmax at the end is left out: the loss computes it");
  }
  if (flow.stage != Stage::none) {
    blame(end, unfinished(flow).detail, advice_);
    return std::size_t{0};
  }
  auto output = plain(flow, end);
  if (!output) {
    blame(end, output.error().detail, std::move(advice_));
    return std::size_t{0};
  }
  std::size_t at = *output;
  if (std::holds_alternative<Softmax>(step(at).layer) && at != 0) {
    at = step(at).inputs.front();
    import_.notes.push_back("the softmax at the end is left out: the loss computes it");
  } else if (std::holds_alternative<Sigmoid>(step(at).layer) && at != 0) {
    at = step(at).inputs.front();
    import_.model.loss = Loss::binary_cross_entropy;
    import_.notes.push_back(
        "the sigmoid at the end is left out: the loss, binary_cross_entropy, computes it");
  }
  const Sides& shape = step(at).shape;
  const bool classes = shape.size() <= 2 && shape.back() > 1;  // of an example, or of each step
  if (!classes && import_.model.loss == Loss::softmax_cross_entropy) {
    import_.model.loss = Loss::mean_squared_error;
  }
  return at;
}

}  // namespace chorus::onnx
