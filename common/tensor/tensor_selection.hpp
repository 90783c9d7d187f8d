// Patterns of tensor names, and which tensors of a model a plan trains or keeps on the device.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/model.hpp"
#include "chorus/plan.hpp"
#include "chorus/result.hpp"

namespace chorus::tensor {

/// '*' stands for any characters (also none), '?' for one, everything else for itself.
bool matches(std::string_view pattern, std::string_view name) noexcept;

/// For every tensor of the layout, whether a pattern names it.
/// @param what  "local", for the error
/// @errors invalid_argument: a pattern that names no tensor
Result<std::vector<bool>> select(std::span<const std::string> patterns,
                                 const TensorLayout& layout,
                                 std::string_view what);

/// For every tensor, whether the plan lets training change it.
/// @errors invalid_argument: a pattern that names no tensor; nothing is left to train
Result<std::vector<bool>> trainable_of(const TrainPlan& plan, const TensorLayout& layout);

/// A run of elements of the flat vector.
struct Range {
  std::size_t offset = 0;
  std::size_t count = 0;
  bool operator==(const Range&) const = default;
};

/// The chosen tensors as few runs as there are, in order; without buffers unless asked for.
std::vector<Range> ranges_of(const std::vector<bool>& chosen,
                             const TensorLayout& layout,
                             bool buffers = false);

}  // namespace chorus::tensor
