// Weights from elsewhere: safetensors files that are no versions of ours, such as a PyTorch
// state_dict.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "chorus/model.hpp"
#include "chorus/result.hpp"
#include "common/tensor/safetensors.hpp"

namespace chorus::tensor {

struct Weight {
  std::string name;
  std::vector<std::uint64_t> shape;
  std::vector<float> values;
};

struct Weights {
  std::vector<Weight> tensors;  ///< in the order of the file's data
  Metadata metadata;
};

/// Reads a safetensors file of F32, F64, F16 or BF16 tensors as float32. PyTorch's
/// num_batches_tracked is passed over.
/// @errors malformed_file; unsupported_feature: another dtype; not_found, io_failed
Result<Weights> read_weights(const std::filesystem::path& path);

/// The model's flat vector, by names and shapes.
/// @param start  f32[layout.parameters]: where adapters (is_adapter_name) begin that the weights
///               lack, as those of the model that is adapted do; empty: they are missing
/// @return f32[layout.parameters]
/// @errors shape_mismatch: every tensor that is missing, not the model's, or of another shape
Result<std::vector<float>> parameters_from(const TensorLayout& layout,
                                           const Weights& weights,
                                           std::span<const float> start = {});

}  // namespace chorus::tensor
