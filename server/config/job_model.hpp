// [model] and [[model.layers]] of job.toml.
#pragma once

#include "chorus/model.hpp"
#include "common/config/toml_reader.hpp"

namespace chorus::server {

/// Reads a model and checks that its layers fit together. Problems are noted in the table's file.
void read_model(const config::TomlTable& table, ModelSpec& into);

}  // namespace chorus::server
