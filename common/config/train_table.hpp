// [train] of job files and model files.
#pragma once

#include "chorus/model.hpp"
#include "chorus/plan.hpp"
#include "common/config/toml_reader.hpp"

namespace chorus::config {

/// Reads a plan; what is not written keeps its value. Problems are noted in the table's file.
void read_train(const TomlTable& table, TrainPlan& into);

/// Notes a problem when the plan's normalise does not fit the model. @pre the model is good
void check_normalise(const TomlTable& table, const TrainPlan& plan, const ModelSpec& model);

}  // namespace chorus::config
