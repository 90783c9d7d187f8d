// Products whose factors are rounded to bf16, as steps of a graph. Internal to this folder.
#pragma once

#include <cstddef>

#include "client/train/tape/graph.hpp"

namespace chorus::train {

/// y = x·Wᵀ + b and its derivatives, on oneDNN. x, W and dy are rounded, sums are float32.
class RoundedLinear {
 public:
  struct Sizes {
    std::size_t rows = 0;  ///< of x and y
    std::size_t inputs = 0;
    std::size_t outputs = 0;
  };
  /// Whether it is worth while: rounding W costs about as much as using it for some rows.
  static bool pays(const Graph& graph, const Sizes& sizes) noexcept;

  /// @param bias  may be none
  RoundedLinear(Graph& graph, const Sizes& sizes, const Value& weight, const Value& bias);

  /// Adds the steps that compute y (f32[rows × outputs], row-major, whatever its dimensions).
  void forward(const Value& x, const Value& y);
  /// Of what forward() does only what backward() needs.
  void keep_input(Pass pass, const Value& x);

  /// dy as backward() takes it.
  Value slopes(const Value& dy) const;
  /// Those that compute dx (unless none) and dW (unless none). @pre forward() or keep_input()
  void backward(const Value& slopes, const Value& dx, const Value& weight_gradient) const;

 private:
  Graph* graph_;
  Sizes sizes_;
  Value weight_;
  Value bias_;
  Value x_;  ///< rounded
};

/// Products of one step after the other with the same weights, which are rounded and laid out once:
/// c (+)= a·B, or a·Bᵀ.
class RoundedSteps {
 public:
  struct Sizes {
    std::size_t rows = 0;
    std::size_t inputs = 0;   ///< columns of a
    std::size_t outputs = 0;  ///< columns of c
    std::size_t a_stride = 0;
    std::size_t c_stride = 0;
    bool turned = false;  ///< the weight is B, (outputs, inputs), or else (inputs, outputs)
    bool adds = false;
  };
  RoundedSteps(Graph& graph, Pass pass, const Sizes& sizes, const Value& weight);

  /// One product: a begins at number `from` of `a`, c at number `to` of `c`.
  void step(const Value& a, std::size_t from, const Value& c, std::size_t to) const;

 private:
  Graph* graph_;
  Pass pass_;
  Sizes sizes_;
  dnnl::matmul::primitive_desc desc_;
  Value weight_;
};

}  // namespace chorus::train
