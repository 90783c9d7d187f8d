// The one place that decides what a layer without a name is called.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/model.hpp"
#include "chorus/result.hpp"

namespace chorus::tensor {

/// "dense", "conv2d", "max_pool2d", "relu", "flatten": as in job files, JSON and error messages.
std::string_view kind_of(const Layer& layer) noexcept;

/// Names of all layers; those without parameters have an empty one. The n-th dense layer of the
/// model (counting from 1, named ones too) is "dense<n>" unless it has a name, the n-th
/// convolution "conv<n>".
/// @errors invalid_argument: a name that is a duplicate, longer than limits::kNameBytesMax, or has
///         characters other than A-Z a-z 0-9 . _ -
Result<std::vector<std::string>> layer_names(const ModelSpec& model);

/// "layer 3 (dense 'dense1')", for error messages; counts from 1.
std::string describe_layer(const ModelSpec& model, std::size_t index);

/// "1x28x28", for error messages.
std::string describe_shape(const std::vector<std::uint64_t>& shape);

}  // namespace chorus::tensor
