// [train] of job files and model files.
#pragma once

#include "chorus/plan.hpp"
#include "common/config/toml_reader.hpp"

namespace chorus::config {

/// Reads a plan; what is not written keeps its value. Problems are noted in the table's file.
void read_train(const TomlTable& table, TrainPlan& into);

}  // namespace chorus::config
