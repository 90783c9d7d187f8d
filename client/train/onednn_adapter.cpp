#include "client/train/onednn_adapter.hpp"

#include <exception>
#include <new>
#include <numeric>
#include <string>
#include <unordered_map>
#include <utility>

#include <oneapi/dnnl/dnnl.hpp>

#include "common/base/assert.hpp"

// libdnnl brings libgomp along. <omp.h> would need -fopenmp's include path, and under clang would
// be that of another OpenMP library.
extern "C" {
void omp_set_num_threads(int threads);
int omp_get_max_threads(void);
}

namespace chorus::train {
namespace {

using dnnl::memory;
using Dims = memory::dims;
using Tag = memory::format_tag;
using Arguments = std::unordered_map<int, memory>;

memory::desc describe(const Dims& shape, Tag tag) {
  return {shape, memory::data_type::f32, tag};
}

memory::desc plain(const Dims& shape) {
  CHORUS_ASSERT(shape.size() == 1 || shape.size() == 2 || shape.size() == 4);
  const Tag tag = shape.size() == 1 ? Tag::a : shape.size() == 2 ? Tag::ab : Tag::abcd;
  return describe(shape, tag);
}

memory::desc any(const Dims& shape) {
  return describe(shape, Tag::any);
}

Dims shape_of(const memory& tensor) {
  return tensor.get_desc().dims();
}

std::size_t elements(const Dims& shape) {
  return static_cast<std::size_t>(
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>()));
}

// Steps one after the other.
class Program {
 public:
  void add(const dnnl::primitive& primitive, Arguments arguments) {
    steps_.push_back({primitive, std::move(arguments)});
  }
  void run(dnnl::stream& stream) const {
    for (const Step& step : steps_) step.primitive.execute(stream, step.arguments);
    stream.wait();
  }

 private:
  struct Step {
    dnnl::primitive primitive;
    Arguments arguments;
  };
  std::vector<Step> steps_;
};

Dims windowed_shape(const Dims& input, std::int64_t channels, const Window& window) {
  const auto places = [&window](std::int64_t side) {
    return (side + 2 * window.padding - window.kernel) / window.stride + 1;
  };
  return {input[0], channels, places(input[2]), places(input[3])};
}

// The three lists that oneDNN wants for a window.
struct WindowDims {
  explicit WindowDims(const Window& window)
      : kernel(2, window.kernel), stride(2, window.stride), padding(2, window.padding) {}
  Dims kernel;
  Dims stride;
  Dims padding;
};

// What the backward pass of a convolution needs of its forward pass.
struct Convolution {
  Dims in;
  Dims out;
  Dims weight_shape;
  WindowDims window;
  dnnl::convolution_forward::primitive_desc forward;
  memory input;          // as the layer before left it
  memory source;         // the same in forward's layout
  memory weight;         // plain, the parameters themselves
  memory packed_weight;  // the same in forward's layout
};

constexpr auto kConvolution = dnnl::algorithm::convolution_direct;

}  // namespace

struct Tape::Impl {
  // Adds the backward steps of one layer. @param gradient of its output; @param wanted whether the
  // gradient of its input is; returns that, or an empty memory.
  using BuildBackward = std::function<memory(const memory& gradient, bool wanted)>;
  struct Layer {
    BuildBackward build;
    bool wanted;  // a layer before this one has parameters
  };

  explicit Impl(bool training_in)
      : training(training_in), engine(dnnl::engine::kind::cpu, 0), stream(engine) {}

  dnnl::prop_kind kind() const {
    return training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
  }

  memory allocate(const memory::desc& desc) {
    memory fresh(desc, engine);
    keep.push_back(fresh);
    return fresh;
  }

  memory view(const memory::desc& desc, float* data) { return {desc, engine, data}; }

