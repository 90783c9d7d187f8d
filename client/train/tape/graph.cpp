#include "client/train/tape/graph.hpp"

#include <algorithm>
#include <numeric>

#include "chorus/kernels/training.hpp"
#include "common/base/assert.hpp"

namespace chorus::train {
namespace {

using Tag = memory::format_tag;

constexpr std::size_t kAlignment = 64;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

memory::desc plain(const Dims& dims) {
  constexpr Tag kTags[] = {Tag::a, Tag::ab, Tag::abc, Tag::abcd, Tag::abcde};
  CHORUS_ASSERT(!dims.empty() && dims.size() <= std::size(kTags));
  return {dims, memory::data_type::f32, kTags[dims.size() - 1]};
}

memory::desc any_layout(const Dims& dims, memory::data_type type) {
  return {dims, type, Tag::any};
}

std::size_t elements(const Dims& dims) noexcept {
  return static_cast<std::size_t>(
      std::accumulate(dims.begin(), dims.end(), std::int64_t{1}, std::multiplies<>()));
}

Graph::Graph(Tape::Mode mode, std::size_t batch, bool rounds_factors)
    : training_(mode == Tape::Mode::train),
      rounds_factors_(rounds_factors),
      batch_(static_cast<std::int64_t>(batch)),
      engine_(dnnl::engine::kind::cpu, 0),
      stream_(engine_) {
  attributes_.set_scratchpad_mode(dnnl::scratchpad_mode::user);
}

dnnl::prop_kind Graph::kind() const noexcept {
  return training_ ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
}

Value Graph::make(const memory::desc& desc) {
  blocks_.push_back({});
  blocks_.back().bytes = aligned(desc.get_size());
  return {static_cast<int>(blocks_.size()) - 1, desc, true};
}

Value Graph::view(const Value& value, const memory::desc& desc) const {
  CHORUS_ASSERT(value.desc.get_size() == desc.get_size());
  return {value.block, desc, value.exclusive, value.first};
}

Value Graph::part(const Value& value, std::size_t first, const memory::desc& desc) const {
  CHORUS_ASSERT(first * sizeof(float) < value.desc.get_size());
  return {value.block, desc, false, value.first + first};
}

Value Graph::outside(const Dims& dims, float* numbers) {
  blocks_.push_back({});
  blocks_.back().outside = numbers;
  return {static_cast<int>(blocks_.size()) - 1, plain(dims), false};
}

Value Graph::keep(Value value) {
  Block& block = blocks_[static_cast<std::size_t>(value.block)];
  block.first = 0;
  block.last = ~std::size_t{0};
  value.exclusive = false;
  return value;
}

Value Graph::converted(Pass pass, const Value& value, const memory::desc& wanted) {
  if (value.desc == wanted) return value;
  const Value copy = make(wanted);
  convert(pass, value, copy);
  return copy;
}

void Graph::convert(Pass pass, const Value& from, const Value& to) {
  const dnnl::reorder::primitive_desc reorder(engine_, from.desc, engine_, to.desc, attributes_);
  step<dnnl::reorder>(pass, reorder, {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
}

Value Graph::copied(const Value& value) {
  const memory::desc wanted = plain(value.dims());
  if (value.desc != wanted) return converted(Pass::forward, value, wanted);
  const Value copy = make(wanted);
  step(Pass::forward, {value, copy}, [this, value, copy, count = elements(value.dims())] {
    std::copy_n(at(value), count, at(copy));
  });
  return copy;
}

float* Graph::at(const Value& value) const noexcept {
  const Block& block = blocks_[static_cast<std::size_t>(value.block)];
  if (block.outside != nullptr) return block.outside + value.first;
  const std::byte* const start = arena_.data() + block.offset;
  return const_cast<float*>(reinterpret_cast<const float*>(start)) + value.first;
}

void Graph::primitive_step(Pass pass,
                           const dnnl::primitive& primitive,
                           const memory::desc& scratch,
                           Bindings bindings) {
  Step made;
  made.primitive = primitive;
  for (const auto& [argument, value] : bindings) made.blocks.push_back(value.block);
  made.bindings = std::move(bindings);
  scratch_bytes_ = std::max(scratch_bytes_, scratch.get_size());
  made.bindings.emplace_back(DNNL_ARG_SCRATCHPAD, Value{-1, scratch, false});
  steps(pass).push_back(std::move(made));
}

void Graph::step(Pass pass, const std::vector<Value>& touches, Work work) {
  Step made;
  for (const Value& value : touches) {
    if (value) made.blocks.push_back(value.block);
  }
  made.work = std::move(work);
  steps(pass).push_back(std::move(made));
}

void Graph::on_backward(Backward backward, bool has_parameters) {
  if (training_) layers_.push_back({std::move(backward), parameters_before_});
  parameters_before_ = parameters_before_ || (has_parameters && !frozen_);
}

void Graph::add_to_mark(const std::string& name, const Value& gradient) {
  Value& known = mark_gradients_[name];
  known = sum(Pass::backward, known, gradient);
}

Value Graph::take_mark_gradient(const std::string& name) {
  const auto found = mark_gradients_.find(name);
  if (found == mark_gradients_.end()) return {};
  const Value gradient = found->second;
  mark_gradients_.erase(found);
  return gradient;
}

Value Graph::sum(Pass pass, const Value& a, const Value& b) {
  if (!a) return b;
  if (!b) return a;
  const Value right = converted(pass, b, a.desc);
  const Value out = a.exclusive ? a : make(a.desc);
  const std::size_t count = a.desc.get_size() / sizeof(float);
  step(pass, {a, right, out}, [this, a, right, out, count] {
    kernels::add_f32({at(a), count}, {at(right), count}, {at(out), count});
  });
  return out;
}

void Graph::finish(const Value& gradient_of_output) {
  Value gradient = gradient_of_output;
  for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) {
    gradient = layer->backward(gradient, layer->wanted);
    if (!layer->wanted) break;  // no parameters before this layer
  }
  layers_.clear();
  mark_gradients_.clear();
  for (std::size_t i = 0; i < forward_.size(); ++i) touch(i, forward_[i]);
  for (std::size_t i = 0; i < backward_.size(); ++i) touch(forward_.size() + i, backward_[i]);
  place_blocks();
  for (Step& one : forward_) bind(one);
  for (Step& one : backward_) bind(one);
}

void Graph::touch(std::size_t number, const Step& step) {
  for (const int index : step.blocks) {
    Block& block = blocks_[static_cast<std::size_t>(index)];
    block.first = std::min(block.first, number);
    block.last = std::max(block.last, number);
  }
}

// Blocks whose lives do not overlap may share memory: the largest first, each as low as it fits.
void Graph::place_blocks() {
  std::vector<Block*> order;
  for (Block& block : blocks_) {
    if (block.outside == nullptr && block.first <= block.last) order.push_back(&block);
  }
  std::stable_sort(order.begin(), order.end(), [](const Block* a, const Block* b) {
    return a->bytes > b->bytes;
  });
  std::vector<const Block*> placed;  // by offset
  std::size_t total = 0;
  for (Block* const block : order) {
    std::size_t offset = 0;
    for (const Block* const other : placed) {
      if (other->last < block->first || block->last < other->first) continue;
      if (offset + block->bytes <= other->offset) break;
      offset = std::max(offset, other->offset + other->bytes);
    }
    block->offset = offset;
    total = std::max(total, offset + block->bytes);
    placed.insert(
        std::upper_bound(placed.begin(),
                         placed.end(),
                         block,
                         [](const Block* a, const Block* b) { return a->offset < b->offset; }),
        block);
  }
  scratch_offset_ = total;
  arena_ = tensor::AlignedBuffer<std::byte>(total + aligned(scratch_bytes_) + kAlignment);
}

void Graph::bind(Step& step) {
  if (step.work) return;
  for (const auto& [argument, value] : step.bindings) {
    void* const numbers = argument == DNNL_ARG_SCRATCHPAD
                              ? static_cast<void*>(arena_.data() + scratch_offset_)
                              : static_cast<void*>(at(value));
    step.memories.emplace_back(value.desc, engine_, numbers);
    step.arguments.push_back({argument, step.memories.back().get()});
  }
  step.bindings.clear();
}

void Graph::run(Pass pass, const Running& running) {
  running_ = running;
  for (const Step& step : steps(pass)) {
    if (step.work) {
      step.work();
      continue;
    }
    const dnnl_status_t status = dnnl_primitive_execute(step.primitive.get(),
                                                        stream_.get(),
                                                        static_cast<int>(step.arguments.size()),
                                                        step.arguments.data());
    dnnl::error::wrap_c_api(status, "a step of the model failed");
  }
  stream_.wait();
}

}  // namespace chorus::train
