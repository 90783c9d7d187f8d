// A version file read whole: safetensors with architecture and normalisation in its metadata.
#pragma once

#include <filesystem>
#include <vector>

#include "chorus/feature_scale.hpp"
#include "chorus/model.hpp"
#include "chorus/result.hpp"
#include "common/tensor/aligned_buffer.hpp"

namespace chorus::tensor {

struct VersionFile {
  ModelSpec model;
  std::vector<FeatureScale> normalise;  ///< of the job, for inputs; none: as the device decided
  TensorLayout layout;                  ///< of `model`
  AlignedBuffer<float> parameters;      ///< f32[layout.parameters]
};

/// Reads a version as the server and `chorus model export` write it. A failure's detail names the
/// file.
/// @errors as read_safetensors(); malformed_file: no architecture, scales that do not fit it, or
///         tensors that are not those of the architecture
Result<VersionFile> read_version(const std::filesystem::path& path);

}  // namespace chorus::tensor
