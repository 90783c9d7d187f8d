// A version file read whole: safetensors with the architecture in its metadata.
#pragma once

#include <filesystem>

#include "chorus/model.hpp"
#include "chorus/result.hpp"
#include "common/tensor/aligned_buffer.hpp"

namespace chorus::tensor {

struct VersionFile {
  ModelSpec model;
  TensorLayout layout;              ///< of `model`
  AlignedBuffer<float> parameters;  ///< f32[layout.parameters]
};

/// Reads a version as the server and `chorus model export` write it. A failure's detail names the
/// file.
/// @errors as read_safetensors(); malformed_file: no architecture, or tensors that are not those of
///         the architecture
Result<VersionFile> read_version(const std::filesystem::path& path);

}  // namespace chorus::tensor
