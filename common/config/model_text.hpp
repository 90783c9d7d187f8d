// A model as the [model] table of a job file.
#pragma once

#include <string>

#include "chorus/model.hpp"
#include "chorus/result.hpp"

namespace chorus::config {

/// [model] with a layer per line; what has its default is left out. read_model() reads it back as
/// the same model.
/// @errors as layout_of
Result<std::string> model_text(const ModelSpec& model);

/// The same without its header; `loss` says whether the loss and its options are among the keys.
/// @errors as layout_of
Result<std::string> model_keys(const ModelSpec& model, bool loss);

}  // namespace chorus::config
