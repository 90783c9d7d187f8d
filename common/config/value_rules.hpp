// Bounds of numbers in configuration files: whether a value is within, and how they read.
#pragma once

#include <string>

#include "common/config/toml_reader.hpp"

namespace chorus::config {

/// "a whole number from 1 to 8", "a number above 0".
std::string range_text(const WholeRule& rule);
std::string range_text(const NumberRule& rule);

bool within(double value, const NumberRule& rule);

}  // namespace chorus::config
