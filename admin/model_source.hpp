// Model files of every kind, read for the commands that look at them.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "chorus/model.hpp"
#include "chorus/plan.hpp"
#include "chorus/result.hpp"
#include "common/onnx/onnx.hpp"
#include "common/tensor/weights.hpp"

namespace chorus::admin {

struct ModelSource {
  std::string format;              ///< "TOML", "ONNX 13 of pytorch 1.13.0", "safetensors"
  std::optional<ModelSpec> model;  ///< not there: weights alone, or nodes without a layer
  std::vector<float> parameters;   ///< empty: none in the file
  std::optional<TrainPlan> train;  ///< of a TOML file
  std::vector<FeatureScale>
      normalise;                   ///< what the model expects of its inputs; none: nothing said
  tensor::Weights weights;         ///< of a safetensors file that names no architecture
  std::vector<std::string> notes;  ///< what was understood in a way worth knowing
  std::vector<onnx::Problem> problems;
};

/// By the file's ending: .toml (a model or a job), .onnx, .safetensors.
/// @errors invalid_argument: another ending; and of reading
Result<ModelSource> load_source(const std::filesystem::path& file);
/// The same for a file that a job names, which names no further ones.
Result<ModelSource> load_named_source(const std::filesystem::path& file);

}  // namespace chorus::admin