  void copy(Program& program, const memory& from, const memory& to) {
    program.add(dnnl::reorder(from, to), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
  }

  // `from` in the wanted layout: itself, or a copy that the program makes.
  memory in_layout(Program& program, const memory& from, const memory::desc& wanted) {
    if (from.get_desc() == wanted) return from;
    const memory to = allocate(wanted);
    copy(program, from, to);
    return to;
  }

  // Runs a step that writes `argument` in layout `made` so that the result ends in `target`.
  void add_into(Program& program,
                const dnnl::primitive& primitive,
                Arguments arguments,
                std::pair<int, memory::desc> output,
                const memory& target) {
    const bool direct = output.second == target.get_desc();
    const memory result = direct ? target : allocate(output.second);
    arguments.emplace(output.first, result);
    program.add(primitive, std::move(arguments));
    if (!direct) copy(program, result, target);
  }

  void add_weight_gradient(const Convolution& conv,
                           const memory& gradient,
                           const LayerTensors& tensors);
  memory add_input_gradient(const Convolution& conv, const memory& gradient);

  void push(BuildBackward build, bool has_parameters) {
    if (training) layers.push_back({std::move(build), parameters_before});
    parameters_before = parameters_before || has_parameters;
  }

  bool training;
  dnnl::engine engine;
  dnnl::stream stream;
  std::vector<memory> keep;  // views do not own their memory
  memory input;
  memory current;
  memory output_gradient;
  std::vector<Layer> layers;
  bool parameters_before = false;
  Program forward;
  Program backward;
};

Tape::Tape(Mode mode, const std::vector<std::int64_t>& shape)
    : impl_(std::make_unique<Impl>(mode == Mode::forward_and_backward)) {
  impl_->input = impl_->allocate(plain(shape));
  impl_->current = impl_->input;
}

Tape::~Tape() = default;

void Tape::dense(std::int64_t units, const LayerTensors& tensors) {
  Impl& tape = *impl_;
  const Dims in = shape_of(tape.current);
  CHORUS_ASSERT(in.size() == 2);
  // Plain layouts throughout: oneDNN then multiplies the flat parameter vector itself, and nothing
  // is reordered. Weights of dense layers are most of a model.
  const memory::desc source_desc = plain(in);
  const memory::desc weight_desc = plain({units, in[1]});
  const memory::desc bias_desc = plain({units});
  const memory::desc output_desc = plain({in[0], units});
  const dnnl::inner_product_forward::primitive_desc forward(
      {tape.kind(), source_desc, weight_desc, bias_desc, output_desc}, tape.engine);
  const memory source = tape.in_layout(tape.forward, tape.current, source_desc);
  const memory weight = tape.view(weight_desc, tensors.weight);
  const memory output = tape.allocate(output_desc);
  tape.forward.add(dnnl::inner_product_forward(forward),
                   {{DNNL_ARG_SRC, source},
                    {DNNL_ARG_WEIGHTS, weight},
                    {DNNL_ARG_BIAS, tape.view(bias_desc, tensors.bias)},
                    {DNNL_ARG_DST, output}});
  tape.current = output;

  const auto backward = [=, &tape](const memory& gradient_in, bool wanted) {
    const memory gradient = tape.in_layout(tape.backward, gradient_in, output_desc);
    const dnnl::inner_product_backward_weights::primitive_desc weights(
        {source_desc, weight_desc, bias_desc, output_desc}, tape.engine, forward);
    tape.backward.add(dnnl::inner_product_backward_weights(weights),
                      {{DNNL_ARG_SRC, source},
                       {DNNL_ARG_DIFF_DST, gradient},
                       {DNNL_ARG_DIFF_WEIGHTS, tape.view(weight_desc, tensors.weight_gradient)},
                       {DNNL_ARG_DIFF_BIAS, tape.view(bias_desc, tensors.bias_gradient)}});
    if (!wanted) return memory();
    const dnnl::inner_product_backward_data::primitive_desc data(
        {source_desc, weight_desc, output_desc}, tape.engine, forward);
    memory result = tape.allocate(source_desc);
    tape.backward.add(
        dnnl::inner_product_backward_data(data),
        {{DNNL_ARG_WEIGHTS, weight}, {DNNL_ARG_DIFF_DST, gradient}, {DNNL_ARG_DIFF_SRC, result}});
    return result;
  };
  tape.push(backward, true);
}

void Tape::Impl::add_weight_gradient(const Convolution& conv,
                                     const memory& gradient,
                                     const LayerTensors& tensors) {
  const WindowDims& w = conv.window;
  const memory::desc bias_desc = plain({conv.out[1]});
  const dnnl::convolution_backward_weights::primitive_desc weights({kConvolution,
                                                                    any(conv.in),
                                                                    any(conv.weight_shape),
                                                                    bias_desc,
                                                                    any(conv.out),
                                                                    w.stride,
                                                                    w.padding,
                                                                    w.padding},
                                                                   engine,
                                                                   conv.forward);
  // The input may be wanted in another layout than forwards.
  const bool same = weights.src_desc() == conv.source.get_desc();
  const memory source = same ? conv.source : in_layout(backward, conv.input, weights.src_desc());
  Arguments arguments = {
      {DNNL_ARG_SRC, source},
      {DNNL_ARG_DIFF_DST, in_layout(backward, gradient, weights.diff_dst_desc())},
      {DNNL_ARG_DIFF_BIAS, view(bias_desc, tensors.bias_gradient)}};
  add_into(backward,
           dnnl::convolution_backward_weights(weights),
           std::move(arguments),
           {DNNL_ARG_DIFF_WEIGHTS, weights.diff_weights_desc()},
           view(plain(conv.weight_shape), tensors.weight_gradient));
}

memory Tape::Impl::add_input_gradient(const Convolution& conv, const memory& gradient) {
  const WindowDims& w = conv.window;
  const dnnl::convolution_backward_data::primitive_desc data({kConvolution,
                                                              any(conv.in),
                                                              any(conv.weight_shape),
                                                              any(conv.out),
                                                              w.stride,
                                                              w.padding,
                                                              w.padding},
                                                             engine,
                                                             conv.forward);
  const bool same = data.weights_desc() == conv.packed_weight.get_desc();
  const memory weight =
      same ? conv.packed_weight : in_layout(backward, conv.weight, data.weights_desc());
  memory result = allocate(data.diff_src_desc());
  backward.add(dnnl::convolution_backward_data(data),
               {{DNNL_ARG_WEIGHTS, weight},
                {DNNL_ARG_DIFF_DST, in_layout(backward, gradient, data.diff_dst_desc())},
                {DNNL_ARG_DIFF_SRC, result}});
  return result;
}

void Tape::convolution(std::int64_t channels, const Window& window, const LayerTensors& tensors) {
  Impl& tape = *impl_;
  const Dims in = shape_of(tape.current);
  const Dims out = windowed_shape(in, channels, window);
  const Dims weight_shape = {channels, in[1], window.kernel, window.kernel};
  const WindowDims w(window);
  const memory::desc bias_desc = plain({channels});
  // oneDNN chooses the layouts: blocked ones are several times faster here.
  const dnnl::convolution_forward::primitive_desc forward({tape.kind(),
                                                           kConvolution,
                                                           any(in),
                                                           any(weight_shape),
                                                           bias_desc,
                                                           any(out),
                                                           w.stride,
                                                           w.padding,
                                                           w.padding},
                                                          tape.engine);
  const memory input = tape.current;
  const memory weight = tape.view(plain(weight_shape), tensors.weight);
  const memory source = tape.in_layout(tape.forward, input, forward.src_desc());
  const memory packed = tape.in_layout(tape.forward, weight, forward.weights_desc());
  const memory output = tape.allocate(forward.dst_desc());
  tape.forward.add(dnnl::convolution_forward(forward),
                   {{DNNL_ARG_SRC, source},
                    {DNNL_ARG_WEIGHTS, packed},
                    {DNNL_ARG_BIAS, tape.view(bias_desc, tensors.bias)},
                    {DNNL_ARG_DST, output}});
  tape.current = output;

  const Convolution conv{in, out, weight_shape, w, forward, input, source, weight, packed};
  const auto backward = [=, &tape](const memory& gradient, bool wanted) {
    tape.add_weight_gradient(conv, gradient, tensors);
    return wanted ? tape.add_input_gradient(conv, gradient) : memory();
  };
  tape.push(backward, true);
}

void Tape::max_pool(const Window& window) {
  Impl& tape = *impl_;
  const memory source = tape.current;
  const Dims out = windowed_shape(shape_of(source), shape_of(source)[1], window);
  const WindowDims w(window);
  const dnnl::pooling_forward::primitive_desc forward({tape.kind(),
                                                       dnnl::algorithm::pooling_max,
                                                       source.get_desc(),
                                                       any(out),
                                                       w.stride,
                                                       w.kernel,
                                                       w.padding,
                                                       w.padding},
                                                      tape.engine);
  const memory output = tape.allocate(forward.dst_desc());
  Arguments arguments = {{DNNL_ARG_SRC, source}, {DNNL_ARG_DST, output}};
  memory workspace;  // where each maximum was found
  if (tape.training) {
    workspace = tape.allocate(forward.workspace_desc());
    arguments.emplace(DNNL_ARG_WORKSPACE, workspace);
  }
  tape.forward.add(dnnl::pooling_forward(forward), std::move(arguments));
  tape.current = output;

  const auto backward = [=, &tape](const memory& gradient, bool wanted) {
    if (!wanted) return memory();
    const dnnl::pooling_backward::primitive_desc data({dnnl::algorithm::pooling_max,
                                                       source.get_desc(),
                                                       output.get_desc(),
                                                       w.stride,
                                                       w.kernel,
                                                       w.padding,
                                                       w.padding},
                                                      tape.engine,
                                                      forward);
    memory result = tape.allocate(source.get_desc());
    tape.backward.add(
        dnnl::pooling_backward(data),
        {{DNNL_ARG_DIFF_DST, tape.in_layout(tape.backward, gradient, output.get_desc())},
         {DNNL_ARG_WORKSPACE, workspace},
         {DNNL_ARG_DIFF_SRC, result}});
    return result;
  };
  tape.push(backward, false);
}

void Tape::relu() {
  Impl& tape = *impl_;
  // In place, and its derivative from its own output: no layer before needs what it overwrites
  // (convolution and dense keep their inputs, pooling its workspace).
  const memory data = tape.current;
  const auto algorithm = dnnl::algorithm::eltwise_relu_use_dst_for_bwd;
  const dnnl::eltwise_forward::primitive_desc forward(
      {tape.kind(), algorithm, data.get_desc(), 0.0F}, tape.engine);
  tape.forward.add(dnnl::eltwise_forward(forward), {{DNNL_ARG_SRC, data}, {DNNL_ARG_DST, data}});

  const auto backward = [=, &tape](const memory& gradient_in, bool wanted) {
    if (!wanted) return memory();
    const memory::desc desc = data.get_desc();
    const memory gradient = tape.in_layout(tape.backward, gradient_in, desc);
    const dnnl::eltwise_backward::primitive_desc derivative(
        {algorithm, desc, desc, 0.0F}, tape.engine, forward);
    tape.backward.add(
        dnnl::eltwise_backward(derivative),
        {{DNNL_ARG_DST, data}, {DNNL_ARG_DIFF_DST, gradient}, {DNNL_ARG_DIFF_SRC, gradient}});
    return gradient;
  };
  tape.push(backward, false);
}

void Tape::flatten() {
  Impl& tape = *impl_;
  const Dims in = shape_of(tape.current);
  if (in.size() == 2) return;
  const Dims flat = {in[0], in[1] * in[2] * in[3]};
  const memory rows = tape.in_layout(tape.forward, tape.current, plain(in));
  tape.current = tape.view(plain(flat), static_cast<float*>(rows.get_data_handle()));

  const auto backward = [=, &tape](const memory& gradient, bool wanted) {
    if (!wanted) return memory();
    const memory plain_rows = tape.in_layout(tape.backward, gradient, plain(flat));
    return tape.view(plain(in), static_cast<float*>(plain_rows.get_data_handle()));
  };
  tape.push(backward, false);
}

void Tape::finish() {
  Impl& tape = *impl_;
  const Dims out = shape_of(tape.current);
  CHORUS_ASSERT(out.size() == 2);
  tape.current = tape.in_layout(tape.forward, tape.current, plain(out));
  if (!tape.training) return;
  tape.output_gradient = tape.allocate(plain(out));
  memory gradient = tape.output_gradient;
  for (auto layer = tape.layers.rbegin(); layer != tape.layers.rend(); ++layer) {
    gradient = layer->build(gradient, layer->wanted);
    if (!layer->wanted) break;  // no parameters before this layer
  }
  tape.layers.clear();
}

std::span<float> Tape::input() noexcept {
  return {static_cast<float*>(impl_->input.get_data_handle()), elements(shape_of(impl_->input))};
}

std::span<const float> Tape::output() const noexcept {
  return {static_cast<const float*>(impl_->current.get_data_handle()),
          elements(shape_of(impl_->current))};
}

std::span<float> Tape::output_gradient() noexcept {
  CHORUS_ASSERT(impl_->training);
  return {static_cast<float*>(impl_->output_gradient.get_data_handle()),
          elements(shape_of(impl_->output_gradient))};
}

void Tape::forward() {
  impl_->forward.run(impl_->stream);
}

void Tape::backward() {
  impl_->backward.run(impl_->stream);
}

ThreadLimit::ThreadLimit(unsigned threads) noexcept : before_(omp_get_max_threads()) {
  omp_set_num_threads(static_cast<int>(threads));
}

ThreadLimit::~ThreadLimit() {
  omp_set_num_threads(before_);
}

Result<void> guarded(const std::function<void()>& work) {
  try {
    work();
    return {};
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
