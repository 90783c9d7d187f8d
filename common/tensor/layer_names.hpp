// The one place that decides what a layer without a name is called.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/model.hpp"
#include "chorus/result.hpp"

namespace chorus::tensor {

/// "dense", "conv2d", …: as in job files, JSON and error messages.
std::string_view kind_of(const Layer& layer) noexcept;

/// At most limits::kNameBytesMax characters out of A-Z a-z 0-9 . _ -
bool is_name(std::string_view text) noexcept;

/// Losses as in job files and JSON.
struct LossName {
  std::string_view name;
  Loss loss;
};
inline constexpr std::array kLossNames{
    LossName{"softmax_cross_entropy", Loss::softmax_cross_entropy},
    LossName{"binary_cross_entropy", Loss::binary_cross_entropy},
    LossName{"mean_squared_error", Loss::mean_squared_error},
    LossName{"mean_absolute_error", Loss::mean_absolute_error},
    LossName{"huber", Loss::huber},
    LossName{"cox_partial_likelihood", Loss::cox_partial_likelihood}};
std::string_view name_of(Loss loss) noexcept;  ///< "unknown" for what is not in the list

/// Names a layer that has tensors; nothing happens to others.
void set_name(Layer& layer, std::string name);

/// Names of all layers; those without tensors have an empty one. The n-th dense layer of the model
/// (counting from 1, named ones too) is "dense<n>" unless it has a name, the n-th Conv2d "conv<n>",
/// and so on (LayerTraits::prefix).
/// @errors invalid_argument: a name that is a duplicate, longer than limits::kNameBytesMax, or has
///         characters other than A-Z a-z 0-9 . _ -
Result<std::vector<std::string>> layer_names(const ModelSpec& model);

/// "layer 3 (dense 'dense1')", for error messages; counts from 1.
std::string describe_layer(const ModelSpec& model, std::size_t index);

/// "1x28x28", for error messages.
std::string describe_shape(const std::vector<std::uint64_t>& shape);

}  // namespace chorus::tensor
