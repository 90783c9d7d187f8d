// How a graph is understood: its nodes are walked in order, and of every value it is known whether
// it is a constant, or which layer's output it holds, in which arrangement, and whether an
// operation that takes several nodes is under way. Internal to common/onnx.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "chorus/model.hpp"
#include "chorus/result.hpp"
#include "common/onnx/flow.hpp"
#include "common/onnx/graph.hpp"
#include "common/onnx/onnx.hpp"
#include "common/onnx/tensor.hpp"

namespace chorus::onnx {

class Importer {
 public:
  explicit Importer(Graph graph) : graph_(std::move(graph)) {}

  /// @errors unsupported_feature: inputs or outputs that no model here has
  Result<Import> run();

 private:
  using Handler = Result<void> (Importer::*)(const Node&);
  static const std::map<std::string_view, Handler>& handlers();

  // importer.cpp
  Result<void> take_input();
  void choose_batch();
  void visit(const Node& node);
  void blame(const Node& node, const std::string& why, std::string instead);
  Result<std::size_t> find_output();
  Failure refuse(std::string why, std::string instead = "");
  const Known& known(const Node& node, std::size_t input) const;
  Constant constant(const Node& node, std::size_t input) const;
  Result<Constant> need_constant(const Node& node, std::size_t input, std::string_view what);
  Result<Flow> flow(const Node& node, std::size_t input);   ///< whatever is under way
  Result<Flow> value(const Node& node, std::size_t input);  ///< nothing is
  Failure unfinished(const Flow& flow);
  void set(const Node& node, Known what, std::size_t output = 0);
  bool only_reader(const Node& node, std::size_t input) const;
  Shape shape_with_batch(const Sides& shape) const;
  std::size_t emit(Layer layer, std::vector<std::size_t> inputs, Sides shape, const Node& node);
  Step& step(std::size_t number) { return *steps_[number]; }
  std::string name_for(const Node& node, std::initializer_list<std::size_t> inputs) const;

  // movement.cpp: values that only change their places
  Result<std::size_t> plain(const Flow& flow, const Node& node);
  bool in_order(const Flow& flow) const;
  bool is_plain(const Flow& flow) const;
  std::size_t last_step_of(const Flow& flow) const;
  bool is_transposed(const Flow& flow, std::size_t a, std::size_t b) const;
  Result<void> move(const Node& node, Result<Arrangement> by, std::size_t output = 0);
  void reshape_to(const Node& node, const Flow& from, Shape shape);
  Result<void> identity(const Node& node);
  Result<void> transpose(const Node& node);
  Result<void> reshape(const Node& node);
  Result<void> flatten(const Node& node);
  Result<void> squeeze(const Node& node);
  Result<void> unsqueeze(const Node& node);
  Result<void> slice(const Node& node);
  Result<void> split(const Node& node);
  Result<void> gather(const Node& node);
  Result<void> concat(const Node& node);
  Result<void> pad(const Node& node);
  Result<std::vector<std::int64_t>> axes_of(const Node& node, std::size_t input);

  // layers.cpp: one node, one layer
  Result<void> elementwise(const Node& node, Layer layer);
  Result<void> relu(const Node& node) { return elementwise(node, Relu{}); }
  Result<void> leaky_relu(const Node& node);
  Result<void> gelu(const Node& node);
  Result<void> tanh(const Node& node) { return elementwise(node, Tanh{}); }
  Result<void> sigmoid(const Node& node) { return elementwise(node, Sigmoid{}); }
  Result<void> softmax(const Node& node);
  Result<void> dropout(const Node& node);
  Result<void> conv(const Node& node);
  Result<void> max_pool(const Node& node);
  Result<void> average_pool(const Node& node);
  Result<void> global_average_pool(const Node& node);
  Result<void> global_max_pool(const Node& node);
  Result<void> global_pool(const Node& node, const Layer& layer);
  Result<void> batch_norm(const Node& node);
  Result<void> layer_norm(const Node& node);
  Result<void> instance_norm(const Node& node);
  Result<void> group_norm(const Node& node);
  Result<void> gemm(const Node& node);
  Result<void> matmul(const Node& node);
  Result<void> dense(const Node& node, Tensor weight, Constant bias);
  template <class Pool1, class Pool2>
  Result<void> pool(const Node& node);

  // arithmetic.cpp: sums, products, and what takes several of them
  Result<void> add(const Node& node);
  Result<void> subtract(const Node& node);
  Result<void> multiply(const Node& node);
  Result<void> divide(const Node& node);
  Result<void> power(const Node& node);
  Result<void> square_root(const Node& node);
  Result<void> erf(const Node& node);
  Result<void> reduce_mean(const Node& node);
  Result<void> add_values(const Node& node);
  Result<void> add_constant(const Node& node, std::size_t input, const Tensor& constant);
  Result<void> multiply_values(const Node& node);
  Result<void> scale(const Node& node, std::size_t input, const Tensor& constant);
  std::optional<std::vector<float>> per_channel(const Flow& flow, const Tensor& constant) const;
  std::optional<std::vector<float>> per_feature(const Flow& flow, const Tensor& constant) const;
  bool amend(const Node& node, std::size_t input, const Tensor& constant, std::string_view part);

  // recurrent.cpp
  Result<void> lstm(const Node& node);
  Result<void> gru(const Node& node);
  Result<std::size_t> by_example(const Flow& flow, const Node& node);
  template <class Cell>
  Result<void> recurrent(const Node& node, const std::vector<std::size_t>& gates);
  template <class Cell>
  Result<void> stack_up(Step& upper, const Cell& cell);

  // attention.cpp
  Result<void> scores(const Node& node, const Flow& query, const Flow& key);
  Result<void> mixture(const Node& node, const Flow& shares, const Flow& values);
  Result<void> mask(const Node& node, Flow scores, const Tensor& constant);
  std::optional<Projection> projection(const Flow& flow, const Attention& of, bool turned) const;
  std::optional<std::size_t> close_attention(const Node& node,
                                             std::size_t core,
                                             const Tensor& weight,
                                             const Constant& bias);

  // folding.cpp: nodes whose operands are constants
  void fold(const Node& node);
  Result<Tensor> folded(const Node& node);
  Result<Tensor> fold_arithmetic(const Node& node);
  Result<Tensor> fold_movement(const Node& node);
  Result<void> shape_of(const Node& node);

  Graph graph_;
  std::int64_t batch_ = 0;
  std::map<std::string, Known> values_;
  std::map<std::string, std::size_t> readers_;  ///< nodes (and outputs) that read a value
  std::vector<std::unique_ptr<Step>> steps_;
  std::vector<Attention> attentions_;
  Import import_;
  std::string advice_;
};

/// The steps that lead to `output`, as a chain with marks and branches.
/// @errors unsupported_feature
Result<void> make_chain(const std::vector<std::unique_ptr<Step>>& steps,
                        std::size_t output,
                        Import& into);

/// What could replace an operator; empty when nothing comes to mind.
std::string_view suggestion_for(std::string_view op);

/// A float32 as the shortest decimal that stands for it: 9.99999975e-06 → 1e-05.
double decimal_of(float value);

}  // namespace chorus::onnx
