// Adds one layer to a graph: forward steps now, backward steps when Graph::finish() asks. Internal
// to this folder.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "chorus/layers.hpp"
#include "client/train/tape/graph.hpp"

namespace chorus::train {

/// The tensors of the layer, in the order of its layout, and what makes its randomness its own.
struct Place {
  std::span<const Tensor> tensors;
  std::uint64_t number = 0;  ///< of the layer in the model
};

// dense.cpp
void add_layer(Graph& graph, const Dense& layer, const Place& place);
void add_layer(Graph& graph, const Embedding& layer, const Place& place);
void add_layer(Graph& graph, const PositionEmbedding& layer, const Place& place);

// convolution.cpp
void add_layer(Graph& graph, const Conv2d& layer, const Place& place);
void add_layer(Graph& graph, const Conv1d& layer, const Place& place);

// pooling.cpp
void add_layer(Graph& graph, const MaxPool2d& layer, const Place& place);
void add_layer(Graph& graph, const MaxPool1d& layer, const Place& place);
void add_layer(Graph& graph, const AvgPool2d& layer, const Place& place);
void add_layer(Graph& graph, const AvgPool1d& layer, const Place& place);
void add_layer(Graph& graph, const GlobalAvgPool& layer, const Place& place);
void add_layer(Graph& graph, const GlobalMaxPool& layer, const Place& place);

// activation.cpp
void add_layer(Graph& graph, const Relu& layer, const Place& place);
void add_layer(Graph& graph, const LeakyRelu& layer, const Place& place);
void add_layer(Graph& graph, const Gelu& layer, const Place& place);
void add_layer(Graph& graph, const Silu& layer, const Place& place);
void add_layer(Graph& graph, const Tanh& layer, const Place& place);
void add_layer(Graph& graph, const Sigmoid& layer, const Place& place);
void add_layer(Graph& graph, const Softmax& layer, const Place& place);
void add_layer(Graph& graph, const Dropout& layer, const Place& place);

// batch_norm.cpp
void add_layer(Graph& graph, const BatchNorm& layer, const Place& place);
// layer_norm.cpp
void add_layer(Graph& graph, const LayerNorm& layer, const Place& place);
// group_norm.cpp
void add_layer(Graph& graph, const GroupNorm& layer, const Place& place);
void add_layer(Graph& graph, const ScaleShift& layer, const Place& place);

// recurrent.cpp
void add_layer(Graph& graph, const Lstm& layer, const Place& place);
void add_layer(Graph& graph, const Gru& layer, const Place& place);
// attention.cpp
void add_layer(Graph& graph, const SelfAttention& layer, const Place& place);

// structure.cpp
void add_layer(Graph& graph, const Flatten& layer, const Place& place);
void add_layer(Graph& graph, const Reshape& layer, const Place& place);
void add_layer(Graph& graph, const Transpose& layer, const Place& place);
void add_layer(Graph& graph, const Mark& layer, const Place& place);
void add_layer(Graph& graph, const Branch& layer, const Place& place);
void add_layer(Graph& graph, const Add& layer, const Place& place);
void add_layer(Graph& graph, const Concat& layer, const Place& place);

}  // namespace chorus::train
