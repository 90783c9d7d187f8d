// What is known of a value while a graph is walked. Internal to common/onnx.
//
// An arrangement says for each element of a value which element of the layer's output it is, a
// small batch included: so transposed, sliced and split values are followed exactly, whatever nodes
// do it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "chorus/model.hpp"
#include "common/onnx/tensor.hpp"

namespace chorus::onnx {

using Sides = std::vector<std::uint64_t>;

/// A layer of the model to be, with where its input comes from. Number 0 is the model's input.
struct Step {
  Layer layer;
  std::vector<std::size_t> inputs;
  Sides shape;                                        ///< of its output, per example
  std::map<std::string, std::vector<float>> tensors;  ///< "weight", "bias", …
  std::string name;                                   ///< as in the file, may be empty
  std::string node;                                   ///< of the file, for problems
  bool open = false;     ///< attention that still lacks its last projection
  std::size_t ends = 0;  ///< recurrent: the step that gives only what it ends with; 0: none
};

/// What is under way.
enum class Stage : std::uint8_t {
  none,
  scaled,        ///< number · x
  erf,           ///< erf(x / √2)
  erf_plus_one,  ///< number · (1 + erf(x / √2))
  gelu,          ///< number · x · (1 + erf(x / √2))
  mean,          ///< over the last axis
  centred,       ///< x − mean
  squared,       ///< (x − mean)²
  variance,
  deviation,  ///< √(variance + number)
  scores,     ///< number · Q·Kᵀ of attentions_[record]
  shares,     ///< their softmax
  log_softmax,
  stack,  ///< several values along a new first axis
};

struct Flow {
  std::size_t step = 0;
  Shape shape;                                             ///< batch included
  std::shared_ptr<const std::vector<std::int64_t>> order;  ///< null: as the step's output lies
  Stage stage = Stage::none;
  double number = 1.0;
  std::size_t record = 0;
  std::shared_ptr<const std::vector<Flow>> parts;  ///< of a stack
  std::string maker;                               ///< the node that began what is under way

  std::int64_t place(std::size_t i) const {
    return order ? (*order)[i] : static_cast<std::int64_t>(i);
  }
};

using Constant = std::shared_ptr<const Tensor>;
using Known = std::variant<std::monostate, Constant, Flow>;

/// One of the three projections of an attention: a dense layer's rows, in the order of the heads.
struct Projection {
  std::size_t step = 0;
  std::vector<std::int64_t> rows;
};
struct Attention {
  Projection query, key;
  std::int64_t heads = 0, steps = 0, width = 0;  ///< width of one head
  bool causal = false;
};

}  // namespace chorus::onnx
