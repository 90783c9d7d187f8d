// A model from one of the files that hold models, for the commands that work without a server.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "chorus/model.hpp"
#include "chorus/plan.hpp"
#include "chorus/result.hpp"

namespace chorus::agent {

struct ModelSource {
  ModelSpec model;
  TrainPlan train;                ///< of a TOML file; otherwise the defaults and how a version says
  std::vector<float> parameters;  ///< f32[layout_of(model).parameters]
};

/// A model or job file (.toml), whose parameters are drawn with `seed` as the server of a job with
/// that seed would; or a version (.safetensors), whose parameters are the file's.
/// @errors malformed_file; not_found, io_failed; invalid_argument: another ending
Result<ModelSource> load_model(const std::filesystem::path& path, std::uint64_t seed);

}  // namespace chorus::agent
