// From steps that refer to each other to a chain of layers with marks and branches.
#include <algorithm>
#include <fmt/format.h>
#include <set>

#include "common/base/try.hpp"
#include "common/onnx/importer.hpp"
#include "common/tensor/layer_names.hpp"

namespace chorus::onnx {
namespace {

using Steps = std::vector<std::unique_ptr<Step>>;

// Writes the chain twice: the first time to see which values are referred to from elsewhere, and so
// need a mark, the second time with them.
class Chain {
 public:
  explicit Chain(const Steps& steps) : steps_(steps) {}

  void write(std::size_t output) {
    layers_.clear();
    origins_.clear();
    made_.clear();
    current_ = 0;
    made_.insert(0);
    mark_if_needed(0);
    reach(output);
    if (current_ != output) go_to(output);
  }

  std::vector<Layer> layers_;
  std::vector<const Step*> origins_;  // of layers_; null: marks and branches

 private:
  // Computes what `target` needs and then itself: without recursion, models may be deep.
  void reach(std::size_t target) {
    std::vector<std::pair<std::size_t, std::size_t>> path{{target, 0}};
    while (!path.empty()) {
      auto& [at, next] = path.back();
      const Step& step = *steps_[at];
      if (made_.contains(at)) {
        path.pop_back();
      } else if (next < step.inputs.size()) {
        path.emplace_back(step.inputs[next++], 0);
      } else {
        make(at);
        path.pop_back();
      }
    }
  }

  void make(std::size_t at) {
    const Step& step = *steps_[at];
    if (step.inputs.size() == 1) {
      go_to(step.inputs[0]);
      append(step.layer, &step);
    } else {
      const bool sum = std::holds_alternative<Add>(step.layer);
      std::size_t here = step.inputs[0];
      std::size_t there = step.inputs[1];
      if (sum && current_ == there) std::swap(here, there);
      go_to(here);
      needs_mark_.insert(there);
      if (sum) {
        append(Add{mark_of(there)}, &step);
      } else {
        append(Concat{mark_of(there)}, &step);
      }
    }
    current_ = at;
    made_.insert(at);
    mark_if_needed(at);
  }

  // Leaves the value at hand for one that was made before.
  void go_to(std::size_t value) {
    if (current_ == value) return;
    needs_mark_.insert(current_);
    needs_mark_.insert(value);
    // The value at hand may have been marked some branches ago: Branch comes right after a mark.
    append(Branch{mark_of(value)}, nullptr);
    current_ = value;
  }

  void mark_if_needed(std::size_t value) {
    if (needs_mark_.contains(value)) append(Mark{mark_of(value)}, nullptr);
  }
  void append(Layer layer, const Step* origin) {
    layers_.push_back(std::move(layer));
    origins_.push_back(origin);
  }
  static std::string mark_of(std::size_t value) { return fmt::format("at{}", value); }

  const Steps& steps_;
  std::size_t current_ = 0;
  std::set<std::size_t> made_;
  std::set<std::size_t> needs_mark_;
};

Failure no_tensor(const std::string& name) {
  return fail(errc::internal, fmt::format("the import left '{}' without values", name));
}

Result<void> check(const Steps& steps, const std::vector<const Step*>& origins, Import& into) {
  for (const Step* step : origins) {
    if (step == nullptr) continue;
    if (step->open) {
      into.problems.push_back({step->node,
                               "MatMul",
                               "attention without a projection of its result",
                               "let a dense layer as wide as the features follow"});
    }
    const bool twice =
        step->ends != 0 && std::count(origins.begin(), origins.end(), steps[step->ends].get()) > 0;
    if (twice) {
      into.problems.push_back({step->node,
                               "recurrent",
                               "both all steps and what it ends with are used",
                               "use one of them"});
    }
  }
  return {};
}

}  // namespace

Result<void> make_chain(const Steps& steps, std::size_t output, Import& into) {
  Chain chain(steps);
  chain.write(output);
  chain.write(output);
  CHORUS_OK(check(steps, chain.origins_, into));
  if (!into.problems.empty()) return {};
  ModelSpec& model = into.model;
  model.input_shape = steps[0]->shape;
  model.layers = std::move(chain.layers_);
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    if (chain.origins_[i] != nullptr) tensor::set_name(model.layers[i], chain.origins_[i]->name);
  }
  if (!tensor::layer_names(model)) {  // two layers of one name: weights that are shared in the file
    for (Layer& layer : model.layers) tensor::set_name(layer, "");
    into.notes.push_back("layers got new names: the file has some of them twice");
  }
  CHORUS_TRY(const auto names, tensor::layer_names(model));
  for (std::size_t i = 0; i < model.layers.size(); ++i) tensor::set_name(model.layers[i], names[i]);
  CHORUS_TRY(const TensorLayout layout, layout_of(model));
  into.parameters.resize(layout.parameters);
  std::map<std::string, const std::vector<float>*> tensors;
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    if (chain.origins_[i] == nullptr) continue;
    for (const auto& [part, values] : chain.origins_[i]->tensors) {
      tensors[names[i] + "." + part] = &values;
    }
  }
  for (const TensorSpec& tensor : layout.tensors) {
    const auto found = tensors.find(tensor.name);
    if (found == tensors.end() || found->second->size() != tensor.count) {
      return no_tensor(tensor.name);
    }
    std::copy(found->second->begin(),
              found->second->end(),
              into.parameters.begin() + static_cast<std::ptrdiff_t>(tensor.offset));
  }
  return {};
}

}  // namespace chorus::onnx
