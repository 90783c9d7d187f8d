// What a Tape is made of: values (tensors with a layout) in one arena, and steps that compute them.
// Internal to this folder. Layers are added in layers.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <oneapi/dnnl/dnnl.hpp>

#include "client/train/tape/tape.hpp"
#include "common/tensor/aligned_buffer.hpp"

namespace chorus::train {

using dnnl::memory;
using Dims = memory::dims;

memory::desc plain(const Dims& dims);  ///< row-major
/// As oneDNN likes.
memory::desc any_layout(const Dims& dims, memory::data_type type = memory::data_type::f32);
std::size_t elements(const Dims& dims) noexcept;

/// A tensor somewhere: which block of memory, in which layout. Several values may share a block.
struct Value {
  int block = -1;  ///< -1: none
  memory::desc desc{};
  bool exclusive = false;  ///< nobody else needs these numbers: the reader may overwrite them
  std::size_t first = 0;   ///< float32 numbers of the block before it

  explicit operator bool() const noexcept { return block >= 0; }
  Dims dims() const { return desc.dims(); }
};

/// A tensor of the model: where its numbers and its gradient are.
struct Tensor {
  Value value;
  Value gradient;        ///< none with Mode::evaluate
  int place = 0;         ///< in the layout
  bool trained = false;  ///< its gradient is wanted
};

enum class Pass : std::uint8_t { forward, backward };

/// What own steps may ask for while they run.
struct Running {
  std::uint64_t key = 0;  ///< of randomness
  std::uint64_t step = 0;
  const FusedStep* fused = nullptr;
};

class Graph {
 public:
  /// Adds the backward steps of one layer: `gradient` of its output, whether that of its input is
  /// wanted; returns it, or nothing.
  using Backward = std::function<Value(const Value& gradient, bool wanted)>;
  using Bindings = std::vector<std::pair<int, Value>>;
  using Work = std::function<void()>;

  Graph(Tape::Mode mode, std::size_t batch, bool rounds_factors);

  bool training() const noexcept { return training_; }
  /// Whether factors are rounded to bf16 where that pays.
  bool rounds_factors() const noexcept { return rounds_factors_; }
  std::int64_t batch() const noexcept { return batch_; }
  const dnnl::engine& engine() const noexcept { return engine_; }
  const Running& running() const noexcept { return running_; }
  dnnl::prop_kind kind() const noexcept;
  /// Scratch memory comes from the arena; give this to every primitive's description.
  const dnnl::primitive_attr& attributes() const noexcept { return attributes_; }

  // ---- values ----
  Value make(const memory::desc& desc);
  Value make(const Dims& dims) { return make(plain(dims)); }
  /// The same numbers under another description of the same size.
  Value view(const Value& value, const memory::desc& desc) const;
  /// Some of its float32 numbers, from number `first` on.
  Value part(const Value& value, std::size_t first, const memory::desc& desc) const;
  Value outside(const Dims& dims, float* numbers);
  /// Stays where it is from before the first step to after the last one.
  Value keep(Value value);
  /// `value` in the wanted layout: itself, or a copy made by a step.
  Value converted(Pass pass, const Value& value, const memory::desc& wanted);
  /// to ← from, whatever their layouts and types.
  void convert(Pass pass, const Value& from, const Value& to);
  /// The same numbers, row-major, in a place of their own.
  Value copied(const Value& value);
  Value rows(Pass pass, const Value& value) { return converted(pass, value, plain(value.dims())); }
  /// Address of the first number. Only once finish() ran, so: in work, not around it.
  float* at(const Value& value) const noexcept;

  // ---- steps ----
  /// The primitive P, as `desc` describes it; scratch memory is added to the bindings.
  template <class P>
  void step(Pass pass, const typename P::primitive_desc& desc, Bindings bindings) {
    primitive_step(pass, P(desc), desc.scratchpad_desc(), std::move(bindings));
  }
  /// @param touches  every value that the work reads or writes
  void step(Pass pass, const std::vector<Value>& touches, Work work);
  /// Remembers how to go back through the layer that was just added.
  void on_backward(Backward backward, bool has_parameters = false);
  /// The layer that is added next has no parameters to train.
  void set_frozen(bool frozen) noexcept { frozen_ = frozen; }
  /// Marks a tensor that its backward step can step itself.
  void can_fuse(const Tensor& tensor) { fusable_.push_back(tensor.place); }

  // ---- while the model is walked through ----
  Value current;                                 ///< output of the layer before
  std::unordered_map<std::string, Value> marks;  ///< by name
  /// Adds to the gradient that a mark receives. Call while backward steps are built.
  void add_to_mark(const std::string& name, const Value& gradient);
  Value take_mark_gradient(const std::string& name);
  /// a + b as a new value (or a itself, overwritten); either may be none.
  Value sum(Pass pass, const Value& a, const Value& b);

  /// Builds the backward pass, beginning with `gradient`, and places everything in the arena.
  void finish(const Value& gradient);

  void run(Pass pass, const Running& running);
  std::size_t arena_bytes() const noexcept { return arena_.size(); }
  const std::vector<int>& fusable() const noexcept { return fusable_; }

 private:
  struct Block {
    std::size_t bytes = 0;
    float* outside = nullptr;
    std::size_t offset = 0;
    std::size_t first = ~std::size_t{0};  // step that touches it first
    std::size_t last = 0;
  };
  struct Step {
    std::vector<int> blocks;
    dnnl::primitive primitive{};
    Bindings bindings{};
    std::vector<memory> memories{};
    std::vector<dnnl_exec_arg_t> arguments{};
    Work work{};
  };
  struct Layer {
    Backward backward;
    bool wanted;
  };

  void primitive_step(Pass pass,
                      const dnnl::primitive& primitive,
                      const memory::desc& scratch,
                      Bindings bindings);
  std::vector<Step>& steps(Pass pass) { return pass == Pass::forward ? forward_ : backward_; }
  void touch(std::size_t number, const Step& step);
  void place_blocks();
  void bind(Step& step);

  bool training_;
  bool rounds_factors_;
  std::int64_t batch_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::primitive_attr attributes_;
  std::vector<Block> blocks_;
  std::vector<Step> forward_;
  std::vector<Step> backward_;
  std::vector<Layer> layers_;
  std::unordered_map<std::string, Value> mark_gradients_;
  std::vector<int> fusable_;
  bool parameters_before_ = false;
  bool frozen_ = false;
  std::size_t scratch_bytes_ = 0;
  std::size_t scratch_offset_ = 0;
  tensor::AlignedBuffer<std::byte> arena_;
  Running running_;
};

}  // namespace chorus::train
