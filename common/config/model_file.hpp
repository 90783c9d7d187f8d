// A model in a file of its own (examples/models/*.toml): [model] as in job files, and [train] if it
// says how the model is usually trained.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "chorus/model.hpp"
#include "chorus/plan.hpp"
#include "chorus/result.hpp"

namespace chorus::config {

struct ModelFile {
  std::string description;  ///< what the model is for
  ModelSpec model;          ///< checked: layout_of() succeeds
  TrainPlan train;          ///< the defaults where the file says nothing
};

/// Reads a model file. A job file (one with [job]) is one, too: its other tables are passed over.
/// @errors malformed_file: every problem with line, key, value and what was expected
Result<ModelFile> parse_model_file(std::string_view text, const std::string& file_name);

/// @errors as parse_model_file(), and of reading the file
Result<ModelFile> load_model_file(const std::filesystem::path& path);

}  // namespace chorus::config
