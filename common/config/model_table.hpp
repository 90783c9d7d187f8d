// [model] and [[model.layers]] of job files and model files.
#pragma once

#include "chorus/model.hpp"
#include "common/config/toml_reader.hpp"

namespace chorus::config {

/// Reads a model, checks that its layers fit together, and gives every layer that has tensors its
/// name. Problems are noted in the table's file.
void read_model(const TomlTable& table, ModelSpec& into);

}  // namespace chorus::config
