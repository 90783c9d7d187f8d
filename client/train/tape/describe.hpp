// How primitives are described to oneDNN 2. Version 3 has no descriptors apart (what they hold goes
// to the constructors of primitive_desc) and hides what a memory descriptor is made of: this file
// and its source are what it needs beside them. Internal to this folder.
#pragma once

#include <optional>

#include "chorus/kernels/channels.hpp"
#include "client/train/tape/graph.hpp"

namespace chorus::train::describe {

/// Where windows lie, by spatial dimension.
struct Windows {
  Dims kernel;
  Dims strides;
  Dims padding;
};

struct Convolution {
  Dims in;
  Dims out;
  Dims weight;  ///< with a first dimension of groups, if there are several
  Dims bias;    ///< empty: none
  Dims strides;
  Dims dilates;  ///< oneDNN counts from 0
  Dims padding;
  memory::data_type factors = memory::data_type::f32;  ///< of what is multiplied; sums are f32
};

/// Layouts are oneDNN's choice.
dnnl::convolution_forward::primitive_desc forward(const Graph& graph, const Convolution& c);
dnnl::convolution_backward_data::primitive_desc backward_data(
    const Graph& graph,
    const Convolution& c,
    const dnnl::convolution_forward::primitive_desc& forward);
dnnl::convolution_backward_weights::primitive_desc backward_weights(
    const Graph& graph,
    const Convolution& c,
    const dnnl::convolution_forward::primitive_desc& forward);

/// The output's layout is oneDNN's choice.
dnnl::pooling_forward::primitive_desc forward(const Graph& graph,
                                              dnnl::algorithm algorithm,
                                              const Windows& w,
                                              const memory::desc& in,
                                              const Dims& out);
dnnl::pooling_backward::primitive_desc backward(
    const Graph& graph,
    dnnl::algorithm algorithm,
    const Windows& w,
    const memory::desc& in,
    const memory::desc& out,
    const dnnl::pooling_forward::primitive_desc& forward);

/// Input and output are alike.
dnnl::eltwise_forward::primitive_desc forward(const Graph& graph,
                                              dnnl::algorithm algorithm,
                                              const memory::desc& x);
dnnl::eltwise_backward::primitive_desc backward(
    const Graph& graph,
    dnnl::algorithm algorithm,
    const memory::desc& x,
    const dnnl::eltwise_forward::primitive_desc& forward);

/// Over the last dimension of x; `rows` are its other ones.
struct LayerNorm {
  memory::desc x;
  Dims rows;
  float epsilon = 0.0F;
};
dnnl::layer_normalization_forward::primitive_desc forward(const Graph& graph, const LayerNorm& n);
dnnl::layer_normalization_backward::primitive_desc backward(
    const Graph& graph,
    const LayerNorm& n,
    const dnnl::layer_normalization_forward::primitive_desc& forward);

/// c = a·b + bias, or c += a·b; matrices.
struct Product {
  memory::desc a;
  memory::desc b;
  memory::desc c;
  memory::desc bias{};  ///< empty: none
  bool adds = false;
};
dnnl::matmul::primitive_desc product(const Graph& graph, const Product& p);

/// How a value's channels (dimension 1) lie; none: in no way that the loops over channels know.
std::optional<kernels::ChannelLayout> channels_of(const memory::desc& desc);

/// `value`, or a copy by a forward step, in a layout whose channels those loops know.
Value in_channels(Graph& graph, const Value& value);

}  // namespace chorus::train::describe
