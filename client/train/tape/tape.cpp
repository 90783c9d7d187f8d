#include "client/train/tape/tape.hpp"

#include <algorithm>
#include <exception>
#include <new>
#include <string>

#include "client/train/tape/layers.hpp"
#include "common/base/assert.hpp"
#include "common/tensor/layer_fields.hpp"

// libdnnl brings libgomp along. <omp.h> would need -fopenmp's include path, and under clang would
// be that of another OpenMP library.
extern "C" {
void omp_set_num_threads(int threads);
int omp_get_max_threads(void);
}

namespace chorus::train {
namespace {

std::int64_t dim(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}

Dims dims_of(const std::vector<std::uint64_t>& shape) {
  Dims dims;
  for (const std::uint64_t side : shape) dims.push_back(dim(side));
  return dims;
}

std::vector<Tensor> tensors_of(Graph& graph, const Tape::Options& options) {
  std::vector<Tensor> tensors;
  for (const TensorSpec& spec : options.layout->tensors) {
    Tensor tensor;
    tensor.place = static_cast<int>(tensors.size());
    tensor.value = graph.outside(dims_of(spec.shape), options.parameters + spec.offset);
    if (options.gradient != nullptr && !spec.buffer) {
      tensor.gradient = graph.outside(dims_of(spec.shape), options.gradient + spec.offset);
      tensor.trained = options.trained == nullptr || (*options.trained)[tensors.size()];
    }
    tensors.push_back(tensor);
  }
  return tensors;
}

// How many tensors of the layout belong to a layer.
struct CountTensors {
  std::size_t operator()(const Dense& dense) const { return linear(dense); }
  std::size_t operator()(const Conv2d& conv) const { return linear(conv); }
  std::size_t operator()(const Conv1d& conv) const { return linear(conv); }
  std::size_t operator()(const Embedding&) const { return 1; }
  std::size_t operator()(const PositionEmbedding&) const { return 1; }
  std::size_t operator()(const BatchNorm&) const { return 4; }
  std::size_t operator()(const LayerNorm&) const { return 2; }
  std::size_t operator()(const GroupNorm&) const { return 2; }
  std::size_t operator()(const ScaleShift&) const { return 2; }
  std::size_t operator()(const Lstm& lstm) const { return recurrent(lstm); }
  std::size_t operator()(const Gru& gru) const { return recurrent(gru); }
  std::size_t operator()(const SelfAttention& attention) const {
    return attention.lora_rank > 0 ? 8 : 4;
  }
  template <class L>
  std::size_t operator()(const L&) const {
    static_assert(!tensor::has_tensors<L>);
    return 0;
  }

 private:
  template <class L>
  static std::size_t linear(const L& layer) {
    return (layer.bias ? 2 : 1) + (layer.lora_rank > 0 ? 2 : 0);
  }
  template <class L>
  static std::size_t recurrent(const L& layer) {
    return 4 * layer.depth * (layer.bidirectional ? 2 : 1);
  }
};

}  // namespace

struct Tape::Impl {
  explicit Impl(const Options& options)
      : graph(options.mode, options.batch, rounds_factors(options.factors)) {
    Dims dims{graph.batch()};
    for (const std::uint64_t side : options.model->input_shape) dims.push_back(dim(side));
    const Value from = graph.keep(graph.make(dims));
    graph.current = from;
    Value observing;
    const std::vector<Tensor> tensors = tensors_of(graph, options);
    std::size_t next = 0;
    for (std::size_t i = 0; i < options.model->layers.size(); ++i) {
      const Layer& layer = options.model->layers[i];
      const std::size_t count = std::visit(CountTensors{}, layer);
      const Place place{std::span(tensors).subspan(next, count), i};
      graph.set_frozen(std::none_of(
          place.tensors.begin(), place.tensors.end(), [](const Tensor& t) { return t.trained; }));
      std::visit([&](const auto& one) { add_layer(graph, one, place); }, layer);
      if (i == options.observed) observing = graph.keep(graph.copied(graph.current));
      next += count;
    }
    CHORUS_ASSERT(next == tensors.size());
    const Value to = graph.keep(graph.rows(Pass::forward, graph.current));
    const Value back = graph.training() ? graph.keep(graph.make(to.dims())) : Value{};
    graph.finish(back);
    input = numbers(from);
    output = numbers(to);
    observed = numbers(observing);
    output_gradient = numbers(back);
    fusable.resize(tensors.size());
    for (const int tensor : graph.fusable()) fusable[static_cast<std::size_t>(tensor)] = true;
  }

  std::span<float> numbers(const Value& value) const {
    if (!value) return {};
    return {graph.at(value), elements(value.dims())};
  }

  static bool rounds_factors(Factors factors) noexcept {
    return factors == Factors::bf16 || (factors == Factors::fast && multiplies_bf16());
  }

  Graph graph;
  std::span<float> input;
  std::span<float> output;
  std::span<float> observed;  // empty: nothing is
  std::span<float> output_gradient;
  Running running;
  std::vector<bool> fusable;
};

Tape::Tape(const Options& options) : impl_(std::make_unique<Impl>(options)) {}

Tape::~Tape() = default;

std::span<float> Tape::input() noexcept {
  return impl_->input;
}

std::span<const float> Tape::output() const noexcept {
  return impl_->output;
}

std::span<const float> Tape::observed() const noexcept {
  return impl_->observed;
}

std::span<float> Tape::output_gradient() noexcept {
  CHORUS_ASSERT(impl_->graph.training());
  return impl_->output_gradient;
}

void Tape::set_randomness(std::uint64_t key, std::uint64_t step) noexcept {
  impl_->running.key = key;
  impl_->running.step = step;
}

void Tape::forward() {
  impl_->running.fused = nullptr;
  impl_->graph.run(Pass::forward, impl_->running);
}

void Tape::backward(const FusedStep* fused) {
  impl_->running.fused = fused;
  impl_->graph.run(Pass::backward, impl_->running);
}

bool Tape::fused(std::size_t tensor) const noexcept {
  return impl_->fusable[tensor];
}

std::size_t Tape::arena_bytes() const noexcept {
  return impl_->graph.arena_bytes();
}

ThreadLimit::ThreadLimit(unsigned threads) noexcept : before_(omp_get_max_threads()) {
  omp_set_num_threads(static_cast<int>(threads));
}

ThreadLimit::~ThreadLimit() {
  omp_set_num_threads(before_);
}

namespace {

bool has(dnnl::cpu_isa wanted) noexcept {
  const auto known = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  const auto bits = static_cast<unsigned>(wanted);
  return bits != 0 && (known & bits) == bits;
}

}  // namespace

bool multiplies_bf16() noexcept {
  return has(dnnl::cpu_isa::avx512_core_bf16);
}

bool computes_bf16() noexcept {
  return has(dnnl::cpu_isa::avx512_core);
}

Failure failure_of_exception() {
  try {
    throw;
  } catch (const dnnl::error& error) {
    const std::string what = std::string("oneDNN: ") + error.what();
    if (error.status == dnnl_out_of_memory) return fail(errc::busy, what + ": no memory");
    if (error.status == dnnl_unimplemented) return fail(errc::unsupported_feature, what);
    return fail(errc::internal, what);
  } catch (const std::bad_alloc&) {
    return fail(errc::busy, "no memory for the model's activations; use smaller batches");
  } catch (const std::exception& error) {
    return fail(errc::internal, error.what());
  }
}

}  // namespace chorus::train
