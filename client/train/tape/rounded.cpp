#include "client/train/tape/rounded.hpp"

#include "client/train/tape/describe.hpp"

namespace chorus::train {
namespace {

constexpr std::size_t kRowsMin = 64;
constexpr std::size_t kSideMin = 16;  // of W: less leaves most of a vector of pairs empty
constexpr auto kRounded = memory::data_type::bf16;
constexpr auto kExact = memory::data_type::f32;

std::int64_t dim(std::size_t value) {
  return static_cast<std::int64_t>(value);
}

memory::desc matrix(std::size_t rows, std::size_t columns, memory::data_type type) {
  return {{dim(rows), dim(columns)}, type, memory::format_tag::ab};
}

// The matrix whose transpose lies row-major.
memory::desc turned(std::size_t rows, std::size_t columns, memory::data_type type) {
  return {{dim(rows), dim(columns)}, type, memory::format_tag::ba};
}

memory::desc any_matrix(std::size_t rows, std::size_t columns) {
  return any_layout({dim(rows), dim(columns)}, kRounded);
}

}  // namespace

bool RoundedLinear::pays(const Graph& graph, const Sizes& sizes) noexcept {
  return graph.rounds_factors() && sizes.rows >= kRowsMin && sizes.inputs >= kSideMin &&
         sizes.outputs >= kSideMin;
}

RoundedLinear::RoundedLinear(Graph& graph,
                             const Sizes& sizes,
                             const Value& weight,
                             const Value& bias)
    : graph_(&graph), sizes_(sizes), weight_(weight), bias_(bias) {}

void RoundedLinear::keep_input(Pass pass, const Value& x) {
  const auto [rows, inputs, outputs] = sizes_;
  x_ = graph_->converted(
      pass, graph_->view(x, matrix(rows, inputs, kExact)), matrix(rows, inputs, kRounded));
}

void RoundedLinear::forward(const Value& x, const Value& y) {
  const auto [rows, inputs, outputs] = sizes_;
  keep_input(Pass::forward, x);
  const memory::desc bias = bias_ ? plain({1, dim(outputs)}) : memory::desc();
  const auto desc = describe::product(
      *graph_, {x_.desc, any_matrix(inputs, outputs), matrix(rows, outputs, kExact), bias});
  const Value weight = graph_->view(weight_, turned(inputs, outputs, kExact));
  Graph::Bindings bindings = {
      {DNNL_ARG_SRC, x_},
      {DNNL_ARG_WEIGHTS, graph_->converted(Pass::forward, weight, desc.weights_desc())},
      {DNNL_ARG_DST, graph_->view(y, desc.dst_desc())}};
  if (bias_) bindings.emplace_back(DNNL_ARG_BIAS, graph_->view(bias_, bias));
  graph_->step<dnnl::matmul>(Pass::forward, desc, std::move(bindings));
}

Value RoundedLinear::slopes(const Value& dy) const {
  const auto [rows, inputs, outputs] = sizes_;
  return graph_->converted(Pass::backward,
                           graph_->view(dy, matrix(rows, outputs, kExact)),
                           matrix(rows, outputs, kRounded));
}

void RoundedLinear::backward(const Value& slopes,
                             const Value& dx,
                             const Value& weight_gradient) const {
  const auto [rows, inputs, outputs] = sizes_;
  if (dx) {
    const auto desc = describe::product(
        *graph_, {slopes.desc, any_matrix(outputs, inputs), matrix(rows, inputs, kExact)});
    const Value weight = graph_->view(weight_, matrix(outputs, inputs, kExact));
    graph_->step<dnnl::matmul>(
        Pass::backward,
        desc,
        {{DNNL_ARG_SRC, slopes},
         {DNNL_ARG_WEIGHTS, graph_->converted(Pass::backward, weight, desc.weights_desc())},
         {DNNL_ARG_DST, graph_->view(dx, desc.dst_desc())}});
  }
  if (!weight_gradient) return;
  const auto desc = describe::product(
      *graph_, {turned(outputs, rows, kRounded), x_.desc, matrix(outputs, inputs, kExact)});
  graph_->step<dnnl::matmul>(Pass::backward,
                             desc,
                             {{DNNL_ARG_SRC, graph_->view(slopes, desc.src_desc())},
                              {DNNL_ARG_WEIGHTS, x_},
                              {DNNL_ARG_DST, graph_->view(weight_gradient, desc.dst_desc())}});
}

RoundedSteps::RoundedSteps(Graph& graph, Pass pass, const Sizes& s, const Value& weight)
    : graph_(&graph), pass_(pass), sizes_(s) {
  const memory::desc c({dim(s.rows), dim(s.outputs)}, kExact, Dims{dim(s.c_stride), 1});
  desc_ = describe::product(graph,
                            {.a = matrix(s.rows, s.inputs, kRounded),
                             .b = any_matrix(s.inputs, s.outputs),
                             .c = c,
                             .adds = s.adds});
  const memory::desc lies =
      s.turned ? turned(s.inputs, s.outputs, kExact) : matrix(s.inputs, s.outputs, kExact);
  weight_ = graph.converted(pass, graph.view(weight, lies), desc_.weights_desc());
}

void RoundedSteps::step(const Value& a, std::size_t from, const Value& c, std::size_t to) const {
  const memory::desc lies(
      {dim(sizes_.rows), dim(sizes_.inputs)}, kExact, Dims{dim(sizes_.a_stride), 1});
  const Value rounded = graph_->converted(pass_, graph_->part(a, from, lies), desc_.src_desc());
  graph_->step<dnnl::matmul>(pass_,
                             desc_,
                             {{DNNL_ARG_SRC, rounded},
                              {DNNL_ARG_WEIGHTS, weight_},
                              {DNNL_ARG_DST, graph_->part(c, to, desc_.dst_desc())}});
}

}  // namespace chorus::train
