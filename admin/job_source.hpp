// Job files whose [model] names other files: what is there is put in their place before the job
// goes to a server, which sees no file of this machine.
//
//   [model]
//   onnx = "model.onnx"               or  file = "…" (.toml, .onnx, .safetensors)
//   weights = "start.safetensors"     or  "none": drawn by the job's seed
//
// Paths are relative to the job file. Without `weights`, those of an .onnx or .safetensors file are
// the job's first.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/result.hpp"

namespace chorus::admin {

struct JobSource {
  std::string toml;               ///< with the layers inline
  std::vector<float> parameters;  ///< empty: drawn by the job's seed
  std::vector<std::string> notes;
};

/// @errors malformed_file: keys that exclude each other, or a result longer than kJobFileBytesMax;
///         shape_mismatch: weights that are not the model's; unsupported_feature: nodes without a
///         layer; of reading any of the files
Result<JobSource> load_job(const std::filesystem::path& file);
/// @param folder  where relative paths start
Result<JobSource> expand_job(std::string text,
                             const std::string& file_name,
                             const std::filesystem::path& folder);

}  // namespace chorus::admin
